//! `signal config`: explains a configuration file, its defaults and its schema.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use signal::config::{ENV_CORES, ENV_LATENCY_DIR, add_latency_dir, schema};
use signal::engine::Blueprint;
use signal::os::cores::Cores;
use signal::os::machine::{group_memory_unknown, groups_stay_known};
use signal::pipeline::placement::Placement;
use signal::pipeline::plan::{Plan, Wanted};
use signal::stages::Callback;
use signal::{Config, Error, Registry};

use crate::failure::{Failure, Result};
use crate::print;

/// Prints the defaults as a file to start from.
pub fn default() -> Result<()> {
    print::line(&pretty(&Config::default()))
}

/// Prints the JSON Schema of a file.
pub fn print_schema() -> Result<()> {
    print::line(&pretty(&schema()))
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("keys are strings, and no number is NaN")
}

/// Explains a file and what it would run on this machine.
pub fn check(path: &Path) -> Result<()> {
    let said = |error: &dyn std::fmt::Display| Failure::said(error.to_string());
    let _groups = groups_stay_known();
    let mut config = Config::from_file(path).map_err(|error| said(&error))?;
    config
        .apply_cores_variable()
        .map_err(|error| said(&error))?;
    let written = config.clone();
    add_latency_dir(&mut config).map_err(|error| said(&error))?;
    // The engine checks values that depend on each other, and does not know their source.
    let source = source(path);
    let said = |error: Error| said(&format!("{source}: {error}"));
    let blueprint = Blueprint::new(&config, &Registry::default()).map_err(said)?;
    let cores = Cores::detect();
    let plan = plan(config.wanted(), &cores).map_err(said)?;
    blueprint.check_start(&plan).map_err(said)?;
    let mut text = explain(path, &blueprint, &cores, &plan, &written);
    if config.placement != Placement::Auto {
        let wanted = Wanted {
            placement: &Placement::Auto,
            cores: None,
            ..config.wanted()
        };
        let auto = self::plan(wanted, &cores).map_err(said)?;
        text.push_str(&format!("auto       would choose: {auto}\n"));
    }
    print::line(text.trim_end())
}

/// The plan, or the error that an engine would end with.
pub fn plan(wanted: Wanted<'_>, cores: &Cores) -> std::result::Result<Plan, Error> {
    Plan::new(wanted, cores).map_err(Error::Placement)
}

/// What a configuration is made of: the file, and the variable that wins over it.
pub fn source(path: &Path) -> String {
    match std::env::var_os(ENV_CORES) {
        Some(_) => format!("{} with {ENV_CORES}", path.display()),
        None => path.display().to_string(),
    }
}

