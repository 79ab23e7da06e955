//! Neither the host's thread nor a lane makes a system call, over a million events in each
//! placement, through the C ABI as a host uses it. `strace` watches all threads of a
//! program. It also counts what creating and observing a handle asks of the system.
//!
//! The program is this one, started again with arguments. It marks the beginning and the
//! end of the counted stretch with a call that a trace shows and that has no effect: it
//! writes to no file.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal::Registry;
use signal::config::{Deliver, Idle, ModelEntry, Placement, Warm};
use signal::factors::{Depth, FactorSet, NoParams};
use support::feeds::{Feeds, configurations};
use support::handle::Handle;

const BEGIN: &str = "the counted stretch begins";
const END: &str = "the counted stretch ends";
/// The system call of a planted error; nothing else here makes it.
const PLANTED: &str = "getppid";
/// The number of rounds before the counted ones.
const WARM_UP: i64 = 20_000;
/// The number of rounds between two polls. Lanes that take turns on few cores should have
/// work for a whole turn.
const STRIDE: i64 = 64;
/// The number of rounds between two pauses, in which lanes, or polls of `inline`, rehearse.
const UNTIL_PAUSE: i64 = 200;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [child, placement, what] = &arguments[..]
        && child == "traced"
    {
        return traced(placement, what);
    }
    if Command::new("strace").arg("--version").output().is_err() {
        return support::skip("strace");
    }
    for placement in ["inline", "fused", "split"] {
        for what in [
            "smallest",
            "everything",
            "conflated",
            "from on_data",
            "in batches",
            "with pauses",
        ] {
            let trace = trace(placement, what);
            assert!(
                trace.calls.is_empty(),
                "{}: {:#?}",
                trace.about,
                trace.calls
            );
            println!("{}: no system call in {} events", trace.about, trace.events);
        }
    }
    // The trace must show the host's thread and the lanes.
    for (placement, what) in [("inline", "host"), ("fused", "lane"), ("split", "lane")] {
        let trace = trace(placement, what);
        let planted = |call: &&String| call.contains(PLANTED);
        assert_eq!(
            trace.calls.iter().filter(planted).count(),
            1,
            "{what}: {:?}",
            trace.calls
        );
        assert_eq!(trace.calls.len(), 1, "{what}: {:?}", trace.calls);
        let by_host = trace.calls[0].starts_with(&format!("{} ", trace.host));
        assert_eq!(by_host, what == "host", "{:?}", trace.calls);
    }
    println!("system calls that were planted on the host's thread and on lanes were seen");
    create_looks_for_its_control_groups_once();
    to_observe_a_handle_asks_little();
}

/// Each question about limits needs them, and to find them can take thousands of calls.
fn create_looks_for_its_control_groups_once() {
    let trace = trace("fused", "created");
    for file in ["cgroup", "mountinfo"] {
        let opened = trace.by_host(&format!("/proc/thread-self/{file}\""));
        assert_eq!(opened.len(), 1, "{file}: {opened:?}");
    }
    println!("a create looked for its control groups once");
}

/// A host may ask for health and counters in a loop: of the report's thread each call asks once,
/// and of the claims and the lanes' cores only some, because a second may pass in between.
fn to_observe_a_handle_asks_little() {
    let trace = trace("fused", "observed");
    let calls: usize = trace.events.parse().unwrap();
    assert_eq!(trace.by_host("tgkill(").len(), calls, "{:?}", trace.calls);
    let of_claims = trace.by_host("fcntl(").len() + trace.by_host("statx(").len();
    let of_cores = trace.by_host("sched_getaffinity(").len();
    assert!((1..calls / 10).contains(&of_cores), "{:?}", trace.calls);
    // Where no core can be kept busy, nothing is claimed.
    let least = if trace.about.contains("(spin)") { 2 } else { 0 };
    assert!(
        (least..calls / 10).contains(&of_claims),
        "{:?}",
        trace.calls
    );
    // On a busy machine strace shows a call in two lines, of which the second has ` resumed>`.
    let known = [
        "tgkill(",
        "getpid(",
        "gettid(",
        "fcntl(",
        "statx(",
        "sched_getaffinity(",
        " resumed>",
    ];
    let others = trace.by_host("").into_iter();
    let others: Vec<_> = others
        .filter(|call| !known.iter().any(|known| call.contains(known)))
        .collect();
    assert!(others.len() < 10, "{others:?}");
    println!("{calls} calls for health and counters asked {of_claims} times about claims");
}

/// What happened between the marks, on all threads.
struct Trace {
    about: String,
    events: String,
    host: String,
    calls: Vec<String>,
}

impl Trace {
    /// The calls of the host's thread that contain this.
    fn by_host(&self, what: &str) -> Vec<&str> {
        let host = format!("{} ", self.host);
        let calls = self.calls.iter().map(String::as_str);
        let calls = calls.filter(|call| call.starts_with(&host) && call.contains(what));
        calls.collect()
    }
}

