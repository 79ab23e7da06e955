//! What a valid configuration leaves out although it seems to ask for it. The line at start and
//! `signal config check` say it.

use super::Config;
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
