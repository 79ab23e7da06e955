//! Texts that are written without allocating, for use after `signal_create`: the host may have used
//! up its memory.

use std::fmt::{self, Write};
use std::io;

/// Bytes of a line.
const LINE: usize = 1024;

/// A text of at most one line. Longer text is cut off, which dots show.
#[derive(Debug)]
pub(crate) struct FixedText {
    bytes: [u8; LINE],
    len: usize,
    is_full: bool,
}

impl FixedText {
    pub(crate) fn new(text: fmt::Arguments<'_>) -> Self {
        let mut fixed = Self {
            bytes: [0; LINE],
            len: 0,
            is_full: false,
        };
        // Writing never fails: the text truncates.
        let _ = fixed.write_fmt(text);
        fixed
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole characters have been written.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn put(&mut self, text: &str) {
        self.bytes[self.len..][..text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }
}

impl fmt::Display for FixedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Write for FixedText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        const DOTS: &str = "...";
        if !self.is_full {
            let room = LINE - DOTS.len() - self.len;
            self.is_full = more.len() > room;
            self.put(beginning(more, room));
            if self.is_full {
                self.put(DOTS);
            }
        }
        Ok(())
    }
}

/// The longest beginning of a text with whole characters and at most `bytes` bytes.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let mut kept = text.len().min(bytes);
    while !text.is_char_boundary(kept) {
        kept -= 1;
    }
    &text[..kept]
}

/// An error as text, worded as in the standard library.
pub(crate) struct Told<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.0.raw_os_error() else {
            return match self.0.get_ref() {
                Some(inner) => fmt::Display::fmt(inner, f),
                None => fmt::Display::fmt(&self.0.kind(), f),
            };
        };
        let mut text = [0u8; 128];
        // SAFETY: the buffer is valid for its length, and NUL-terminated after the call.
        unsafe { libc::strerror_r(code, text.as_mut_ptr().cast(), text.len()) };
        let text = std::ffi::CStr::from_bytes_until_nul(&text).unwrap_or_default();
        let text = text.to_str().unwrap_or_default();
        write!(f, "{text} (os error {code})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_off_between_two_characters() {
        let text = |of: &str| FixedText::new(format_args!("{of}")).as_str().to_owned();
        assert_eq!(text("a line"), "a line");
        let most = "x".repeat(LINE - 3);
        assert_eq!(text(&most), most);
        assert_eq!(text(&(most.clone() + "y")), most.clone() + "...");
        let cut = text(&("x".repeat(LINE - 4) + "\u{e9}"));
        assert_eq!(cut, "x".repeat(LINE - 4) + "...");
    }

    #[test]
    fn errors_are_told_as_the_standard_library_tells_them() {
        for error in [
            io::Error::from_raw_os_error(libc::ENOSPC),
            io::Error::from_raw_os_error(99_999),
            io::Error::other("of our own"),
            io::ErrorKind::WriteZero.into(),
        ] {
            assert_eq!(Told(&error).to_string(), error.to_string());
        }
    }
}
