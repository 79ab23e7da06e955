//! Whether a CPU quota of a control group holds the process up, whenever that quota was set.
//!
//! The counts are in files. The report's thread opens them each time. Without a report, the thread
//! that asks for health looks. It is the host's, and a sandbox may end a thread that opens a file: so
//! it reads those that create has opened.

use std::fmt;
#[cfg(test)]
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use crate::os::machine::{Level, OpenGroups, Throttled, Throttling};

/// Most groups that are looked at: the process' own and those above it.
const MOST: usize = 16;

/// No quota: none is 0.
const NONE: u64 = 0;

/// Sums up how the process has been held up since this was made.
pub(crate) struct HeldUp {
    throttled: Option<Throttled>,
    /// Files that are open, where the host's thread looks. They do not tell the quota.
    open: Option<Arc<OpenGroups>>,
    /// The groups, as the last look found them.
    last: Mutex<Levels>,
    so_far: [AtomicU64; 3],
    /// How often in the time before the last look.
    lately: AtomicU64,
    /// The bits of the quota that was last seen, in cores.
    quota: AtomicU64,
    /// Whether lanes could park, and do not.
    could_park: bool,
}

impl HeldUp {
    /// Begins with the groups that the calling thread is in. Without a report's thread the host's
    /// looks. `could_park` is whether lanes never sleep.
    pub(crate) fn new(has_report: bool, could_park: bool) -> Box<Self> {
        Self::by(Throttled::find(), has_report, could_park)
    }

    /// For a machine whose system files are below `system`.
    #[cfg(test)]
    pub(crate) fn on(system: &Path, has_report: bool) -> Box<Self> {
        Self::by(Throttled::find_in(system), has_report, true)
    }

    /// A call of its own: its buffers must not lie on the host's stack for longer.
    #[inline(never)]
    fn by(throttled: Option<Throttled>, has_report: bool, could_park: bool) -> Box<Self> {
        let by_host = throttled.as_ref().filter(|_| !has_report);
        let open = by_host.and_then(Throttled::open);
        let mut levels = Levels::default();
        let mut tightest = None::<f64>;
        let mut first = |level: Level| {
            let Some(so_far) = level.so_far else {
                return;
            };
            if let Some(quota) = level.quota {
                tightest = Some(tightest.unwrap_or(f64::INFINITY).min(quota.cores));
            }
            levels.add(level.id, so_far);
        };
        match (&open, &throttled) {
            (Some(open), _) => open.each_level(first),
            (None, Some(throttled)) => throttled.each_level_of_then(&mut first),
            (None, None) => {}
        }
        Box::new(Self {
            throttled,
            open,
            last: Mutex::new(levels),
            so_far: Default::default(),
            lately: AtomicU64::new(0),
            quota: AtomicU64::new(tightest.map_or(NONE, f64::to_bits)),
            could_park,
        })
    }

    /// Asks the kernel, for the report's thread. Neither waits for another look nor allocates. What
    /// cannot be read now is as it was.
    pub(super) fn look(&self) {
        if let Some(throttled) = &self.throttled {
            self.look_at(|each| throttled.each_level(each));
        }
    }

    /// The same for the host's thread: opens no file. Does nothing where the report's thread looks.
    pub(super) fn look_as_host(&self) {
        if let Some(open) = &self.open {
            self.look_at(|each| open.each_level(each));
        }
    }

