//! What the report's thread says on stderr when it first sees it, since it cannot be known at the
//! start: a core that a lane has to share, and signals that came late. Each once per engine: health
//! and the report say more.

use std::fmt;

use super::away::Windows;
use super::monitor::Monitor;

/// What was told, with the memory that it takes to look.
pub(super) struct ToldOnce {
    windows: Windows,
    shared_core: bool,
    late: bool,
}

impl ToldOnce {
    /// Nothing was told. Takes all the memory that it needs.
    pub(super) fn new(monitor: &Monitor) -> Self {
        Self {
            windows: monitor.windows(),
            shared_core: false,
            late: false,
        }
    }

    /// Passes what is new to `tell`. Call it about once a second.
    pub(super) fn look(&mut self, monitor: &Monitor, tell: &mut dyn FnMut(fmt::Arguments<'_>)) {
        if !self.shared_core
            && let Some(shared) = monitor.shared_core(&mut self.windows)
        {
            self.shared_core = true;
            tell(format_args!("{}", monitor.told(shared, None)));
        }
        if !self.late
            && let Some(late) = monitor.late_enough_to_tell()
        {
            self.late = true;
            tell(format_args!("so far the {late}"));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::monitor_of;
    use super::*;
    use crate::telemetry::counters::{Counter, Counters};

    #[test]
    fn late_signals_are_told_once() {
        let counters = Counters::new();
        let monitor = monitor_of(counters.clone());
        let mut told = ToldOnce::new(&monitor);
        let mut look = || {
            let mut lines = Vec::new();
            told.look(&monitor, &mut |line| lines.push(line.to_string()));
            lines
        };
        counters.add(Counter::Answered, 400);
        counters.add(Counter::DeliverLate, 4);
        assert_eq!(look(), [""; 0]);
        counters.add(Counter::DeliverLate, 1);
        let lines = look();
        let [line] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(
            line.starts_with("so far the signals of 5 events (of 400 that were answered)")
                && line.contains("expected a longer budget"),
            "{line}"
        );
        counters.add(Counter::DeliverLate, 100);
        assert_eq!(look(), [""; 0]);
    }
}
