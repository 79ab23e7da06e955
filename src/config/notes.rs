//! What a valid configuration leaves out although it seems to ask for it. The line at start and
//! `signal config check` say it.

use std::io::ErrorKind;
use std::path::Path;

use super::Config;
use crate::os::files::about_path;
use crate::pipeline::plan::Plan;

impl Config {
    /// What is left out and why, and what lanes of this plan may do to the machine, a phrase each.
    #[doc(hidden)]
    pub fn notes(&self, plan: &Plan) -> Vec<String> {
        let mut notes = Vec::new();
        // Not refused: the report has counters and health, and its folder may come from the
        // environment of a host that has its reason for `timing`.
        if let (false, Some(dir)) = (self.timing, &self.latency.dir) {
            notes.push(format!(
                "timing is false: the report in {} has counters and no latencies",
                dir.display()
            ));
        }
        if !plan.sleeps() {
            // A refusal has come before.
            notes.extend(self.scheduling().check_sleepless().unwrap_or_default());
        }
        notes
    }

    /// Which folders a start makes on the way to the files that it writes, a phrase each. A path with
    /// a mistake in it is one that nobody has made before.
    #[doc(hidden)]
    pub fn missing_folders(&self) -> Vec<String> {
        // The folder of a report itself is new with each.
        let outputs = [
            ("capture.file", self.capture.file.as_deref()),
            ("latency.dir", self.latency.dir.as_deref()),
        ];
        let missing = outputs.into_iter().filter_map(|(key, path)| {
            let folder = path?.parent().filter(|folder| is_missing(folder))?;
            Some(format!(
                "{key}: the folder {}, which was not there, is made at start",
                folder.display()
            ))
        });
        missing.collect()
    }
}

/// Whether nothing is there. The folder of a bare name is the working directory.
fn is_missing(folder: &Path) -> bool {
    let about = about_path(folder);
    let is_bare = folder.as_os_str().is_empty();
    !is_bare && about.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::threads::Scheduler;
    use crate::pipeline::idle::Idle;
    use crate::pipeline::plan::LanePlan;
    use crate::stages::Stage;

    fn inline() -> Plan {
        Plan {
            lanes: Vec::new(),
            shards: 1,
            notes: Vec::new(),
        }
    }

    #[test]
    fn only_lanes_that_never_sleep_are_warned_of() {
        let lane = |idle| LanePlan {
            stages: Stage::Ingest..=Stage::Egress,
            share: None,
            shard: None,
            core: None,
            idle,
        };
        for (idle, sleeps) in [
            (Idle::Park, true),
            (Idle::Spin, false),
            (Idle::Yield, false),
        ] {
            let plan = Plan {
                lanes: vec![lane(idle)],
                ..inline()
            };
            assert_eq!(plan.sleeps(), sleeps);
            let mut config = Config::default();
            assert!(config.notes(&plan).is_empty());
            config.scheduler = Scheduler::Fifo(3);
            // Where the kernel would hold such a lane up, it is refused instead.
            let is_allowed = config.scheduling().check_sleepless().is_ok();
            assert_eq!(!config.notes(&plan).is_empty(), !sleeps && is_allowed);
        }
    }

    #[test]
    fn folders_that_a_start_makes_on_the_way_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let said = |json: &str, path: &str| {
            let path = dir.path().join(path);
            let json = json.replace("PATH", path.to_str().unwrap());
            Config::from_json(&json).unwrap().missing_folders()
        };
        let new = dir.path().join("a/b");
        for (key, json) in [
            ("capture.file", r#"{"capture": {"file": "PATH"}}"#),
            ("latency.dir", r#"{"latency": {"dir": "PATH"}}"#),
        ] {
            let right = format!(
                "{key}: the folder {}, which was not there, is made at start",
                new.display()
            );
            assert_eq!(said(json, "a/b/c"), [right]);
            assert!(said(json, "c").is_empty());
        }
        for bare in [r#"{"capture": {"file": "c"}}"#, "{}"] {
            assert!(said(bare, "").is_empty(), "{bare}");
        }
    }

    #[test]
    fn a_report_without_latencies_is_said() {
        for (json, are_said) in [
            (r#"{"timing": false, "latency": {"dir": "out"}}"#, true),
            (r#"{"timing": true, "latency": {"dir": "out"}}"#, false),
            (r#"{"timing": false}"#, false),
        ] {
            let notes = Config::from_json(json).unwrap().notes(&inline());
            assert_eq!(!notes.is_empty(), are_said, "{json}");
            assert!(notes.iter().all(|note| note.contains("timing is false")));
        }
    }
}
