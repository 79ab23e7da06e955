//! What a valid configuration leaves out although it seems to ask for it. The line at start and
//! `signal config check` say it.

use super::Config;

impl Config {
    /// What is left out and why, a phrase each.
    #[doc(hidden)]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        // Not refused: the report has counters and health, and its folder may come from the
        // environment of a host that has its reason for `timing`.
        if let (false, Some(dir)) = (self.timing, &self.latency.dir) {
            notes.push(format!(
                "timing is false: the report in {} has counters and no latencies",
                dir.display()
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_latencies_is_said() {
        for (json, are_said) in [
            (r#"{"timing": false, "latency": {"dir": "out"}}"#, true),
            (r#"{"timing": true, "latency": {"dir": "out"}}"#, false),
            (r#"{"timing": false}"#, false),
        ] {
            let notes = Config::from_json(json).unwrap().notes();
            assert_eq!(!notes.is_empty(), are_said, "{json}");
            assert!(notes.iter().all(|note| note.contains("timing is false")));
        }
    }
}
