//! The size of a configuration.

use std::io::{self, Write};

use super::Config;

impl Config {
    /// Bytes of its JSON form.
    pub(crate) fn bytes(&self) -> usize {
        struct Count(usize);

        impl Write for Count {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let mut count = Count(0);
        // Writing never fails: the writer only counts, and every path has a form in JSON.
        let _ = serde_json::to_writer(&mut count, self);
        count.0
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::config::ModelEntry;

    #[test]
    fn it_is_as_large_as_its_json() {
        let config = Config::from_json(r#"{"assets": ["btc_usdt"]}"#).unwrap();
        assert_eq!(
            config.bytes(),
            serde_json::to_string(&config).unwrap().len()
        );
    }

    #[test]
    fn a_path_that_is_no_text_counts_with_all_that_follows() {
        let mut config = Config::default();
        let usual = config.bytes();
        config.models = vec![ModelEntry::file(OsStr::from_bytes(b"/tmp/\xff/m.onnx"))];
        config.latency.dir = Some(OsStr::from_bytes(b"/tmp/\xff").into());
        config.capture.file = Some(OsStr::from_bytes(b"/tmp/\xff/c.csv").into());
        assert!(config.bytes() > usual, "{} of {usual}", config.bytes());
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("/tmp/\u{fffd}/c.csv"), "{json}");
    }
}
