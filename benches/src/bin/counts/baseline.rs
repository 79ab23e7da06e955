//! The committed counts: a JSON file with a line a case, so that a change of the
//! counts is reviewed like any other.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::{Map, Value, json};

/// Instructions a call of each case, by name, in the order of the cases.
pub type Counts = Vec<(String, f64)>;

/// Counts, and what they depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// What made the code and what counted: a name and a version each.
    pub made_with: Vec<(String, String)>,
    /// The counts.
    pub counts: Counts,
}

/// For whoever reads the file.
const ABOUT: &str =
    "Instructions a call under callgrind; written by `counts --bless`, see benches/README.md";
/// Valgrind shows every program the same processor, if the machine has at least
/// what it shows.
const PROCESSOR: &str = "x86-64 code, with AVX2 and FMA where it looks for them";

impl Baseline {
    /// Counts made now, by this valgrind.
    pub fn new(valgrind: String, counts: Counts) -> Self {
        let made_with = [
            ("rustc", compiler()),
            ("valgrind", valgrind),
            ("glibc", glibc()),
            ("processor", PROCESSOR.to_owned()),
        ];
        Self {
            made_with: made_with
                .map(|(name, version)| (name.to_owned(), version))
                .into(),
            counts,
        }
    }

    /// Reads a baseline.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path)
            .map_err(|error| named(format!("{error}; --bless writes a baseline")))?;
        Self::parse(&text).map_err(named)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let object = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_object)
                .ok_or_else(|| format!("{key} is missing; expected an object"))
        };
        let made_with = object("made_with")?.iter().map(|(name, version)| {
            let version = version
                .as_str()
                .ok_or_else(|| format!("made_with.{name} is {version}; expected a text"))?;
            Ok((name.clone(), version.to_owned()))
        });
        let counts = object("instructions")?.iter().map(|(name, count)| {
            let count = count.as_f64().filter(|&count| count > 0.0).ok_or_else(|| {
                format!("instructions.{name} is {count}; expected a number above 0")
            })?;
            Ok((name.clone(), count))
        });
        Ok(Self {
            made_with: made_with.collect::<Result<_, String>>()?,
            counts: counts.collect::<Result<_, String>>()?,
        })
    }

    /// Writes a baseline.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, self.text()).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn text(&self) -> String {
        let made_with: Map<String, Value> = self
            .made_with
            .iter()
            .map(|(name, version)| (name.clone(), json!(version)))
            .collect();
        let counts: Map<String, Value> = self
            .counts
            .iter()
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect();
        let value = json!({ "about": ABOUT, "made_with": made_with, "instructions": counts });
        format!("{value:#}\n")
    }
}

/// The compiler that Cargo uses here.
fn compiler() -> String {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// The version of the C library that this program runs with: its copies of
/// memory are counted, too.
fn glibc() -> String {
    // SAFETY: takes nothing and returns a static NUL-terminated text.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Baseline {
        let counts = vec![
            ("on_data depth".to_owned(), 123.4),
            ("poll empty".to_owned(), 9.0),
        ];
        Baseline::new("valgrind-3.19.0".to_owned(), counts)
    }

    #[test]
    fn what_is_written_is_read_in_its_order() {
        assert_eq!(Baseline::parse(&made().text()), Ok(made()));
        assert!(made().text().contains("\n    \"on_data depth\": 123.4,\n"));
    }

    #[test]
    fn what_is_no_baseline_is_refused_by_name() {
        let error = |from: &str, to: &str| {
            let text = made().text();
            assert!(text.contains(from), "{from}");
            Baseline::parse(&text.replacen(from, to, 1)).unwrap_err()
        };
        assert!(error("123.4", "-1").contains("instructions.on_data depth is -1"));
        assert!(error("123.4", "\"many\"").contains("expected a number"));
        assert!(error("\"instructions\"", "\"counts\"").contains("instructions is missing"));
        assert!(error("\"valgrind-3.19.0\"", "3").contains("made_with.valgrind is 3"));
        assert!(error("\"about\"", "about").contains("line 2"));
    }
}
