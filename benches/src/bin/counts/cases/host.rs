//! The C functions, in `libsignal.so` as a host loads it.
//!
//! The callback does next to nothing. Only what is done on the host's thread
//! counts, which with the `inline` placement is the work of all stages, too.

use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::hint::black_box;
use std::path::Path;
use std::ptr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use signal::abi::EventKind;
use signal::{Config, Engine};
use signal_command::host::library::{Api, Handle};

use super::events::{self, DIFFERENT, Payload};
use super::{Case, Entry, LIBRARY, LINEAR, Made, each, entry};

/// A factor set that reads one book level, and one that reads ten.
const LEVELS: [(&str, &str); 2] = [("test0000", "1 level"), ("market", "10 levels")];
const TIMING: [(bool, &str); 2] = [(true, ""), (false, ", timing off")];
/// Longer than any signal waits while it is counted: see [`poll`].
const LONG: Duration = Duration::from_millis(500);

pub fn cases() -> Vec<Entry> {
    let mut cases = Vec::new();
    for (set, levels) in LEVELS {
        for kind in EventKind::ALL {
            let name = format!("on_data, {kind:?}, {levels}");
            cases.push(entry(name, move || on_data(lane(set), &[kind])));
        }
    }
    let linear = json!({"factors": "market", "model": LINEAR});
    for (what, config, kinds) in [
        ("test0000, Depth", json!({}), &[EventKind::Depth][..]),
        (
            "market + linear, Trade and Depth",
            linear,
            &[EventKind::Trade, EventKind::Depth],
        ),
    ] {
        for (timing, words) in TIMING {
            let config = inline(&config, timing);
            let name = format!("on_data inline, {what}{words}");
            cases.push(entry(name, move || on_data(config.clone(), kinds)));
        }
    }
    cases.push(entry("poll empty", || {
        let handle = handle(&inline(&json!({}), true))?;
        Ok(each(move |_| {
            handle.poll_call();
        }))
    }));
    cases.push(entry("poll empty, inlined", poll_inlined));
    for (config, values) in [
        (json!({}), 2),
        (json!({"factors": "market", "model": "none"}), 15),
    ] {
        for (timing, words) in TIMING {
            let config = inline(&config, timing);
            let name = format!("poll, a signal of {values} values{words}");
            cases.push(entry(name, move || poll(&config)));
        }
    }
    cases
}

/// A lane does the work. It sleeps while it has none: valgrind runs one thread at
/// a time.
fn lane(set: &str) -> Value {
    json!({"factors": set, "placement": "fused", "idle": "park"})
}

fn inline(config: &Value, timing: bool) -> Value {
    let mut config = config.clone();
    config["placement"] = json!("inline");
    config["timing"] = json!(timing);
    config
}

fn handle(config: &Value) -> Result<Handle, String> {
    let handle = Api::load(Path::new(LIBRARY))?.create(config)?;
    // SAFETY: the callback takes any user data.
    unsafe { handle.register(callback, ptr::null_mut()) };
    Ok(handle)
}

unsafe extern "C-unwind" fn callback(
    _symbol: *const c_char,
    _timestamp: c_longlong,
    values: *const f64,
    _count: c_int,
    _user_data: *mut c_void,
) {
    black_box(values);
}

/// A call hands in one event of each of these kinds.
fn on_data(config: Value, kinds: &[EventKind]) -> Made {
    Ok(Box::new(OnData::new(&config, kinds)?))
}

/// The loop does as little as it can beside the calls: it is counted, too.
pub struct OnData {
    handle: Handle,
    /// Each kind's message type and where its events are.
    kinds: Vec<(c_int, [*const c_void; DIFFERENT])>,
    _events: Vec<Vec<Payload>>,
}

impl OnData {
    pub fn new(config: &Value, kinds: &[EventKind]) -> Result<Self, String> {
        let events: Vec<_> = kinds.iter().map(|&kind| events::of(kind)).collect();
        let kinds = kinds.iter().zip(&events).map(|(kind, events)| {
            let address = |number: usize| events[number].bytes.as_ptr().cast();
            (kind.message_type(), std::array::from_fn(address))
        });
        Ok(Self {
            handle: handle(config)?,
            kinds: kinds.collect(),
            _events: events,
        })
    }

    pub fn poll(&self) -> c_int {
        self.handle.poll_call()
    }

    #[inline]
    pub fn give(&self, number: usize) {
        for (kind, events) in &self.kinds {
            // SAFETY: the address is that of the kind's struct, which `_events` keeps
            // and nobody changes.
            unsafe { self.handle.on_data(*kind, events[number % DIFFERENT]) };
        }
    }
}

impl Case for OnData {
    fn run(&mut self, calls: usize) {
        (0..calls).for_each(|number| self.give(number));
    }

    fn settle(&mut self, _calls: usize) -> Result<(), String> {
        self.handle.poll_call();
        let is_lost = |name: &str| name.starts_with("refused") || name.starts_with("dropped");
        let stats = self.handle.stats()?;
        match stats
            .iter()
            .find(|(name, count)| *count > 0 && is_lost(name))
        {
            Some((name, count)) => Err(format!("{name} is {count}; expected 0")),
            None => Ok(()),
        }
    }
}

/// A call takes one of the signals that wait: all wait before the first.
///
/// A histogram does more for the longest and the shortest wait so far than for
/// others. At the start one signal waits for long and many for as short as can be,
/// so that none that is counted is either.
fn poll(config: &Value) -> Made {
    struct Poll {
        source: OnData,
        taken: c_int,
    }

    impl Case for Poll {
        fn prepare(&mut self, calls: usize) -> Result<(), String> {
            (0..calls).for_each(|number| self.source.give(number));
            Ok(())
        }

        fn run(&mut self, _calls: usize) {
            self.taken = self.source.handle.poll_call();
        }

        fn settle(&mut self, calls: usize) -> Result<(), String> {
            match usize::try_from(self.taken) == Ok(calls) {
                true => Ok(()),
                false => Err(format!("poll returned {}; expected {calls}", self.taken)),
            }
        }
    }

    let source = OnData::new(config, &[EventKind::Depth])?;
    source.give(0);
    thread::sleep(LONG);
    source.handle.poll_call();
    for number in 0..DIFFERENT {
        source.give(number);
        source.handle.poll_call();
    }
    Ok(Box::new(Poll { source, taken: 0 }))
}

/// The Rust poller, compiled into its caller.
fn poll_inlined() -> Made {
    let config = Config::from_json(&lane("test0000").to_string());
    let engine = config.and_then(|config| Engine::start(&config));
    let mut engine = engine.map_err(|error| error.to_string())?;
    Ok(each(move |_| {
        let (_, poller) = engine.ends();
        black_box(poller.poll(|_, signal| {
            black_box(&signal);
        }));
    }))
}
