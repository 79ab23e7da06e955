//! What the callback receives: the last signal, and all signals as CSV.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use signal::os::files;

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;

/// The names of the models and of their values, as the library reports them.
pub type ModelNames = Vec<(String, Vec<String>)>;

/// A signal that came back.
#[derive(Clone, Debug, Default)]
pub struct Signal {
    /// The instrument.
    pub symbol: String,
    /// Its timestamp, ns.
    pub timestamp: i64,
    /// Index of its model; `None` if it is from all models.
    pub model: Option<usize>,
    /// The values.
    pub values: Vec<f64>,
}

/// What the callback keeps.
pub struct Received {
    /// Callbacks made.
    pub calls: u64,
    /// The last signal, if there was one.
    pub last: Signal,
    /// The models.
    pub models: ModelNames,
    table: Option<Table>,
}

impl Received {
    /// Keeps the last signal, and writes every one to `file` if there is one.
    pub fn new(models: ModelNames, file: Option<Output>) -> Result<Self> {
        let table = file.map(|file| Table::create(file, &models)).transpose()?;
        Ok(Self {
            calls: 0,
            last: Signal::default(),
            models,
            table,
        })
    }

    /// Takes the signal that has just been put into `last`.
    pub fn take(&mut self) {
        self.calls += 1;
        if let Some(table) = &mut self.table {
            table.write(&self.last);
        }
    }

    /// Completes the file, or reports the error that occurred while writing it.
    pub fn finish(&mut self) -> Result<()> {
        self.table.take().map_or(Ok(()), Table::finish)
    }

    /// The values of the last signal with their names.
    pub fn last_values(&self) -> Vec<(String, f64)> {
        let names: Vec<&String> = match self.last.model {
            Some(model) => self.models[model].1.iter().collect(),
            None => self.models.iter().flat_map(|(_, names)| names).collect(),
        };
        let names = names.into_iter().cloned();
        names.zip(self.last.values.iter().copied()).collect()
    }
}

/// The file of `--signals`, opened.
pub struct Output(files::Stream);

impl Output {
    /// Opens the file. Its content stays until the first signal could arrive.
    ///
    /// # Errors
    ///
    /// The flag, the file and why.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = files::Stream::open(path);
        opened
            .map(Self)
            .map_err(|why| Failure::said(format!("--signals: {why}")))
    }

    /// Once the run is interrupted, a pipe's reader that takes nothing is not waited for.
    pub fn stop_when(&self, interrupt: &Interrupt) {
        self.0.stop_when(interrupt.flag().clone());
    }
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::said(format!("--signals {}: {why}", path.display()))
}

/// A CSV file with one row per signal: symbol, time, model, and a column for each value of each
/// model. Columns of other models than the signal's stay empty.
struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<files::Stream>>,
    /// Where each model's columns begin, and where the last one's end.
    starts: Vec<usize>,
    names: Vec<String>,
    error: Option<csv::Error>,
}

impl Table {
    fn create(output: Output, models: &ModelNames) -> Result<Self> {
        let Output(file) = output;
        let path = file.path().to_owned();
        file.empty().map_err(|error| failed(&path, &error))?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        let mut columns = vec!["symbol".to_owned(), "timestamp_ns".into(), "model".into()];
        let mut starts = vec![0];
        for (model, names) in models {
            columns.extend(names.iter().map(|name| match models.len() {
                1 => name.clone(),
                _ => format!("{model}.{name}"),
            }));
            starts.push(columns.len() - 3);
        }
        let error = writer.write_record(&columns).err();
        Ok(Self {
            path,
            writer,
            starts,
            names: models.iter().map(|(name, _)| name.clone()).collect(),
            error,
        })
    }

    /// An error is kept until the end, because the host's callback cannot fail. Nothing is written
    /// after it: no row may be missing in between.
    fn write(&mut self, signal: &Signal) {
        if self.error.is_some() {
            return;
        }
        let (model, start) = match signal.model {
            Some(model) => (self.names[model].as_str(), self.starts[model]),
            None => ("", 0),
        };
        let end = self.starts.last().copied().unwrap_or(0);
        let mut row = vec![
            signal.symbol.clone(),
            signal.timestamp.to_string(),
            model.to_owned(),
        ];
        row.resize(3 + end, String::new());
        for (cell, value) in row[3 + start..].iter_mut().zip(&signal.values) {
            *cell = value.to_string();
        }
        if let Err(error) = self.writer.write_record(&row) {
            self.error = Some(error);
        }
    }

    fn finish(self) -> Result<()> {
        // A file system over a network may say only at a close what it lost.
        let ended = match self.writer.into_inner() {
            Ok(buffer) => buffer.get_ref().settle(),
            Err(error) => Err(error.into_error()),
        };
        match self.error.map_or(ended.map_err(csv::Error::from), Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(failed(&self.path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_model_leave_the_others_columns_empty() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("signals.csv");
        let models = vec![
            ("a".to_owned(), vec!["x".to_owned()]),
            ("b".to_owned(), vec!["y".to_owned(), "z".to_owned()]),
        ];
        let mut received =
            Received::new(models, Some(Output::open(&file).expect("opened"))).expect("a file");
        for (model, values) in [(None, vec![0.1, 2.0, 3.0]), (Some(1), vec![4.0, f64::NAN])] {
            received.last = Signal {
                symbol: "BTCUSDT".into(),
                timestamp: 7,
                model,
                values,
            };
            received.take();
        }
        assert_eq!(received.last_values()[0], ("y".into(), 4.0));
        received.finish().expect("written");
        assert_eq!(
            std::fs::read_to_string(file).expect("a file"),
            "symbol,timestamp_ns,model,a.x,b.y,b.z\n\
             BTCUSDT,7,,0.1,2,3\nBTCUSDT,7,b,,4,NaN\n"
        );
    }
}
