//! The protobuf wire format: fields of a message, without copying.
//!
//! Every read consumes at least one byte of a slice that only shrinks, lengths are checked against
//! what is left, and there is no recursion. So work and memory are bounded by the file's size,
//! whatever its content.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use crate::models::ModelError;

/// Maximum length of a name, in bytes. Errors quote names, and each value of an output has one.
const MAX_NAME: usize = 512;

/// Bytes of the file, and their offset in it.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

/// A field's value in wire format.
#[derive(Clone, Copy, Debug)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Span<'a>),
    Fixed32([u8; 4]),
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub number: u32,
    pub wire: Wire<'a>,
    /// Offset of its tag in the file.
    pub at: usize,
}

fn malformed(at: usize, what: &str, expected: &str) -> ModelError {
    ModelError(format!("byte {at}: {what}; expected {expected}"))
}

impl<'a> Span<'a> {
    /// A whole file.
    pub fn file(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes the next field from the rest of the message.
    pub fn field(&mut self) -> Result<Option<Field<'a>>, ModelError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n != 0);
        let Some(number) = number else {
            return Err(malformed(
                at,
                "no field has this number",
                "a field of an ONNX message",
            ));
        };
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.array()?),
            2 => {
                let from = self.at;
                let len = self.varint()?;
                let left = self.bytes.len();
                match usize::try_from(len) {
                    Ok(len) if len <= left => Wire::Bytes(self.take(len)?),
                    _ => {
                        return Err(malformed(
                            from,
                            &format!("field {number} says that it has {len} bytes"),
                            &format!("at most {left}, which are left of its message"),
                        ));
                    }
                }
            }
            5 => Wire::Fixed32(self.array()?),
            other => {
                return Err(malformed(
                    at,
                    &format!("field {number} has wire type {other}"),
                    "0, 1, 2 or 5",
                ));
            }
        };
        Ok(Some(Field { number, wire, at }))
    }

    /// Takes a varint.
    pub fn varint(&mut self) -> Result<u64, ModelError> {
        let mut value = 0;
        for (index, &byte) in self.bytes.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    break;
                }
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        if self.bytes.len() < 10 {
            return Err(malformed(
                self.at,
                "the message ends inside a varint",
                "its last byte",
            ));
        }
        Err(malformed(
            self.at,
            "a varint of more than 64 bits",
            "at most 64",
        ))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let span = self.take(N)?;
        Ok(*span.bytes.first_chunk().expect("take gives N bytes"))
    }

    fn take(&mut self, len: usize) -> Result<Span<'a>, ModelError> {
        let Some((head, tail)) = self.bytes.split_at_checked(len) else {
            return Err(malformed(
                self.at,
                &format!("the message ends after {} bytes", self.bytes.len()),
                &format!("{len}"),
            ));
        };
        let taken = Span {
            bytes: head,
            at: self.at,
        };
        *self = Span {
            bytes: tail,
            at: self.at + len,
        };
        Ok(taken)
    }

    /// The bytes as UTF-8, at most as long as a name.
    pub fn text(self) -> Result<&'a str, ModelError> {
        if self.bytes.len() > MAX_NAME {
            return Err(malformed(
                self.at,
                &format!("a name of {} bytes", self.bytes.len()),
                &format!("at most {MAX_NAME}"),
            ));
        }
        std::str::from_utf8(self.bytes)
            .map_err(|_| malformed(self.at, "a name that is not UTF-8", "UTF-8"))
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, expected: &str) -> ModelError {
        let has = match self.wire {
            Wire::Varint(_) => "a varint",
            Wire::Fixed64(_) => "8 bytes",
            Wire::Bytes(_) => "a run of bytes",
            Wire::Fixed32(_) => "4 bytes",
        };
        malformed(
            self.at,
            &format!("field {} has {has}", self.number),
            expected,
        )
    }

    /// A nested message, text or bytes.
    pub fn span(&self) -> Result<Span<'a>, ModelError> {
        match self.wire {
            Wire::Bytes(span) => Ok(span),
            _ => Err(self.wrong("a run of bytes")),
        }
    }

    /// Text.
    pub fn text(&self) -> Result<&'a str, ModelError> {
        self.span()?.text()
    }

    /// An `int64`, `int32` or enum.
    pub fn int(&self) -> Result<i64, ModelError> {
        match self.wire {
            Wire::Varint(value) => Ok(value as i64),
            _ => Err(self.wrong("a varint")),
        }
    }

    /// A `float`.
    pub fn float(&self) -> Result<f32, ModelError> {
        match self.wire {
            Wire::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong("4 bytes")),
        }
    }

    /// One integer of a repeated field, or several packed ones. The field may have at most `most`
    /// in all, because one byte of the file may become eight in memory.
    pub fn ints_into(&self, to: &mut Vec<i64>, most: usize) -> Result<(), ModelError> {
        let more = match self.wire {
            // Each integer ends with a byte below 0x80.
            Wire::Bytes(span) => span.bytes.iter().filter(|&&byte| byte < 0x80).count(),
            _ => 1,
        };
        if to.len() + more > most {
            return Err(malformed(
                self.at,
                &format!("field {} has more than {most} integers", self.number),
                "fewer",
            ));
        }
        match self.wire {
            Wire::Varint(value) => to.push(value as i64),
            Wire::Bytes(mut span) => {
                to.reserve(more);
                while !span.bytes.is_empty() {
                    to.push(span.varint()? as i64);
                }
            }
            _ => return Err(self.wrong("varints")),
        }
        Ok(())
    }

    /// One `float` of a repeated field, or several packed ones.
    pub fn floats_into(&self, to: &mut Vec<f32>) -> Result<(), ModelError> {
        match self.wire {
            Wire::Fixed32(bytes) => to.push(f32::from_le_bytes(bytes)),
            Wire::Bytes(span) => to.extend(packed(span, f32::from_le_bytes)?),
            _ => return Err(self.wrong("floats")),
        }
        Ok(())
    }

    /// Refuses a field that is not among those that its message may ignore.
    pub fn unused(&self, known: &[u32], message: &str) -> Result<(), ModelError> {
        match known.contains(&self.number) {
            true => Ok(()),
            false => Err(malformed(
                self.at,
                &format!(
                    "field {} of {message} is not known and may change what the model predicts",
                    self.number
                ),
                "the fields of ONNX 1.23 or earlier",
            )),
        }
    }

    /// One `double` of a repeated field, or several packed ones.
    pub fn doubles_into(&self, to: &mut Vec<f64>) -> Result<(), ModelError> {
        match self.wire {
            Wire::Fixed64(bytes) => to.push(f64::from_le_bytes(bytes)),
            Wire::Bytes(span) => to.extend(packed(span, f64::from_le_bytes)?),
            _ => return Err(self.wrong("doubles")),
        }
        Ok(())
    }
}