    #[inline(never)]
    fn look_at(&self, groups: impl FnOnce(&mut dyn FnMut(Level))) {
        let mut last = match self.last.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(last)) => last.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut now = Levels::default();
        let mut worst: Option<Growth> = None;
        groups(&mut |level| {
            let before = last.of(level.id);
            // What cannot be read now grows from where it was, once it can.
            let Some(so_far) = level.so_far else {
                before.inspect(|before| now.add(level.id, *before));
                return;
            };
            now.add(level.id, so_far);
            let growth = Growth {
                // Where the process was moved to: what was there before it came is not its own.
                of: so_far.since(before.unwrap_or(so_far)),
                cores: level.quota.map(|quota| quota.cores),
            };
            if growth.matters() && worst.is_none_or(|worst| growth.is_worse_than(worst)) {
                worst = Some(growth);
            }
        });
        if now.count > 0 {
            *last = now;
        }
        self.lately.store(0, Ordering::Relaxed);
        if let Some(Growth { of, cores }) = worst {
            let grown = self.counts().and(of);
            let grown = [grown.nr_periods, grown.nr_throttled, grown.throttled_us];
            for (count, grown) in self.so_far.iter().zip(grown) {
                count.store(grown, Ordering::Relaxed);
            }
            self.lately.store(of.nr_throttled, Ordering::Relaxed);
            if let Some(cores) = cores {
                self.quota.store(cores.to_bits(), Ordering::Relaxed);
            }
        }
    }

    /// How the process was held up, as far as was looked; `None` where there was never a quota.
    pub(super) fn so_far(&self) -> Option<Throttling> {
        let counts = self.counts();
        (self.cores().is_some() || counts.nr_throttled > 0).then_some(counts)
    }

    /// What there is to say of it all.
    pub(super) fn told(&self) -> Option<Told> {
        let so_far = self.counts();
        (so_far.nr_throttled > 0).then(|| Told {
            so_far,
            cores: self.cores(),
            could_park: self.could_park,
        })
    }

    /// The same, if the process was held up since the `seen` times, or in the time before the last
    /// look.
    pub(super) fn told_since(&self, seen: &mut u64) -> Option<Told> {
        let told = self.told()?;
        let before = std::mem::replace(seen, told.so_far.nr_throttled);
        let is_new = told.so_far.nr_throttled > before;
        (is_new || self.lately.load(Ordering::Relaxed) > 0).then_some(told)
    }

    fn counts(&self) -> Throttling {
        let [nr_periods, nr_throttled, throttled_us] = self
            .so_far
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        Throttling {
            nr_periods,
            nr_throttled,
            throttled_us,
        }
    }

    fn cores(&self) -> Option<f64> {
        let bits = self.quota.load(Ordering::Relaxed);
        (bits != NONE).then(|| f64::from_bits(bits))
    }
}

/// How a group was held up between two looks, and its quota.
#[derive(Clone, Copy)]
struct Growth {
    of: Throttling,
    cores: Option<f64>,
}

impl Growth {
    fn matters(&self) -> bool {
        self.cores.is_some() || self.of.nr_throttled > 0
    }

    /// Of groups that were held up as often, that with the tightest quota counts.
    fn is_worse_than(&self, other: Self) -> bool {
        let times = |growth: &Self| growth.of.nr_throttled;
        let cores = |growth: &Self| growth.cores.unwrap_or(f64::INFINITY);
        times(self) > times(&other) || times(self) == times(&other) && cores(self) < cores(&other)
    }
}

/// What each group was held up for so far.
#[derive(Default)]
struct Levels {
    levels: [(u64, Throttling); MOST],
    count: usize,
}

impl Levels {
    fn add(&mut self, id: u64, so_far: Throttling) {
        if let Some(place) = self.levels.get_mut(self.count) {
            *place = (id, so_far);
            self.count += 1;
        }
    }

    fn of(&self, id: u64) -> Option<Throttling> {
        let mut levels = self.levels[..self.count].iter();
        levels
            .find(|(other, _)| *other == id)
            .map(|(_, throttling)| *throttling)
    }
}

