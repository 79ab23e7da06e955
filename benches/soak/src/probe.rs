//! The callback, and what it insists on.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use signal_command::host::library::{Api, Handle};

use crate::cases::{Case, Expect};
use crate::feed;

/// Complaints that are kept.
const KEEP: usize = 5;

/// A handle and what its `user_data` points to. The host's thread alone uses it.
pub struct Probe<'a> {
    pub handle: Handle,
    case: &'a Case,
    thread: libc::pthread_t,
    /// A signal has a model, or values of all.
    models: usize,
    /// By instrument and model.
    last_times: RefCell<Vec<i64>>,
    polling: Cell<bool>,
    calls: Cell<u64>,
    wrong: RefCell<Vec<String>>,
}

impl<'a> Probe<'a> {
    /// Makes a handle whose callback is the probe's.
    pub fn new(api: &Api, config: &Value, case: &'a Case) -> Result<Rc<Self>, String> {
        let handle = api.create(config)?;
        let models = handle.models() + 1;
        let probe = Rc::new(Self {
            handle,
            case,
            // SAFETY: has no demands.
            thread: unsafe { libc::pthread_self() },
            models,
            last_times: RefCell::new(vec![i64::MIN; case.instruments as usize * models]),
            polling: Cell::new(false),
            calls: Cell::new(0),
            wrong: RefCell::default(),
        });
        let user_data = Rc::as_ptr(&probe).cast_mut().cast();
        // SAFETY: the callback takes a shared reference to a Probe, which lives for as long as
        // its handle can be polled.
        unsafe { probe.handle.register(on_signal, user_data) };
        Ok(probe)
    }

    /// Polls; callbacks are in order during this only. What poll returned is an
    /// error if it is negative.
    #[inline]
    pub fn poll(&self, inlined: bool) -> Result<u64, String> {
        self.polling.set(true);
        let made = match inlined {
            true => self.handle.poll_inlined(),
            false => self.handle.poll_call(),
        };
        self.polling.set(false);
        u64::try_from(made).map_err(|_| {
            let why = self.handle.last_error();
            format!("signal_poll_callbacks returned {made}: {why}")
        })
    }

    /// Callbacks made.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// What was wrong with them.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.borrow().clone()
    }

    fn complain(&self, what: impl FnOnce() -> String) {
        let mut wrong = self.wrong.borrow_mut();
        if wrong.len() < KEEP {
            wrong.push(what());
        }
    }

    fn take(&self, name: &CStr, time: i64, values: &[f64]) {
        self.calls.set(self.calls.get() + 1);
        if !self.polling.get() {
            self.complain(|| "a callback outside of a poll".to_owned());
        }
        // Values of all models have a number below 0.
        let model = usize::try_from(self.handle.current_model()).unwrap_or(self.models - 1);
        let mut times = self.last_times.borrow_mut();
        let instrument = feed::instrument(name.to_bytes());
        let last = instrument.and_then(|number| times.get_mut(number * self.models + model));
        let (Some(instrument), Some(last)) = (instrument, last) else {
            self.complain(|| format!("a signal of {name:?}, model {model}: never given"));
            return;
        };
        // An index price may make several of one time.
        if time < *last || (self.case.one_vector && time == *last) {
            let last = *last;
            self.complain(|| format!("{name:?}: a signal of {time} after one of {last}"));
        }
        *last = time;
        let expect = self.case.expect;
        if !right(expect, instrument, time, values) {
            self.complain(|| format!("{name:?} at {time}: {values:?} is not {expect:?}"));
        }
    }
}

/// Whether the values are what they must be, to the last bit.
fn right(expect: Expect, instrument: usize, time: i64, values: &[f64]) -> bool {
    let (bid, ask) = feed::best(instrument, time);
    let begins = |with: &[f64]| values.starts_with(with);
    let finite = !values.is_empty() && values.iter().all(|value| value.is_finite());
    finite
        && match expect {
            Expect::Finite => true,
            Expect::Constants => values == [1.0, f64::from(0.8f32)],
            Expect::Test0000 => begins(&[ask - bid, (ask + bid) / 2.0, bid]),
            Expect::Market => values.len() == 15 && begins(&[ask - bid, (ask + bid) / 2.0]),
        }
}

extern "C-unwind" fn on_signal(
    symbol: *const c_char,
    time: c_longlong,
    values: *const f64,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a Probe that outlives the polling.
    let probe = unsafe { &*user_data.cast::<Probe<'_>>() };
    // SAFETY: has no demands.
    if unsafe { libc::pthread_self() } != probe.thread {
        // Nothing in the probe may be touched from here.
        eprintln!("soak: a callback on a foreign thread");
        std::process::abort();
    }
    // SAFETY: the library's names end with a NUL; `values` are `count` numbers, both
    // valid during this call.
    let (name, values) = unsafe {
        let count = usize::try_from(count).unwrap_or(0);
        let values = std::slice::from_raw_parts(values, count);
        (CStr::from_ptr(symbol), values)
    };
    probe.take(name, time, values);
    let takes = Duration::from_micros(probe.case.callback_us.into());
    if !takes.is_zero() {
        let start = Instant::now();
        while start.elapsed() < takes {}
    }
}
