//! The models' folder: made if it is not there, rows and expected outputs read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde::Deserialize;

pub const FACTORS: usize = 15;
/// Outputs that a model has at most.
pub const OUTPUTS: usize = 2;

/// A factor vector, as the engine's model stage holds it.
pub type Row = [f64; FACTORS];
/// Outputs; a model that has fewer leaves the rest alone.
pub type Out = [f64; OUTPUTS];

/// Fewer different rows than this say nothing about caches and branches.
const LEAST_ROWS: usize = 1024;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/inference/models.py");

/// `bench.json` of the models' folder.
#[derive(Deserialize)]
pub struct Inputs {
    #[serde(skip)]
    pub folder: PathBuf,
    /// As many as a power of two.
    pub rows: Vec<Row>,
    /// By model file: what its trainer's library computes for each row.
    pub outputs: BTreeMap<String, Vec<Vec<f64>>>,
    /// Versions of what made the models.
    pub made_with: BTreeMap<String, String>,
}

/// Reads the folder. Without `asked` it is one beside the program, and made
/// anew if `models.py` is younger.
pub fn load(asked: Option<&Path>) -> Result<Inputs, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = program.with_file_name("inference-models");
    let folder = asked.unwrap_or(&beside).to_owned();
    let index = folder.join("bench.json");
    let age = |path: &Path| fs::metadata(path).and_then(|about| about.modified());
    let made = age(&index).unwrap_or(SystemTime::UNIX_EPOCH);
    let is_stale = asked.is_none() && age(Path::new(SCRIPT)).is_ok_and(|script| script > made);
    if !index.exists() || is_stale {
        make(&folder)?;
    }
    let named = |error: String| format!("{}: {error}", index.display());
    let bytes = fs::read(&index).map_err(|error| named(error.to_string()))?;
    let inputs = serde_json::from_slice(&bytes);
    let inputs: Inputs = inputs.map_err(|error| named(error.to_string()))?;
    let rows = inputs.rows.len();
    if rows < LEAST_ROWS || !rows.is_power_of_two() {
        return Err(named(format!(
            "{rows} rows; expected a power of two, at least {LEAST_ROWS}"
        )));
    }
    for (file, outputs) in &inputs.outputs {
        let fits = |row: &Vec<f64>| (1..=OUTPUTS).contains(&row.len());
        if outputs.len() != rows || !outputs.iter().all(fits) {
            return Err(named(format!(
                "outputs of {file}: expected 1 or {OUTPUTS} for each of {rows} rows"
            )));
        }
    }
    Ok(Inputs { folder, ..inputs })
}

fn make(folder: &Path) -> Result<(), String> {
    println!(
        "training the models into {} (python3 models.py, once)",
        folder.display()
    );
    let status = Command::new("python3").arg(SCRIPT).arg(folder).status();
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "python3 {SCRIPT} {}: {why}; it needs the packages of tests/python/requirements.txt",
        folder.display()
    ))
}
