//! The lines of a file of the system's own, without allocating.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};

use super::open::open_c;

/// Longest line; of a longer one the beginning is given.
const LINE: usize = 1024;

/// Calls `each` with every line. It is bytes: a thread's name may be no UTF-8. A call of its
/// own, so that its buffers lie on the host's stack only while it runs.
///
/// # Errors
///
/// Why the file cannot be read.
#[inline(never)]
pub(crate) fn each_line(path: &CStr, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::from(open_c(path, libc::O_RDONLY)?);
    let mut line = [0; LINE];
    let (mut length, mut chunk) = (0, [0; LINE]);
    loop {
        let got = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &chunk[..got] {
            if byte == b'\n' {
                each(&line[..length]);
                length = 0;
            } else if length < LINE {
                line[length] = byte;
                length += 1;
            }
        }
    }
    if length > 0 {
        each(&line[..length]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_comes_whole_up_to_its_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let long = "x".repeat(5 * LINE);
        let text = [b"one\n\n\xe8\xa1\x8c\xe6\x83\n", long.as_bytes(), b"\nlast"].concat();
        std::fs::write(&file, text).unwrap();
        let path = std::ffi::CString::new(file.path().to_str().unwrap()).unwrap();
        let mut lines = Vec::new();
        each_line(&path, |line| lines.push(line.to_vec())).unwrap();
        let expected: [&[u8]; 5] = [
            b"one",
            b"",
            b"\xe8\xa1\x8c\xe6\x83",
            &long.as_bytes()[..LINE],
            b"last",
        ];
        assert_eq!(lines, expected);
        assert!(each_line(c"/no/such/file", |_| panic!("nothing is there")).is_err());
    }
}
