//! One round: a handle, open-loop load with bursts, bad events and a host that
//! stalls, and at the end the books.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use signal_bench::folder::Folder;
use signal_command::host::library::Api;

use crate::accounts::{self, Counters};
use crate::cases::Case;
use crate::feed::{Call, Feed};
use crate::probe::Probe;
use crate::process::{self, Footprint};

/// Longest stall of the host.
const STALL: Duration = Duration::from_secs(1);
/// How long a handle may take to come to rest.
const REST: Duration = Duration::from_secs(20);
/// Counters are compared with an earlier reading this often.
const LOOK: Duration = Duration::from_millis(50);

/// What a round gave.
pub struct Round {
    /// Which case, by its place.
    pub case: usize,
    /// Events a second that were reached.
    pub rate: f64,
    /// The counters at the end.
    pub counters: Counters,
    /// p50, p99, p99.9 and greatest time from tick to callback, ns; `None` with
    /// timing off.
    pub latency: Option<[u64; 4]>,
    /// What `signal_health` said at the end.
    pub health: &'static str,
    /// Stalls of the host, and the longest, ms.
    pub stalls: (u32, u64),
    /// What the process held just before the handle was destroyed.
    pub full: Footprint,
    /// And after.
    pub after: Footprint,
    /// What did not hold.
    pub wrong: Vec<String>,
}

/// A host at work on one handle.
struct Host<'a> {
    probe: &'a Probe<'a>,
    case: &'a Case,
    feed: Feed,
    rng: Rng,
    length: Duration,
    stalls: (u32, u64),
    seen: Counters,
    wrong: Vec<String>,
}

/// Runs a round. `Err` is what kept it from running.
pub fn run(api: &Api, case: (usize, &Case), seed: u64, length: Duration) -> Result<Round, String> {
    let before = Footprint::now();
    let mut round = live(api, case, seed, length)?;
    // Handle, feed and probe are gone.
    process::trim();
    let after = Footprint::once_threads_are(before.threads);
    for (what, was, is) in [
        ("threads", before.threads, after.threads),
        ("descriptors", before.descriptors, after.descriptors),
    ] {
        if was != is {
            let wrong = format!("{what}: {was} before the handle, {is} after it");
            round.wrong.push(wrong);
        }
    }
    round.after = after;
    Ok(round)
}

/// The life of a handle.
fn live(
    api: &Api,
    (place, case): (usize, &Case),
    seed: u64,
    length: Duration,
) -> Result<Round, String> {
    let folder = Folder::new("soak")?;
    let captured = folder.path().join("events.csv");
    let mut config = case.config.clone();
    if case.latency_report {
        config["latency"]["dir"] = json!(folder.path());
    }
    if case.capture {
        config["capture"]["file"] = json!(captured);
    }
    let probe = Probe::new(api, &config, case)?;
    let handle = &probe.handle;
    let mut host = Host {
        probe: &probe,
        case,
        feed: Feed::new(seed, case.instruments),
        rng: Rng::with_seed(!seed),
        length,
        stalls: (0, 0),
        seen: Counters::new(&[]),
        wrong: Vec::new(),
    };
    // The first instrument is known before any other.
    let first = host.feed.good(case.trigger, 0);
    host.give(&first);
    let rate = host.load()?;
    host.rest()?;
    // Shows the gap that the last lost signals left.
    let last = host.feed.good(case.trigger, 0);
    host.give(&last);
    let counters = host.rest()?;
    let (given, stalls, mut wrong) = (host.feed.given, host.stalls, host.wrong);
    wrong.extend(accounts::check(case, &counters, &given, probe.calls()));
    wrong.extend(probe.wrong());
    let latency = tick_to_callback(&handle.hops());
    let timing = case.config["timing"] != json!(false);
    if latency.is_some() != timing {
        wrong.push(format!("timing is {timing}, latencies: {latency:?}"));
    }
    let health = handle.health()?;
    if health == "failed" {
        wrong.push(format!("the engine has failed: {}", handle.last_error()));
    }
    let full = Footprint::now();
    drop(probe);
    if case.capture {
        wrong.extend(check_capture(&captured, &counters).err());
    }
    if case.latency_report {
        let summary = folder.path().join("summary.json");
        wrong.extend(check_report(&summary, &counters).err());
    }
    Ok(Round {
        case: place,
        rate,
        counters,
        latency,
        health,
        stalls,
        full,
        after: Footprint::default(),
        wrong,
    })
}