fn trace(placement: &str, what: &str) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-s", "64", "-o"])
        .arg(&log)
        .arg(env::current_exe().unwrap())
        .args(["traced", placement, what])
        .env("SIGNAL_CORE_CLAIMS", folder.path().join("claims"))
        .env_remove("SIGNAL_CONFIG")
        .env_remove("SIGNAL_CORES")
        .env_remove("SIGNAL_LATENCY_DIR")
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{placement}, {what}: {stdout}{stderr}"
    );
    let mut said = stdout.lines();
    let mut say = || said.next().unwrap_or_default().to_owned();
    let log = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let at = |mark: &str| {
        let mut places = (0..lines.len()).filter(|&line| lines[line].contains(mark));
        let place = places
            .next()
            .unwrap_or_else(|| panic!("no {mark:?} in {log}"));
        assert!(places.next().is_none(), "{mark:?} twice in {log}");
        place
    };
    let (begin, end) = (at(BEGIN), at(END));
    Trace {
        about: say(),
        events: say(),
        host: lines[begin]
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        calls: lines[begin + 1..end]
            .iter()
            .map(|&line| line.to_owned())
            .collect(),
    }
}

fn mark(text: &str) {
    // SAFETY: the text is readable for its length; descriptor -1 is never open.
    unsafe { libc::write(-1, text.as_ptr().cast(), text.len()) };
}

fn plant() {
    // SAFETY: the call takes no argument and cannot fail.
    unsafe { libc::getppid() };
}

/// The program that is traced.
fn traced(placement: &str, what: &str) {
    match what {
        "created" | "observed" => traced_aside(what),
        _ => traced_events(placement, what),
    }
}

/// What a host calls beside its events.
fn traced_aside(what: &str) {
    const ROUNDS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let mut config = configurations()[1].0.clone();
    config.placement = Placement::Fused;
    config.idle = Idle::Spin;
    config.latency.dir = Some(folder.path().join("report"));
    // Its own thread asks after the claims in each interval.
    config.latency.interval_ms = 60_000;
    // Health looks in each call whether an event of it has come.
    config.assets = vec!["never".to_owned()];
    if what == "created" {
        mark(BEGIN);
    }
    let handle = Handle::new(&config, &Registry::default());
    let lanes = handle.lanes();
    if what == "observed" {
        mark(BEGIN);
        for _ in 0..ROUNDS {
            handle.stats();
            assert!(handle.health() >= 0);
        }
    }
    mark(END);
    println!("{lanes}\n{}", 2 * ROUNDS);
}

/// The hot path.
fn traced_events(placement: &str, what: &str) {
    let (mut config, signals) = match what {
        "everything" | "with pauses" => configurations()[1].clone(),
        _ => configurations()[0].clone(),
    };
    config.placement = match placement {
        "inline" => Placement::Inline,
        "fused" => Placement::Fused,
        _ => Placement::Split,
    };
    config.idle = Idle::Spin;
    // On few cores the lanes take turns of milliseconds. They need work for a whole turn,
    // and no full ring, at which a lane would wait.
    for ring in [
        &mut config.rings.ingest,
        &mut config.rings.stage,
        &mut config.rings.egress,
    ] {
        *ring = 1 << 15;
    }
    let mut registry = Registry::default();
    registry.factors.add::<Caller, _>();
    if what == "lane" {
        config.factors[0].set = Caller::NAME.to_owned();
        config.models[0] = ModelEntry::builtin("none");
    }
    let rounds = match what {
        "smallest" => 250_000,
        "everything" | "with pauses" => 5_000,
        _ => 20_000,
    };
    if what == "from on_data" {
        config.deliver = Deliver::OnData;
    }
    if what == "with pauses" {
        config.warm = Warm::Every(Warm::SHORTEST);
    }
    if what == "conflated" {
        // The ring holds four signals; of the others, each instrument's newest is held back.
        config.rings.egress = 4;
    }
    let handle = match what {
        "in batches" => Handle::in_batches(&config, &registry),
        _ => Handle::new(&config, &registry),
    };
    let mut feeds = Feeds::new();
    // More than once around all rings. Lanes that have just started still sleep or take
    // page faults.
    handle.feed(&mut feeds, 0, WARM_UP, STRIDE);
    std::thread::sleep(Duration::from_millis(50));
    let before = (handle.received(), handle.stats().rehearsals);
    mark(BEGIN);
    if what == "with pauses" {
        for part in 0..rounds / UNTIL_PAUSE {
            let first = WARM_UP + part * UNTIL_PAUSE;
            handle.feed(&mut feeds, first, UNTIL_PAUSE, STRIDE);
            handle.let_rehearse(2);
        }
    } else {
        handle.feed(&mut feeds, WARM_UP, rounds, STRIDE);
    }
    if what == "host" {
        plant();
    }
    mark(END);
    let received = handle.received() - before.0;
    let stats = handle.stats();
    if what == "with pauses" {
        assert!(stats.rehearsals > before.1, "{stats:?}");
    }
    if what == "conflated" {
        assert!(stats.conflated_egress > 0 && received > 0, "{stats:?}");
        assert_eq!(stats.signals, stats.delivered + stats.conflated_egress);
    } else {
        assert_eq!(received, rounds as u64 * signals as u64);
    }
    println!("{what}, {placement}\n{}", rounds * 4);
}

/// A factor set that makes one system call after the warm-up.
#[derive(Default)]
struct Caller;

impl FactorSet<3> for Caller {
    const NAME: &'static str = "caller";
    const FACTORS: [&'static str; 3] = ["a", "b", "c"];
    const LEVELS: usize = 1;
    type Params = NoParams;
    fn new(_: &NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, depth: &Depth<'_>) {
        // A rehearsal may run this message again.
        static IS_PLANTED: AtomicBool = AtomicBool::new(false);
        if depth.timestamp == 30_000 && !IS_PLANTED.swap(true, Ordering::Relaxed) {
            plant();
        }
    }
    fn write(&mut self, out: &mut [f64; 3]) {
        out.fill(1.0);
    }
}