/// The numbers of `N` bytes each that fill a span.
pub fn packed<'a, T, const N: usize>(
    span: Span<'a>,
    number: fn([u8; N]) -> T,
) -> Result<impl Iterator<Item = T> + 'a, ModelError>
where
    T: 'a,
{
    let (chunks, rest) = span.bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(malformed(
            span.at,
            &format!("numbers of {N} bytes in {} bytes", span.bytes.len()),
            "a multiple",
        ));
    }
    Ok(chunks.iter().map(move |&bytes| number(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u32>, String> {
        let mut span = Span::file(bytes);
        let mut numbers = Vec::new();
        loop {
            match span.field() {
                Ok(Some(field)) => numbers.push(field.number),
                Ok(None) => return Ok(numbers),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn reads_each_wire_type_and_skips_by_length() {
        let bytes = [
            0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f, 0x21, 0, 0, 0, 0, 0, 0,
            0xf0, 0x3f,
        ];
        let mut span = Span::file(&bytes);
        let mut next = || span.field().unwrap().unwrap();
        assert_eq!(next().int().unwrap(), 150);
        assert_eq!(next().text().unwrap(), "hi");
        assert_eq!(next().float().unwrap(), 1.0);
        let mut doubles = Vec::new();
        next().doubles_into(&mut doubles).unwrap();
        assert_eq!(doubles, [1.0]);
        assert!(span.field().unwrap().is_none());
    }

    #[test]
    fn negative_integers_are_ten_bytes() {
        let mut bytes = vec![0x08];
        bytes.extend([0xff; 9]);
        bytes.push(1);
        let field = Span::file(&bytes).field().unwrap().unwrap();
        assert_eq!(field.int().unwrap(), -1);
        *bytes.last_mut().unwrap() = 2;
        assert!(read(&bytes).unwrap_err().contains("more than 64 bits"));
    }

    #[test]
    fn malformed_bytes_are_told_with_their_place() {
        for len in [1, 9, 10, 64, 4096] {
            let error = read(&vec![0xff; len]).unwrap_err();
            assert!(error.starts_with("byte 0: "), "{error}");
        }
        let error = read(&[0x08, 1, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap_err();
        assert_eq!(
            error,
            "byte 3: field 2 says that it has 4294967295 bytes; \
             expected at most 0, which are left of its message"
        );
        assert!(read(&[0x0b]).unwrap_err().contains("wire type 3"));
        assert!(read(&[0x00]).unwrap_err().contains("number"));
        assert!(read(&[0x0d, 1, 2]).unwrap_err().contains("ends after 2"));
        let span = Span::file(&[0x0a, 3, 0, 0, 0]).field().unwrap().unwrap();
        assert!(span.floats_into(&mut Vec::new()).is_err());
    }
}
