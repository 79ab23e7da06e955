//! Whether the cores were the run's own while it was timed, as the kernel counts it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use signal::os::cores::LANE_NAME;
use signal::os::machine::{each_thread, waited_for_a_core};

/// From this part of the time on, waits for a core show in a p99.
const MOST_WAITED: f64 = 0.01;

/// The threads that latencies depend on, by number: name, and how long each has waited for a core
/// so far.
type Waited = HashMap<u32, (String, Duration)>;

/// What the threads had waited when this was made.
pub struct Watch {
    before: Waited,
    since: Instant,
}

impl Watch {
    /// Begins now.
    pub fn begin() -> Self {
        Self {
            before: waited(),
            since: Instant::now(),
        }
    }

    /// What is to be said of the time since, if the threads had to wait for cores.
    pub fn complaint(&self) -> Option<String> {
        let now = waited();
        complaint(&self.before, &now, self.since.elapsed())
    }
}

fn complaint(before: &Waited, now: &Waited, time: Duration) -> Option<String> {
    let known = now.iter().filter_map(|(id, (name, waited))| {
        let (_, earlier) = before.get(id)?;
        Some((name, waited.saturating_sub(*earlier)))
    });
    let most = time.mul_f64(MOST_WAITED);
    let mut long: Vec<_> = known.filter(|(_, waited)| *waited > most).collect();
    long.sort_unstable();
    let part = |waited: Duration| 100.0 * waited.as_secs_f64() / time.as_secs_f64();
    let each = long.iter().map(|(name, waited)| {
        format!(
            "{name} waited for a core for {:.0} % of the time",
            part(*waited)
        )
    });
    let each: Vec<_> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "INVALID as latencies of the library: other threads had its cores; {}",
            each.join(", ")
        )
    })
}

/// This thread, which is the host's, and the lanes. Empty where the kernel does not count.
fn waited() -> Waited {
    let mut all = Waited::new();
    // Where it fails, what is not known is not told.
    let _ = each_thread(|thread| {
        let name = match thread.name.strip_prefix(LANE_NAME) {
            Some(number) => format!("lane {number}"),
            None if thread.id == std::process::id() => "the host's thread".to_owned(),
            None => return,
        };
        all.extend(waited_for_a_core(thread.id).map(|waited| (thread.id, (name, waited))));
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_more_than_a_hundredth_are_told() {
        let of = |waited: [u64; 2]| -> Waited {
            let names = ["the host's thread", "lane 0"];
            let each = names.into_iter().zip(waited).zip(1..);
            each.map(|((name, ms), id)| (id, (name.to_owned(), Duration::from_millis(ms))))
                .collect()
        };
        let second = Duration::from_secs(1);
        assert_eq!(complaint(&of([5, 5]), &of([15, 15]), second), None);
        assert_eq!(complaint(&Waited::new(), &of([500, 500]), second), None);
        let told = complaint(&of([5, 5]), &of([6, 475]), second).expect("a complaint");
        assert!(told.starts_with("INVALID"), "{told}");
        assert!(
            told.ends_with("; lane 0 waited for a core for 47 % of the time"),
            "{told}"
        );
    }
}
