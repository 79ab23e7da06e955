//! Histograms in HdrHistogram's compressed format, made in memory that is allocated once. The
//! library's own serializer makes a compressor for each histogram.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use hdrhistogram::{Counter, Histogram};

use hdrhistogram::serialization::{Serializer, V2SerializeError, V2Serializer};

/// The number that identifies the format.
const COOKIE: u32 = 0x1c84_9314;
/// The cookie, and the length of what follows.
const HEAD: usize = 8;
/// Most bytes of a count, and of what comes before the counts.
const OF_COUNT: usize = 9;
const BEFORE_COUNTS: usize = 40;

/// See the module.
pub(super) struct Deflate {
    plain: Vec<u8>,
    packed: Vec<u8>,
    v2: V2Serializer,
    compress: Compress,
    /// Whether something was written. The first time, the most bytes that there can be are
    /// written, so that the receiver has room for everything that follows.
    is_warm: bool,
}

impl Deflate {
    /// For histograms with the same bounds as this one.
    pub(super) fn new<T: Counter>(histogram: &Histogram<T>) -> Self {
        let plain = BEFORE_COUNTS + histogram.distinct_values() * OF_COUNT;
        // What cannot be compressed is stored in blocks, each with a head.
        let packed = HEAD + plain + plain / 64 + 256;
        Self {
            plain: Vec::with_capacity(plain),
            packed: vec![0; packed],
            v2: V2Serializer::new(),
            compress: Compress::new(Compression::default(), true),
            is_warm: false,
        }
    }
}

impl Serializer for Deflate {
    type SerializeError = io::Error;

    fn serialize<T: Counter, W: Write>(
        &mut self,
        histogram: &Histogram<T>,
        writer: &mut W,
    ) -> io::Result<usize> {
        self.plain.clear();
        let made = self.v2.serialize(histogram, &mut self.plain);
        made.map_err(|error| match error {
            V2SerializeError::IoError(error) => error,
            _ => io::ErrorKind::InvalidData.into(),
        })?;
        self.compress.reset();
        let body = &mut self.packed[HEAD..];
        let status = self
            .compress
            .compress(&self.plain, body, FlushCompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let body = self.compress.total_out() as usize;
        self.packed[..4].copy_from_slice(&COOKIE.to_be_bytes());
        self.packed[4..HEAD].copy_from_slice(&(body as u32).to_be_bytes());
        let whole = match std::mem::replace(&mut self.is_warm, true) {
            true => &self.packed[..HEAD + body],
            false => &self.packed[..],
        };
        writer.write_all(whole)?;
        Ok(whole.len())
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::V2DeflateSerializer;

    use super::*;
    use crate::telemetry::hops::{MAX_NS, histogram};

    #[test]
    fn it_writes_what_the_librarys_own_serializer_does() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut recorded = histogram();
        recorded.record(MAX_NS).unwrap();
        let mut ours = Deflate::new(&recorded);
        let mut first = Vec::new();
        ours.serialize(&recorded, &mut first).unwrap();
        for round in 0..6 {
            // From a few latencies to more than can be compressed.
            for _ in 0..10usize.pow(round) {
                let nanos = 1 << random.u32(0..42) | random.u64(0..64);
                recorded.record_n(nanos, random.u64(1..1 << 40)).unwrap();
            }
            let (mut one, mut other) = (Vec::new(), Vec::new());
            ours.serialize(&recorded, &mut one).unwrap();
            let mut theirs = V2DeflateSerializer::new();
            theirs.serialize(&recorded, &mut other).unwrap();
            assert_eq!(one, other);
            assert!(one.len() < first.len(), "{} {}", one.len(), first.len());
        }
    }
}
