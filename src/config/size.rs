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
        // Writing never fails: the writer only counts.
        let _ = serde_json::to_writer(&mut count, self);
        count.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_large_as_its_json() {
        let config = Config::from_json(r#"{"assets": ["btc_usdt"]}"#).unwrap();
        assert_eq!(
            config.bytes(),
            serde_json::to_string(&config).unwrap().len()
        );
    }
}
