//! What becomes of a real-time thread that never sleeps, and of what else wants its core.
//!
//! By default the kernel leaves real-time threads 950 ms of each second. Before Linux 6.12 it then
//! takes the core from them for the other 50 ms, whether anything else wants it or not: one event in
//! twenty would wait for up to 50 ms. So such lanes are refused there. Without that limit, nothing
//! else runs on the core at all, the kernel's own threads included. Since 6.12 the core is given away
//! only to ordinary threads that have waited for it for long, for up to 50 ms of a second, limit or
//! not.

use crate::os::files;
use crate::os::machine;

/// What the kernel does with a real-time thread that never sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttle {
    /// It takes the core away for this part of each period, us.
    Always { off_us: u64, period_us: u64 },
    /// It takes the core away only for others that wait for it.
    ForOthers,
    /// It never takes the core away.
    Never,
}

/// The first kernel that gives the core only to others.
const FOR_OTHERS: (u32, u32) = (6, 12);

/// The kernel's defaults, us.
const RUNTIME_US: i64 = 950_000;
const PERIOD_US: i64 = 1_000_000;

impl Throttle {
    pub(super) fn of_this_machine() -> Self {
        let number = |name: &str| {
            let text = files::system(format!("/proc/sys/kernel/{name}")).ok()?;
            text.trim().parse().ok()
        };
        Self::of(
            &machine::kernel().unwrap_or_default(),
            number("sched_rt_runtime_us").unwrap_or(RUNTIME_US),
            number("sched_rt_period_us").unwrap_or(PERIOD_US),
        )
    }

    /// An unknown release is an old one: that does no harm.
    fn of(release: &str, runtime_us: i64, period_us: i64) -> Self {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        let version = (number().unwrap_or(0), number().unwrap_or(0));
        if version >= FOR_OTHERS {
            return Self::ForOthers;
        }
        match u64::try_from(runtime_us) {
            Ok(runtime) if runtime_us < period_us => Self::Always {
                off_us: period_us.unsigned_abs() - runtime,
                period_us: period_us.unsigned_abs(),
            },
            _ => Self::Never,
        }
    }

    /// What a person should know of such a thread, with this policy.
    ///
    /// # Errors
    ///
    /// Why there must be none.
    pub(super) fn judge(self, policy: &str) -> Result<Option<String>, String> {
        match self {
            Self::Always { off_us, period_us } => Err(format!(
                "scheduler: with {policy}, the kernel takes the core from a lane that never sleeps for {off_us} us \
                 of each {period_us} (kernel.sched_rt_runtime_us); expected idle park, \
                 sched_rt_runtime_us -1 and a core that nothing else needs, or scheduler other"
            )),
            Self::ForOthers => Ok(Some(format!(
                "with scheduler {policy}, other threads that want a lane's core, the kernel's own too, wait for up to a \
                 second and then get 50 ms of it: give lanes cores that nothing else needs"
            ))),
            Self::Never => Ok(Some(format!(
                "with scheduler {policy} and sched_rt_runtime_us -1, nothing else ever runs on a lane's core, \
                 the kernel's own threads included, and the machine may hang: give lanes cores \
                 that nothing else needs"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITED: Throttle = Throttle::Always {
        off_us: 50_000,
        period_us: 1_000_000,
    };

    #[test]
    fn old_kernels_take_the_core_away_unless_told_not_to() {
        let of = |release, runtime| Throttle::of(release, runtime, 1_000_000);
        for old in ["6.11.9-x", "5.15.0-91-generic", "4.18", "", "unknown"] {
            assert_eq!(of(old, 950_000), LIMITED, "{old}");
            assert_eq!(of(old, -1), Throttle::Never, "{old}");
            assert_eq!(of(old, 1_000_000), Throttle::Never, "{old}");
        }
        for new in ["6.12.0", "6.18.44-fc", "7.0", "10.2.1"] {
            assert_eq!(of(new, 950_000), Throttle::ForOthers, "{new}");
            assert_eq!(of(new, -1), Throttle::ForOthers, "{new}");
        }
        let half = Throttle::of("5.4", 250, 500);
        let expected = Throttle::Always {
            off_us: 250,
            period_us: 500,
        };
        assert_eq!(half, expected);
    }

    #[test]
    fn a_lane_that_would_be_held_up_is_refused_and_others_are_warned_of() {
        let why = LIMITED.judge("fifo").unwrap_err();
        for part in [
            "50000 us of each 1000000",
            "idle park",
            "-1",
            "scheduler other",
        ] {
            assert!(why.contains(part), "{why}");
        }
        let others = Throttle::ForOthers.judge("rr").unwrap().unwrap();
        assert!(
            others.contains("50 ms") && others.contains("scheduler rr"),
            "{others}"
        );
        let never = Throttle::Never.judge("fifo").unwrap().unwrap();
        assert!(never.contains("may hang"), "{never}");
    }
}