/// How the process was held up, in words, with the cure.
#[derive(Clone, Copy)]
pub(super) struct Told {
    so_far: Throttling,
    cores: Option<f64>,
    could_park: bool,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Throttling {
            nr_periods,
            nr_throttled,
            throttled_us,
        } = self.so_far;
        f.write_str("throttled: a CPU quota")?;
        if let Some(cores) = self.cores {
            write!(f, " of {cores} cores")?;
        }
        write!(
            f,
            " of the control group has stopped this process in {nr_throttled} of {nr_periods} periods so far, for \
             {:.3} s, added over its cores; expected a quota that covers the lanes and the host's thread: raise \
             or remove it (cpu.max, cpu.cfs_quota_us, docker --cpus)",
            throttled_us as f64 / 1e6
        )?;
        match self.could_park {
            true => f.write_str(", or have lanes park (`idle`)"),
            false => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A machine with control groups of version 2, in which this process is in one of two.
    struct System(tempfile::TempDir);

    impl System {
        fn new() -> Self {
            let system = Self(tempfile::tempdir().unwrap());
            let mount = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
            system.write("proc/thread-self/mountinfo", mount);
            system.is_in("above/app");
            system
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn is_in(&self, group: &str) {
            self.write("proc/thread-self/cgroup", &format!("0::/{group}\n"));
        }

        fn quota(&self, group: &str, quota: &str) {
            self.write(&format!("sys/fs/cgroup/{group}/cpu.max"), quota);
        }

        fn stat(&self, group: &str, [periods, throttled, us]: [u64; 3]) {
            let text =
                format!("nr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec {us}\n");
            self.write(&format!("sys/fs/cgroup/{group}/cpu.stat"), &text);
        }

        fn held_up(&self) -> Box<HeldUp> {
            HeldUp::on(self.0.path(), true)
        }
    }

    fn so_far(held_up: &HeldUp) -> Option<[u64; 3]> {
        let so_far = held_up.so_far()?;
        Some([so_far.nr_periods, so_far.nr_throttled, so_far.throttled_us])
    }

    #[test]
    fn a_quota_counts_from_when_it_was_set_though_there_was_none_at_first() {
        let system = System::new();
        system.quota("above/app", "max 100000\n");
        // Of an earlier quota.
        system.stat("above/app", [70, 60, 50_000]);
        let held_up = system.held_up();
        held_up.look();
        assert_eq!(so_far(&held_up), None);
        let mut seen = 0;
        assert!(held_up.told_since(&mut seen).is_none());
        system.quota("above/app", "50000 100000\n");
        system.stat("above/app", [80, 69, 500_000]);
        held_up.look();
        assert_eq!(so_far(&held_up), Some([10, 9, 450_000]));
        let told = held_up.told_since(&mut seen).unwrap().to_string();
        let begins = "throttled: a CPU quota of 0.5 cores of the control group has stopped this process in 9 of 10 \
                      periods so far, for 0.450 s, added over its cores; ";
        assert!(told.starts_with(begins), "{told}");
        // It holds until a look finds that it is over.
        assert!(held_up.told_since(&mut seen).is_some());
        held_up.look();
        assert!(held_up.told_since(&mut seen).is_none());
        // Of short times between two questions, none is missed.
        system.stat("above/app", [90, 70, 500_001]);
        held_up.look();
        held_up.look();
        assert!(held_up.told_since(&mut seen).is_some());
        // What has been, stays told.
        system.quota("above/app", "max 100000\n");
        held_up.look();
        assert_eq!(so_far(&held_up), Some([20, 10, 450_001]));
        assert!(held_up.told().is_some());
    }

    #[test]
    fn the_group_that_was_held_up_most_counts_and_then_the_tightest_quota() {
        let system = System::new();
        system.quota("above/app", "200000 100000\n");
        system.quota("above", "50000 100000\n");
        for group in ["above/app", "above"] {
            system.stat(group, [10, 0, 0]);
        }
        let held_up = system.held_up();
        system.stat("above/app", [12, 0, 0]);
        system.stat("above", [13, 0, 0]);
        held_up.look();
        assert_eq!(so_far(&held_up), Some([3, 0, 0]));
        assert!(held_up.told().is_none());
        system.stat("above/app", [22, 7, 9]);
        system.stat("above", [23, 1, 1]);
        held_up.look();
        assert_eq!(so_far(&held_up), Some([13, 7, 9]));
        assert!(held_up.told().unwrap().to_string().contains("2 cores"));
    }

    #[test]
    fn what_others_were_held_up_for_before_the_process_came_is_not_its_own() {
        let system = System::new();
        let held_up = system.held_up();
        system.quota("slow", "20000 100000\n");
        system.stat("slow", [1_000, 900, 800]);
        system.is_in("slow");
        held_up.look();
        assert_eq!(so_far(&held_up), Some([0, 0, 0]));
        system.stat("slow", [1_005, 904, 803]);
        held_up.look();
        assert_eq!(so_far(&held_up), Some([5, 4, 3]));
    }

    #[test]
    fn without_a_report_the_host_looks_through_open_files() {
        let system = System::new();
        system.write("proc/self/cgroup", "0::/above/app\n");
        system.stat("above", [70, 60, 50_000]);
        // Nobody would say that it is another one by now.
        system.quota("above", "400000 100000\n");
        let held_up = HeldUp::on(system.0.path(), false);
        system.quota("above", "20000 100000\n");
        system.stat("above", [80, 69, 500_000]);
        held_up.look_as_host();
        let told = held_up.told_since(&mut 0).unwrap().to_string();
        let begins = "throttled: a CPU quota of the control group has stopped this process in 9 of 10 periods";
        assert!(told.starts_with(begins), "{told}");
        // With a report's thread it leaves that to it.
        let held_up = HeldUp::on(system.0.path(), true);
        system.stat("above", [90, 79, 500_000]);
        held_up.look_as_host();
        assert!(held_up.told().is_none());
    }

    #[test]
    fn one_of_several_groups_that_cannot_be_read_for_a_while_loses_nothing() {
        let system = System::new();
        system.write("proc/self/cgroup", "0::/above/app\n");
        for group in ["above/app", "above"] {
            system.stat(group, [10, 0, 0]);
        }
        for has_report in [true, false] {
            let held_up = HeldUp::on(system.0.path(), has_report);
            let look = || match has_report {
                true => held_up.look(),
                false => held_up.look_as_host(),
            };
            system.write("sys/fs/cgroup/above/cpu.stat", "");
            look();
            system.stat("above", [20, 9, 8]);
            look();
            assert_eq!(so_far(&held_up), Some([10, 9, 8]));
            system.stat("above", [10, 0, 0]);
        }
    }

    #[test]
    fn lanes_that_park_already_are_not_told_to() {
        let system = System::new();
        system.quota("above/app", "50000 100000\n");
        for could_park in [true, false] {
            system.stat("above/app", [10, 0, 0]);
            let found = Throttled::find_in(system.0.path());
            let held_up = HeldUp::by(found, true, could_park);
            system.stat("above/app", [20, 9, 8]);
            held_up.look();
            let told = held_up.told().unwrap().to_string();
            assert!(told.contains("raise or remove it"), "{told}");
            assert_eq!(told.contains("have lanes park"), could_park, "{told}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_known_and_no_error() {
        let nothing = tempfile::tempdir().unwrap();
        let held_up = HeldUp::on(nothing.path(), true);
        held_up.look();
        assert_eq!(so_far(&held_up), None);
        // Files that are unreadable for a while.
        let system = System::new();
        system.quota("above/app", "50000 100000\n");
        system.stat("above/app", [1, 1, 1]);
        let held_up = system.held_up();
        let stat = system.0.path().join("sys/fs/cgroup/above/app/cpu.stat");
        std::fs::remove_file(&stat).unwrap();
        std::fs::create_dir(&stat).unwrap();
        held_up.look();
        assert_eq!(so_far(&held_up), Some([0, 0, 0]));
        std::fs::remove_dir(&stat).unwrap();
        system.stat("above/app", [3, 2, 8]);
        held_up.look();
        assert_eq!(so_far(&held_up), Some([2, 1, 7]));
    }
}
