//! What a run would write: it must not overwrite anything that the run reads, and it overwrites a
//! report only on request.

use std::io::Write;
use std::path::{Path, PathBuf};

use signal::Config;
use signal::config::{Latency, NamedFile, check_apart};

use signal::os::files::Stream;

use crate::failure::{Failure, Result};

/// Writes a file as a whole: a regular one, a terminal, or a FIFO with a reader.
///
/// # Errors
///
/// What is wrong, with the file's name if it cannot be opened.
pub fn write_whole(path: &Path, text: &str) -> std::result::Result<(), String> {
    let mut file = Stream::open(path)?;
    let done = file.empty().and_then(|()| file.write_all(text.as_bytes()));
    done.and_then(|()| file.settle())
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// What a run reads and writes, according to its flags.
pub struct Files<'a> {
    /// The captures that are played.
    pub captures: &'a [PathBuf],
    /// The configuration file.
    pub config: Option<&'a Path>,
    /// `--signals`.
    pub signals: Option<&'a Path>,
    /// `--report`.
    pub report: Option<&'a Path>,
    /// The library that is loaded.
    pub library: &'a Path,
    /// `--force`.
    pub force: bool,
}

impl Files<'_> {
    /// Refuses a run that would destroy its inputs or an existing report. `config` is the
    /// configuration that the library will use, if it is valid: the library reports what is wrong
    /// with an invalid one. Writes nothing.
    ///
    /// # Errors
    ///
    /// The file, its other use, and what to do.
    pub fn check(&self, config: Option<&Config>) -> Result<()> {
        let captures = self.captures.iter();
        let mut inputs: Vec<_> = captures
            .map(|file| NamedFile::new("the capture", file))
            .collect();
        check_apart(&[], &inputs)
            .map_err(|why| Failure::said(format!("{why}; its events would be played twice")))?;
        inputs.extend(
            self.config
                .map(|file| NamedFile::new("the configuration", file)),
        );
        inputs.push(NamedFile::new("the library", self.library));
        let mut outputs = Vec::new();
        if let Some(config) = config {
            inputs.extend(config.inputs());
            inputs.extend(config.besides());
            outputs.extend(config.outputs());
        }
        outputs.extend(self.signals.map(|file| NamedFile::new("--signals", file)));
        check_apart(&inputs, &outputs).map_err(|why| {
            let hint = match why.starts_with("capture.file") {
                true => ": --capture FILE names one for this run (/dev/null for none)",
                false => "",
            };
            Failure::said(format!("{why}{hint}"))
        })?;
        check_streams(&inputs)?;
        match config.and_then(|config| config.latency.dir.as_ref()) {
            Some(dir) if !self.force => self.check_report(dir),
            _ => Ok(()),
        }
    }

    /// Refuses a folder that already has a report.
    fn check_report(&self, dir: &Path) -> Result<()> {
        let files = Latency::files(dir);
        let Some(there) = files.iter().find(|file| file.symlink_metadata().is_ok()) else {
            return Ok(());
        };
        let (named, other) = match (self.report, self.config) {
            (Some(dir), _) => (format!("--report {}", dir.display()), ""),
            (None, Some(file)) => (
                format!("latency.dir {} of {}", dir.display(), file.display()),
                " with --report",
            ),
            (None, None) => (format!("latency.dir {}", dir.display()), " with --report"),
        };
        Err(Failure::said(format!(
            "{named}: there is a report already ({}); nothing was written; choose another \
             folder{other}, or overwrite this one with --force",
            there.display()
        )))
    }
}

/// Refuses standard streams that are an input: a shell's `>>` would append to the file that is
/// read, and its end would never be reached.
///
/// # Errors
///
/// The stream, the file, and what to do.
pub fn check_streams(inputs: &[NamedFile]) -> Result<()> {
    for (what, stream) in [
        ("standard output", "/dev/stdout"),
        ("standard error", "/dev/stderr"),
    ] {
        let stream = NamedFile::new(what, stream);
        check_apart(inputs, &[stream]).map_err(Failure::said)?;
    }
    Ok(())
}
