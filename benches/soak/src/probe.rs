//! The callback, and what it insists on.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::time::{Duration, Instant};

use signal_command::host::library::Handle;

use crate::cases::{Case, Expect};
use crate::feed;

/// Complaints that are kept.
const KEEP: usize = 5;

/// What `user_data` points to. The host's thread alone uses it.
pub struct Probe {
    handle: Cell<*const Handle>,
    thread: libc::pthread_t,
    expect: Expect,
    /// Whether each signal of an instrument and a model has a later time than the
    /// one before: where an index price triggers, it may have the same.
    strictly_later: bool,
    takes: Duration,
    models: usize,
    /// By instrument and model.
    last_times: RefCell<Vec<i64>>,
    polling: Cell<bool>,
    calls: Cell<u64>,
    wrong: RefCell<Vec<String>>,
}

impl Probe {
    pub fn new(case: &Case, models: usize) -> Self {
        let models = models + 1;
        Self {
            handle: Cell::new(std::ptr::null()),
            // SAFETY: has no demands.
            thread: unsafe { libc::pthread_self() },
            expect: case.expect,
            strictly_later: case.one_vector,
            takes: Duration::from_micros(case.callback_us.into()),
            models,
            last_times: RefCell::new(vec![i64::MIN; case.instruments as usize * models]),
            polling: Cell::new(false),
            calls: Cell::new(0),
            wrong: RefCell::default(),
        }
    }

    /// Makes it the handle's callback. It must outlive the handle's last poll.
    pub fn register(&self, handle: &Handle) {
        self.handle.set(handle);
        let user_data = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the callback takes a shared reference to a Probe; the caller
        // keeps it for as long as it polls.
        unsafe { handle.register(on_signal, user_data) };
    }

    /// Polls; callbacks are in order during this only. What poll returned is an
    /// error if it is negative.
    #[inline]
    pub fn poll(&self, handle: &Handle, inlined: bool) -> Result<u64, String> {
        self.polling.set(true);
        let made = if inlined {
            handle.poll_inlined()
        } else {
            handle.poll_call()
        };
        self.polling.set(false);
        u64::try_from(made).map_err(|_| {
            let why = handle.last_error();
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
        // SAFETY: set by `register`, and the handle lives while it is polled.
        let model = unsafe { self.handle.get().as_ref() }.map_or(-1, Handle::current_model);
        // Values of all models have a number below 0.
        let model = usize::try_from(model).map_or(self.models - 1, |model| model);
        let mut times = self.last_times.borrow_mut();
        let instrument = feed::instrument(name.to_bytes());
        let last = instrument.and_then(|number| times.get_mut(number * self.models + model));
        let (Some(instrument), Some(last)) = (instrument, last) else {
            self.complain(|| format!("a signal of {name:?}, model {model}: never given"));
            return;
        };
        if time < *last || (self.strictly_later && time == *last) {
            let last = *last;
            self.complain(|| format!("{name:?}: a signal of {time} after one of {last}"));
        }
        *last = time;
        if !right(self.expect, instrument, time, values) {
            let expect = self.expect;
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
    let probe = unsafe { &*user_data.cast::<Probe>() };
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
        (
            CStr::from_ptr(symbol),
            std::slice::from_raw_parts(values, count),
        )
    };
    probe.take(name, time, values);
    if !probe.takes.is_zero() {
        let start = Instant::now();
        while start.elapsed() < probe.takes {}
    }
}
