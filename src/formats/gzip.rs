//! Gzip of one or more members, read as the `gzip` tool reads it.

use std::fmt;
use std::io::{self, BufRead, Chain, ErrorKind, Read};

use flate2::bufread::GzDecoder;

/// The first bytes of a member.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Maximum number of foreign bytes that a message shows.
const SHOWN: usize = 8;

/// Whether a file's first bytes are those of a gzip member.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Bytes after the last member that are neither a member nor padding.
#[derive(Debug)]
pub(super) struct Foreign {
    first: Vec<u8>,
}

impl std::error::Error for Foreign {}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: Vec<_> = self
            .first
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write!(
            f,
            "after the end of the gzip data there are bytes that are not gzip, beginning with {} \
             ({:?}); the data before them is whole: cut them off, for example with \
             `gzip -dc FILE | gzip > NEW.gz`",
            hex.join(" "),
            String::from_utf8_lossy(&self.first),
        )
    }
}

/// A member's bytes: those already consumed to recognise it, then the rest of the file.
type Rest<R> = Chain<&'static [u8], R>;

/// Decompresses members one after the other. Zeros after a member are padding, as on tapes and in
/// preallocated files.
pub(super) struct Gzip<R> {
    /// `None` after the end.
    member: Option<GzDecoder<Rest<R>>>,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(file: R) -> Self {
        let whole: &'static [u8] = &[];
        Self {
            member: Some(GzDecoder::new(whole.chain(file))),
        }
    }

    /// Goes to the next member, if there is one.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(ended) = self.member.take() else {
            return Ok(());
        };
        let (_, mut file) = ended.into_inner().into_inner();
        loop {
            let bytes = file.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            match (bytes.is_empty(), zeros == bytes.len()) {
                (true, _) => return Ok(()),
                (false, true) => file.consume(zeros),
                (false, false) => {
                    file.consume(zeros);
                    break;
                }
            }
        }
        // The second byte may lie in the next buffer.
        if peek(&mut file)? == Some(MAGIC[0]) {
            file.consume(1);
            if peek(&mut file)?.is_none_or(|second| second == MAGIC[1]) {
                self.member = Some(GzDecoder::new(MAGIC[..1].chain(file)));
                return Ok(());
            }
            return Err(foreign(MAGIC[..1].chain(file)));
        }
        Err(foreign(file))
    }
}

fn peek(file: &mut impl BufRead) -> io::Result<Option<u8>> {
    Ok(file.fill_buf()?.first().copied())
}

fn foreign(file: impl Read) -> io::Error {
    let mut first = Vec::new();
    match file.take(SHOWN as u64).read_to_end(&mut first) {
        Ok(_) => io::Error::new(ErrorKind::InvalidData, Foreign { first }),
        Err(error) => error,
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let (Some(member), false) = (&mut self.member, out.is_empty()) {
            match member.read(out)? {
                0 => self.next_member()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads with buffers of every small size, so that members begin at any position in a buffer.
    fn read(bytes: &[u8]) -> Result<String, io::Error> {
        let mut all = Vec::new();
        for size in [1, 2, 3, 7, 64, 4096] {
            let mut text = String::new();
            let read = Gzip::new(BufReader::with_capacity(size, bytes)).read_to_string(&mut text);
            all.push(read.map(|_| text));
        }
        let told = |result: &Result<String, io::Error>| format!("{result:?}");
        for other in &all {
            assert_eq!(told(other), told(&all[0]));
        }
        all.remove(0)
    }

    #[test]
    fn padding_is_the_end_and_members_may_follow_it() {
        let one = gzip("one");
        assert_eq!(read(&one).unwrap(), "one");
        assert_eq!(read(&[&one[..], &[0; 3000]].concat()).unwrap(), "one");
        let two = [&one[..], &gzip(""), &[0; 5], &gzip("two"), &[0]].concat();
        assert_eq!(read(&two).unwrap(), "onetwo");
    }

    #[test]
    fn foreign_bytes_are_named_and_a_cut_is_a_cut() {
        let one = gzip("one");
        for tail in [&b"garbage"[..], b"\0\0x", b"\x1fx", b"type,ts_ns\n"] {
            let error = read(&[&one[..], tail].concat()).unwrap_err();
            assert!(error.get_ref().is_some_and(|why| why.is::<Foreign>()));
            let shown = tail.iter().find(|byte| **byte != 0).unwrap();
            let shown = format!("beginning with {shown:02x}");
            assert!(error.to_string().contains(&shown), "{error}");
        }
        for cut in [
            &one[..one.len() - 1],
            &[&one[..], &one[..9]].concat(),
            &[&one[..], &one[..1]].concat(),
        ] {
            assert_eq!(read(cut).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}