impl Host<'_> {
    /// Feeds at a rate for the round's length: each event has a time at which it is
    /// due, whatever the library or a stall does, so what is late comes at once.
    fn load(&mut self) -> Result<f64, String> {
        let start = Instant::now();
        let gap = Duration::from_secs(1) / self.case.rate;
        let (mut due, mut look, mut deaf_until) = (Duration::ZERO, LOOK, Duration::ZERO);
        let mut stall = self.until_stall();
        let mut given = 0u64;
        loop {
            let now = start.elapsed();
            if now >= self.length {
                break;
            }
            if now >= stall {
                let long = self.stall_length();
                let (stalls, longest) = self.stalls;
                self.stalls = (stalls + 1, longest.max(long.as_millis() as u64));
                if self.rng.bool() {
                    std::thread::sleep(long);
                } else {
                    // Goes on feeding and does not poll.
                    deaf_until = now + long;
                }
                stall = now + long + self.until_stall();
                continue;
            }
            let polls = now >= deaf_until;
            if now < due {
                if polls {
                    self.probe.poll(true)?;
                }
                continue;
            }
            if now >= look {
                look = now + LOOK;
                self.look()?;
            }
            let burst = match self.rng.u8(..10) {
                0 => self.log_uniform(1000.0) as u32,
                _ => 1,
            };
            for _ in 0..burst {
                let call = self.feed.next_call();
                if polls && matches!(call, Call::Depth(_)) {
                    self.probe.poll(false)?;
                }
                self.give(&call);
            }
            given += u64::from(burst);
            due += gap * burst;
        }
        Ok(given as f64 / start.elapsed().as_secs_f64())
    }

    fn give(&self, call: &Call) {
        let (kind, data) = call.arguments();
        // SAFETY: the call has the data of its type.
        unsafe { self.probe.handle.on_data(kind, data) };
    }

    /// Counters never go back, and those of the host's own calls are exact.
    fn look(&mut self) -> Result<(), String> {
        let now = Counters::new(&self.probe.handle.stats()?);
        self.wrong.extend(now.gone_back(&self.seen));
        let [given, events] = [&self.feed.given, &now].map(|all| all.sum("events_*"));
        if events != given {
            let wrong = format!("{given} events given, {events} counted");
            self.wrong.push(wrong);
        }
        self.wrong.truncate(5);
        self.seen = now;
        Ok(())
    }

    /// Polls until nothing is under way; the counters then.
    fn rest(&mut self) -> Result<Counters, String> {
        let start = Instant::now();
        loop {
            let made = self.probe.poll(false)?;
            let counters = Counters::new(&self.probe.handle.stats()?);
            let written = !self.case.capture || counters.captured();
            if made == 0 && counters.at_rest() && written {
                return Ok(counters);
            }
            if start.elapsed() > REST {
                let counts = json!(counters);
                return Err(format!("not at rest after {REST:?}: {counts}"));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn until_stall(&mut self) -> Duration {
        let mean = (self.length / 6).min(Duration::from_secs(3));
        mean.mul_f64(-(1.0 - self.rng.f64()).ln())
    }

    /// 1 ms to 1 s, or to a fifth of a short round.
    fn stall_length(&mut self) -> Duration {
        let most = STALL.min(self.length / 5).as_secs_f64() * 1e3;
        Duration::from_secs_f64(self.log_uniform(most.max(1.0)) / 1e3)
    }

    /// 1 to `most`, as many below as above its square root.
    fn log_uniform(&mut self, most: f64) -> f64 {
        most.powf(self.rng.f64())
    }
}

fn tick_to_callback(hops: &[Value]) -> Option<[u64; 4]> {
    let hop = hops.iter().find(|hop| hop["hop"] == "tick_to_callback")?;
    let ns = |name: &str| hop[name].as_u64().unwrap_or(0);
    Some(["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(ns))
}

/// The file has a line for each event that was counted as written.
fn check_capture(file: &Path, counters: &Counters) -> Result<(), String> {
    // Line by line: a file of megabytes in memory would change how `malloc` behaves later.
    let lines = File::open(file).map(|file| BufReader::new(file).split(b'\n').count() as u64);
    let lines = lines.map_err(|error| named(file, error))?;
    let expected = counters.sum("capture_written") + 1;
    match lines == expected {
        true => Ok(()),
        false => Err(format!(
            "the capture has {lines} lines instead of {expected}"
        )),
    }
}

/// The report that the handle has written has its counters.
fn check_report(file: &Path, counters: &Counters) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| named(file, error))?;
    let summary: Value = serde_json::from_str(&text).unwrap_or_default();
    for name in ["events_depth", "signals", "delivered"] {
        let said = &summary["counters"][name];
        if *said != json!(counters.sum(name)) {
            return Err(format!("summary.json: {name} is {said}"));
        }
    }
    Ok(())
}

fn named(file: &Path, error: io::Error) -> String {
    format!("{}: {error}", file.display())
}
