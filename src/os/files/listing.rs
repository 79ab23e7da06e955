//! Lists what is in a folder of the system, without allocating: the names that are numbers, or the
//! folders. The standard library asks newer versions of glibc for what an entry is.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;

use super::open::open_c;

/// Offsets of an entry's length, kind and name, in the kernel's format.
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;

/// Calls `each` with every entry that is a number.
///
/// # Errors
///
/// Why the folder cannot be read completely.
pub(crate) fn each_number(folder: &CStr, mut each: impl FnMut(u32)) -> io::Result<()> {
    each_entry(folder, |_, name| {
        if let Some(number) = name.to_str().ok().and_then(|name| name.parse().ok()) {
            each(number);
        }
    })
}

/// Calls `each` with the name of every folder, on a file system that says what an entry is.
///
/// # Errors
///
/// As [`each_number`].
pub(crate) fn each_folder(folder: &CStr, mut each: impl FnMut(&CStr)) -> io::Result<()> {
    each_entry(folder, |kind, name| {
        let is_itself_or_above = [c".", c".."].contains(&name);
        if kind == libc::DT_DIR && !is_itself_or_above {
            each(name);
        }
    })
}

fn each_entry(folder: &CStr, mut each: impl FnMut(u8, &CStr)) -> io::Result<()> {
    let folder = open_c(folder, libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut room = [0u8; 2048];
    loop {
        // SAFETY: the folder is open, and the room is valid for its length.
        let got = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                folder.as_raw_fd(),
                room.as_mut_ptr(),
                room.len(),
            )
        };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        let mut entries = &room[..got];
        if entries.is_empty() {
            return Ok(());
        }
        while let Some((length, kind, name)) = first(entries) {
            each(kind, name);
            entries = &entries[length..];
        }
    }
}

/// The length, the kind and the name of the first entry.
fn first(entries: &[u8]) -> Option<(usize, u8, &CStr)> {
    let length = entries.get(LENGTH..LENGTH + 2)?.try_into().ok()?;
    let length = usize::from(u16::from_ne_bytes(length));
    let name = entries.get(NAME..length)?;
    Some((
        length,
        entries[KIND],
        CStr::from_bytes_until_nul(name).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_folders_are_found_and_other_names_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["7", "12", "x", "3x"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        // More entries than one call returns.
        for name in 1000..1400 {
            std::fs::write(folder.path().join(name.to_string()), "").unwrap();
        }
        let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
        let mut found = Vec::new();
        each_number(&path, |number| found.push(number)).unwrap();
        found.sort_unstable();
        let expected: Vec<u32> = [7, 12].into_iter().chain(1000..1400).collect();
        assert_eq!(found, expected);
        std::fs::create_dir(folder.path().join("a.slice")).unwrap();
        let mut folders = Vec::new();
        each_folder(&path, |name| folders.push(name.to_owned())).unwrap();
        assert_eq!(folders, [c"a.slice".to_owned()]);
        let nothing = each_number(c"/no/such/folder", |_| panic!("nothing is there"));
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