fn explain(
    path: &Path,
    blueprint: &Blueprint,
    cores: &Cores,
    plan: &Plan,
    written: &Config,
) -> String {
    let config = blueprint.config();
    let mut text = format!("{}: ok\n\n", path.display());
    let mut row = |name: &str, what: String| {
        let _ = writeln!(text, "{name:<11}{what}");
    };
    let sets: Vec<_> = blueprint.sets().collect();
    let factors = blueprint.factors();
    row(
        "factors",
        format!(
            "{}: {} factors from {} book levels",
            sets.join(" + "),
            factors.len(),
            blueprint.levels()
        ),
    );
    row("", numbered(factors));
    for (index, model) in blueprint.models().iter().enumerate() {
        let values = numbered(&model.outputs);
        let name = visible(&model.name);
        row(
            if index == 0 { "models" } else { "" },
            format!("{name} ({}): {values}", model.kind),
        );
        if model.unnamed {
            row(
                "",
                format!(
                    "{name}: its file does not name its inputs, so that their order could not be checked"
                ),
            );
        }
        if let Some(note) = &model.note {
            row("", format!("{name}: {note}"));
        }
    }
    row(
        "callback",
        match (config.callback, blueprint.models().len()) {
            (_, 1) => format!("one per trigger, {} values", blueprint.widest_signal()),
            (Callback::Concatenated, _) => format!(
                "one per trigger, {} values: the models' one after the other",
                blueprint.widest_signal()
            ),
            (Callback::PerModel, models) => format!("{models} per trigger, one per model"),
        },
    );
    row("trigger", list(&config.trigger));
    if !config.assets.is_empty() {
        row("assets", config.assets.join(", "));
    }
    row(
        "memory",
        format!(
            "{:.1} MiB for rings, and tables and factors of {} instruments",
            blueprint.bytes() as f64 / f64::from(1 << 20),
            config.instruments.max
        ),
    );
    let host = cores
        .host
        .map_or_else(String::new, |core| format!(", this thread on {core}"));
    let quota = cores
        .quota
        .map_or_else(String::new, |cores| format!(", CPU quota of {cores} cores"));
    row(
        "machine",
        format!(
            "allowed cores {:?}, isolated {:?}{host}{quota}",
            cores.allowed, cores.isolated
        ),
    );
    row(
        "placement",
        format!(
            "{} here: {plan}",
            plan.about(&config.placement, config.shards)
        ),
    );
    for note in plan.notes.iter().cloned().chain(group_memory_unknown()) {
        row("", note);
    }
    let warm = plan.rehearses(config.warm).map_or_else(
        || "lanes do not keep themselves warm: the key warm is off, or none of them spins".into(),
        |interval| {
            let micros = interval.as_micros();
            format!("lanes keep themselves warm: one of the last messages again every {micros} us")
        },
    );
    row("", warm);
    let measured = format!(
        "`signal tune {}` measures which settings are fastest here",
        path.display()
    );
    row("tune", measured);
    if let Some(cores) = std::env::var_os(ENV_CORES) {
        row(
            "",
            format!("{ENV_CORES}={} wins over the file", cores.to_string_lossy()),
        );
    }
    if let (None, Some(dir)) = (&written.latency.dir, &config.latency.dir) {
        let folder = dir.parent().unwrap_or(dir).display();
        row(
            "report",
            format!("in {folder}, a folder for each handle: {ENV_LATENCY_DIR} says so"),
        );
    }
    let missing = config.missing_folders();
    for note in config.notes(plan).into_iter().chain(missing) {
        row("note", visible(&note));
    }
    let changed = changes(&value(written), &value(&Config::default()), "");
    row(
        "changed",
        match changed.is_empty() {
            true => "nothing: these are the defaults".into(),
            false => changed.join("\n           "),
        },
    );
    text
}

fn value(config: &Config) -> Value {
    serde_json::to_value(config).expect("keys are strings, and no number is NaN")
}

fn list(kinds: &[signal::abi::EventKind]) -> String {
    let names: Vec<_> = kinds
        .iter()
        .map(|kind| serde_json::to_value(kind).unwrap_or_default())
        .map(|name| name.as_str().unwrap_or_default().to_owned())
        .collect();
    names.join(", ")
}

/// A name with its control characters escaped.
fn visible(name: &str) -> String {
    let shown = name.chars().map(|letter| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    });
    shown.collect()
}

/// Names with their indices, as strategies use them.
fn numbered(names: &[String]) -> String {
    let named = names.iter().enumerate();
    let named: Vec<_> = named
        .map(|(place, name)| format!("[{place}] {}", visible(name)))
        .collect();
    let lines: Vec<_> = named.chunks(5).map(|line| line.join(", ")).collect();
    lines.join(",\n           ")
}

/// Keys whose values differ from the defaults, with both values.
fn changes(ours: &Value, defaults: &Value, path: &str) -> Vec<String> {
    if let (Value::Object(ours), Value::Object(defaults)) = (ours, defaults) {
        let inner = ours.iter().flat_map(|(key, value)| {
            let path = match path.is_empty() {
                true => key.clone(),
                false => format!("{path}.{key}"),
            };
            changes(value, &defaults[key], &path)
        });
        return inner.collect();
    }
    match ours == defaults {
        true => Vec::new(),
        false => vec![format!("{path} = {ours} (default {defaults})")],
    }
}
