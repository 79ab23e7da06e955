//! One round: a handle, open-loop load with bursts, bad events and a host that
//! stalls, and at the end the books.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use signal_command::host::library::{Api, Handle};

use crate::accounts::{self, Counters};
use crate::cases::Case;
use crate::feed::{Call, Feed, Given};
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
    /// What the host gave.
    pub given: Given,
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
    handle: &'a Handle,
    probe: &'a Probe,
    feed: Feed,
    rng: Rng,
    length: Duration,
    capture: bool,
    stalls: (u32, u64),
    seen: Counters,
    wrong: Vec<String>,
}

/// Runs a round. `Err` is what kept it from running.
pub fn run(
    api: &Api,
    case: (usize, &Case),
    seed: u64,
    length: Duration,
    folder: &Path,
) -> Result<Round, String> {
    let before = Footprint::now();
    let mut round = live(api, case, seed, length, folder)?;
    // Handle, feed and probe are gone.
    process::trim();
    round.after = Footprint::once_threads_are(before.threads);
    for (what, was, is) in [
        ("threads", before.threads, round.after.threads),
        ("descriptors", before.descriptors, round.after.descriptors),
    ] {
        if was != is {
            let wrong = format!("{what}: {was} before the handle, {is} after it");
            round.wrong.push(wrong);
        }
    }
    Ok(round)
}

/// The life of a handle.
fn live(
    api: &Api,
    (place, case): (usize, &Case),
    seed: u64,
    length: Duration,
    folder: &Path,
) -> Result<Round, String> {
    let mut config = case.config.clone();
    if case.latency_report {
        config["latency"]["dir"] = json!(folder);
    }
    let captured = folder.join("events.csv");
    if case.capture {
        config["capture"]["file"] = json!(captured);
    }
    let handle = api.create(&config)?;
    let probe = Probe::new(case, handle.models());
    probe.register(&handle);
    let mut host = Host {
        handle: &handle,
        probe: &probe,
        feed: Feed::new(seed, case.instruments),
        rng: Rng::with_seed(!seed),
        length,
        capture: case.capture,
        stalls: (0, 0),
        seen: Counters::new(&[]),
        wrong: Vec::new(),
    };
    // The first instrument is known before any other.
    let first = host.feed.good(case.trigger, 0);
    host.give(&first);
    let rate = host.load(case.rate)?;
    host.rest()?;
    // Shows the gap that the last lost signals left.
    let last = host.feed.good(case.trigger, 0);
    host.give(&last);
    host.rest()?;
    let counters = Counters::new(&handle.stats()?);
    let Host {
        feed,
        stalls,
        mut wrong,
        ..
    } = host;
    wrong.extend(accounts::check(case, &counters, &feed.given, probe.calls()));
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
    drop(handle);
    if case.capture {
        wrong.extend(check_capture(&captured, &counters));
    }
    if case.latency_report {
        wrong.extend(check_report(folder, &counters));
    }
    Ok(Round {
        case: place,
        rate,
        given: feed.given,
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
    fn load(&mut self, rate: u32) -> Result<f64, String> {
        let start = Instant::now();
        let gap = Duration::from_secs(1) / rate;
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
                self.stalls = (
                    self.stalls.0 + 1,
                    self.stalls.1.max(long.as_millis() as u64),
                );
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
                    self.probe.poll(self.handle, true)?;
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
                    self.probe.poll(self.handle, false)?;
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
        unsafe { self.handle.on_data(kind, data) };
    }

    /// Counters never go back, and those of the host's own calls are exact.
    fn look(&mut self) -> Result<(), String> {
        let now = Counters::new(&self.handle.stats()?);
        self.wrong.extend(now.gone_back(&self.seen));
        let events = now.sum("events_");
        if events != self.feed.given.events() {
            let given = self.feed.given.events();
            self.wrong
                .push(format!("{given} events given, {events} counted"));
        }
        self.wrong.truncate(5);
        self.seen = now;
        Ok(())
    }

    /// Polls until nothing is under way.
    fn rest(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let made = self.probe.poll(self.handle, false)?;
            let counters = Counters::new(&self.handle.stats()?);
            let written = !self.capture || counters.captured();
            if made == 0 && counters.at_rest() && written {
                return Ok(());
            }
            if start.elapsed() > REST {
                let counts: Vec<String> = counters
                    .iter()
                    .filter(|&(_, count)| count > 0)
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                return Err(format!("not at rest after {REST:?}: {}", counts.join(", ")));
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

/// The file has a line for each event that was counted as written; then it is
/// removed.
fn check_capture(file: &Path, counters: &Counters) -> Vec<String> {
    let lines = File::open(file).map(|file| BufReader::new(file).split(b'\n').count() as u64);
    let wrong = |what: String| vec![format!("{}: {what}", file.display())];
    let expected = counters.get("capture_written") + 1;
    match lines.and_then(|lines| fs::remove_file(file).map(|()| lines)) {
        Ok(lines) if lines == expected => Vec::new(),
        Ok(lines) => wrong(format!("{lines} lines instead of {expected}")),
        Err(error) => wrong(error.to_string()),
    }
}

/// The report that the handle has written has its counters; then it is removed.
fn check_report(folder: &Path, counters: &Counters) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut found = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let file = if path.is_dir() {
            path.join("summary.json")
        } else {
            path
        };
        if file.file_name() == Some("summary.json".as_ref()) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let summary: Value = serde_json::from_str(&text).unwrap_or_default();
            for name in ["events_depth", "signals", "delivered"] {
                if summary["counters"][name] != json!(counters.get(name)) {
                    let said = &summary["counters"][name];
                    wrong.push(format!("summary.json: {name} is {said}"));
                }
            }
            found += 1;
        }
        let remove = if entry.path().is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        if let Err(error) = remove {
            wrong.push(format!("{}: {error}", entry.path().display()));
        }
    }
    if found != 1 {
        wrong.push(format!("{found} latency reports instead of one"));
    }
    wrong
}
