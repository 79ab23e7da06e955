//! A control group's folder, for those that may not allocate.

use std::ffi::CStr;

use crate::os::files;

/// A folder's path, in memory of fixed size.
pub(super) struct Folder {
    /// Zeros behind the path.
    bytes: [u8; Folder::ROOM],
    length: usize,
}

impl Folder {
    /// Longer paths are as those of folders that are not there.
    const ROOM: usize = 1024;

    pub(super) fn new(parts: &[&[u8]]) -> Option<Self> {
        let (mut bytes, mut length) = ([0; Self::ROOM], 0);
        for part in parts {
            bytes
                .get_mut(length..length + part.len())?
                .copy_from_slice(part);
            length += part.len();
        }
        Some(Self { bytes, length })
    }

    /// Of its path.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// To the folder above; false if there is none.
    pub(super) fn go_up(&mut self) -> bool {
        let path = &mut self.bytes[..self.length];
        let Some(slash) = path.iter().rposition(|&byte| byte == b'/') else {
            return false;
        };
        path[slash..].fill(0);
        self.length = slash;
        true
    }

    /// The beginning of a file's text.
    pub(super) fn text<'a>(&mut self, file: &str, into: &'a mut [u8]) -> Option<&'a str> {
        self.with(file, |path| files::system_into(path, into).ok())
    }

    /// Does something with a file's path.
    pub(super) fn with<T>(
        &mut self,
        file: &str,
        what: impl FnOnce(&CStr) -> Option<T>,
    ) -> Option<T> {
        let end = self.length + 1 + file.len();
        // One byte stays the NUL.
        if end >= Self::ROOM {
            return None;
        }
        self.bytes[self.length] = b'/';
        self.bytes[self.length + 1..end].copy_from_slice(file.as_bytes());
        let done = CStr::from_bytes_until_nul(&self.bytes).ok().and_then(what);
        self.bytes[self.length..end].fill(0);
        done
    }

    pub(super) fn id(&self) -> u64 {
        hash(EMPTY, &self.bytes[..self.length])
    }
}

/// Of an empty text.
pub(super) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, of a text that begins so and goes on so.
pub(super) fn hash(begins: u64, goes_on: &[u8]) -> u64 {
    goes_on.iter().fold(begins, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_no_folder() {
        assert!(Folder::new(&[&[b'a'; Folder::ROOM + 1]]).is_none());
        let mut folder = Folder::new(&[&[b'a'; Folder::ROOM - 4]]).unwrap();
        assert_eq!(folder.text("cpu.stat", &mut [0; 8]), None);
        assert!(!folder.go_up());
    }
}
