//! Asks the kernel for room in the address space and never fills it: a mapping that
//! nobody may read costs nothing, not even where the host locks all that is mapped.

use std::ffi::c_void;
use std::io;

const PAGE: usize = 4096;

/// Why there is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// What is mapped is locked, and no more may be.
    Locked,
    /// No room, or too many mappings.
    Full,
    /// The call itself, as a sandbox does; with the error's number.
    Call { name: &'static str, error: i32 },
}

impl Refused {
    /// Why the call that was made last has failed.
    fn by(name: &'static str) -> Self {
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Self::Locked,
            None | Some(libc::ENOMEM) => Self::Full,
            Some(error) => Self::Call { name, error },
        }
    }
}

/// Room in the address space that nobody else gets; nothing where there was none.
#[derive(Debug)]
pub(crate) struct Reserved {
    at: *mut c_void,
    bytes: usize,
}

impl Reserved {
    pub(super) fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or(Self {
            at: std::ptr::null_mut(),
            bytes: 0,
        })
    }

    fn try_new(bytes: usize) -> Result<Self, Refused> {
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(Refused::Full)?;
        // SAFETY: a new private mapping, wherever the kernel likes.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if at != libc::MAP_FAILED {
            return Ok(Self { at, bytes });
        }
        Err(Refused::by("mmap"))
    }

    /// Gives back what is more than this.
    pub(crate) fn keep(&mut self, bytes: usize) {
        self.give_back(self.bytes.saturating_sub(bytes));
    }

    /// Gives some of it back, to be taken by what comes next.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes).next_multiple_of(PAGE);
        self.bytes -= bytes;
        if bytes > 0 {
            // SAFETY: the end of our own mapping, which nobody uses.
            unsafe { libc::munmap(self.at.byte_add(self.bytes), bytes) };
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// Whether there is room for so many bytes.
pub(super) fn try_room(bytes: usize) -> Result<(), Refused> {
    Reserved::try_new(bytes).map(drop)
}

/// Whether the process may have so many more mappings: pages that differ from their
/// neighbours in who may read them are one each.
pub(super) fn try_mappings(count: usize) -> Result<(), Refused> {
    let pages = Reserved::try_new((count + 1) * PAGE)?;
    // Each parts a mapping into three.
    (1..count).step_by(2).try_for_each(|page| {
        // SAFETY: a page of our own mapping, which nobody uses.
        match unsafe { libc::mprotect(pages.at.byte_add(page * PAGE), PAGE, libc::PROT_READ) } {
            0 => Ok(()),
            _ => Err(Refused::by("mprotect")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(bytes: usize) -> bool {
        try_room(bytes).is_ok()
    }

    #[test]
    fn room_is_asked_for_and_given_back_in_parts() {
        assert!(has(1) && has(1 << 30));
        assert!(!has(usize::MAX) && !has(usize::MAX / 2));
        let mut room = Reserved::new(10 * PAGE);
        room.give_back(3 * PAGE + 1);
        assert_eq!(room.bytes, 6 * PAGE);
        room.give_back(usize::MAX / 2);
        assert_eq!(room.bytes, 0);
        assert_eq!(Reserved::new(usize::MAX).bytes, 0);
    }

    #[test]
    fn there_are_some_mappings() {
        assert_eq!((try_mappings(1), try_mappings(64)), (Ok(()), Ok(())));
    }
}
