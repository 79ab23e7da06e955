//! The library as the host sees it: `dlopen`, the C ABI, one handle.
//!
//! All unsafe code of the command is here and in [`crate::host`].

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_longlong, c_void};
use std::io::{PipeWriter, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use signal::config::ENV_LATENCY_DIR;

use crate::arrivals::Arrivals;
use crate::failure::{Failure, Result};
use crate::host::bindings::{self, Functions, Hop, Stats};
use crate::locate;
use crate::received::{ModelNames, Output, Received};

/// More hops than any placement has.
const MAX_HOPS: usize = 64;

/// The loaded library.
pub struct Library {
    functions: Functions,
    /// Where it was loaded from.
    pub path: PathBuf,
}

impl Library {
    /// Loads the given library, or the one that the host would load, or the one that was built with
    /// this command.
    pub fn open(given: Option<&Path>) -> Result<Self> {
        let path = locate::library(given)?;
        let fail = |error: libloading::Error| {
            // The loader's own message names the missing function.
            let why = std::error::Error::source(&error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| error.to_string());
            Failure::said(format!("{}: {why}", path.display()))
        };
        let functions = Functions::load(&path).map_err(fail)?;
        Ok(Self { functions, path })
    }

    /// The library's version.
    pub fn version(&self) -> String {
        self.functions.version()
    }
}

/// The callback's user data.
struct Receiver {
    received: RefCell<Received>,
    handle: *mut c_void,
    current_model: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// The host's callback: stores what it receives.
unsafe extern "C-unwind" fn on_signal(
    symbol: *const c_char,
    timestamp: c_longlong,
    values: *const f64,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: the receiver was registered for as long as the handle lives, and
    // callbacks come on the thread that polls.
    let receiver = unsafe { &*user_data.cast::<Receiver>() };
    let mut received = receiver.received.borrow_mut();
    let signal = &mut received.last;
    signal.timestamp = timestamp;
    // SAFETY: the handle is alive: it is the one that makes this callback.
    let model = unsafe { (receiver.current_model)(receiver.handle) };
    signal.model = usize::try_from(model).ok();
    signal.symbol.clear();
    if !symbol.is_null() {
        // SAFETY: the library hands over a NUL-terminated string.
        let name = unsafe { CStr::from_ptr(symbol) };
        signal.symbol.push_str(&name.to_string_lossy());
    }
    signal.values.clear();
    if let (false, Ok(count)) = (values.is_null(), usize::try_from(count)) {
        // SAFETY: the library hands over `count` values.
        let values = unsafe { std::slice::from_raw_parts(values, count) };
        signal.values.extend_from_slice(values);
    }
    received.take();
}

/// The callback of a host that only times its signals.
unsafe extern "C-unwind" fn on_timed_signal(
    _symbol: *const c_char,
    timestamp: c_longlong,
    _values: *const f64,
    _count: c_int,
    user_data: *mut c_void,
) {
    let now = Instant::now();
    // SAFETY: the arrivals were registered for as long as the handle lives, and callbacks come on
    // the thread that polls.
    let arrivals = unsafe { &*user_data.cast::<Arrivals>() };
    arrivals.take(timestamp, now);
}

/// One handle of the library with this command's callback.
pub struct Plugin<'a> {
    functions: Functions,
    handle: *mut c_void,
    receiver: Option<Box<Receiver>>,
    /// In place of the receiver, where signals are only timed.
    _arrivals: Option<Rc<Arrivals>>,
    _library: &'a Library,
}

impl<'a> Plugin<'a> {
    /// Creates a handle and registers the callback, as the host does at start.
    /// Every signal is also written to the file `signals`, if there is one.
    pub fn create(library: &'a Library, config: &str, signals: Option<Output>) -> Result<Self> {
        // The library has already printed the reason.
        let refused = "the library refused to start: it says why in its line above";
        let mut plugin = Self::start(library, config)?.ok_or_else(|| Failure::said(refused))?;
        let (functions, handle) = (plugin.functions, plugin.handle);
        let received = Received::new(plugin.models(), signals)?;
        let receiver = plugin.receiver.insert(Box::new(Receiver {
            received: RefCell::new(received),
            handle,
            current_model: functions.current_model,
        }));
        let user_data = (&raw const **receiver).cast_mut().cast();
        // SAFETY: the handle is alive, and the receiver outlives it (see `drop`).
        unsafe { (functions.register)(handle, on_signal, user_data) };
        Ok(plugin)
    }

    /// Creates a handle whose callback notes when each signal arrives, and no more.
    pub fn create_timed(
        library: &'a Library,
        config: &str,
        arrivals: Rc<Arrivals>,
    ) -> Result<Self> {
        let mut plugin = Self::start(library, config)?
            .ok_or_else(|| Failure::said(library.functions.last_error()))?;
        let user_data = Rc::as_ptr(&arrivals).cast_mut().cast();
        plugin._arrivals = Some(arrivals);
        // SAFETY: the handle is alive, and the arrivals outlive it (see `drop`).
        unsafe { (plugin.functions.register)(plugin.handle, on_timed_signal, user_data) };
        Ok(plugin)
    }

    /// A handle without a callback; `None` if the library refused.
    fn start(library: &'a Library, config: &str) -> Result<Option<Self>> {
        let functions = library.functions;
        let json = CString::new(config).map_err(|_| Failure::said("NUL in the configuration"))?;
        // SAFETY: `json` is a NUL-terminated string that outlives the call.
        let handle = unsafe { (functions.create)(json.as_ptr()) };
        Ok((!handle.is_null()).then_some(Self {
            functions,
            handle,
            receiver: None,
            _arrivals: None,
            _library: library,
        }))
    }

    /// The models, with the names of their values.
    pub fn models(&self) -> ModelNames {
        let (functions, handle) = (self.functions, self.handle);
        // SAFETY: the handle is alive.
        let count = unsafe { (functions.models)(handle) };
        (0..count)
            .map(|model| {
                // SAFETY: the handle is alive.
                let name = bindings::text(unsafe { (functions.model_name)(handle, model) });
                let values = (0..).map_while(|index| {
                    // SAFETY: the handle is alive; past the last value the library returns null.
                    bindings::text(unsafe { (functions.value_name)(handle, model, index) })
                });
                (name.unwrap_or_default(), values.collect())
            })
            .collect()
    }

    /// Passes one event to the library.
    pub fn on_data(&self, message_type: i32, payload: &[u8]) {
        // SAFETY: the handle is alive; the payload is a whole struct of its
        // type (`Feed::push`) and the library does not keep it.
        unsafe { (self.functions.on_data)(self.handle, message_type, payload.as_ptr().cast()) }
    }

    /// Polls once and returns the number of signals.
    pub fn poll(&self) -> Result<u64> {
        // SAFETY: the handle is alive; the callback does not unwind.
        let made = unsafe { (self.functions.poll)(self.handle) };
        u64::try_from(made).map_err(|_| {
            Failure::said(format!(
                "signal_poll_callbacks returned {made}: the engine has failed"
            ))
        })
    }

    /// The counters.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats {
            size: size_of::<Stats>() as u64,
            ..Stats::default()
        };
        // SAFETY: the handle is alive and `size` says how much may be written.
        match unsafe { (self.functions.stats)(self.handle, &raw mut stats) } {
            0 => Ok(stats),
            error => Err(Failure::said(format!("signal_stats returned {error}"))),
        }
    }

    /// What is wrong with the engine after a run, if anything is. States that only describe the
    /// moment of the call are left out.
    pub fn complaint(&self) -> Option<String> {
        // SAFETY: the handle is alive.
        let code = unsafe { (self.functions.health)(self.handle) };
        match bindings::health_word(code)? {
            "ok" | "overloaded" | "stalled" => None,
            _ => Some(self.functions.last_error()),
        }
    }

    /// The hop table.
    pub fn latency(&self) -> Vec<Hop> {
        let mut hops = vec![Hop::EMPTY; MAX_HOPS];
        // SAFETY: the handle is alive and there is room for `MAX_HOPS` rows.
        let rows =
            unsafe { (self.functions.latency)(self.handle, hops.as_mut_ptr(), MAX_HOPS as c_int) };
        hops.truncate(usize::try_from(rows).unwrap_or(0));
        hops
    }

    /// What one clock stamp costs, ns.
    pub fn stamp_ns(&self) -> f64 {
        // SAFETY: the handle is alive.
        unsafe { (self.functions.stamp_ns)(self.handle) }
    }

    /// Destroys the handle and returns what the callback received.
    pub fn destroy(mut self) -> Received {
        let receiver = self.receiver.take();
        drop(self);
        let receiver = receiver.expect("create made it, and only this takes it");
        receiver.received.into_inner()
    }
}

impl Drop for Plugin<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is alive and not used again; the receiver and the arrivals are freed
        // after this, when the fields are dropped.
        unsafe { (self.functions.destroy)(self.handle) }
    }
}

/// Decides which configuration file the library will read, and sets the variable for it.
///
/// Call this before anything else: it changes the environment.
pub fn set_config(given: Option<&Path>) -> Result<Option<PathBuf>> {
    let path = locate::config(given)?;
    if let (Some(_), Some(path)) = (given, &path) {
        // SAFETY: no other thread runs yet: the library, whose lanes are the only other threads of
        // this process, is not loaded.
        unsafe { std::env::set_var(locate::CONFIG_VARIABLE, path) };
    }
    Ok(path)
}

/// Leaves the host's own variables out: the library then reads no configuration but the string that
/// it is given, and writes no report of its own accord.
///
/// Call this before anything else: it changes the environment.
pub fn set_no_config() {
    for variable in [locate::CONFIG_VARIABLE, ENV_LATENCY_DIR] {
        // SAFETY: no other thread runs yet: the library, whose lanes are the only other threads of
        // this process, is not loaded.
        unsafe { std::env::remove_var(variable) };
    }
}

/// Standard error leads nowhere until this is dropped: a library that is started again and again
/// would say the same line each time.
pub struct Hush {
    stderr: OwnedFd,
    /// Without a reader's end, a write would be refused; nobody reads it.
    _pipe: (std::io::PipeReader, PipeWriter),
}

impl Hush {
    /// Begins; `None` where the system gives no descriptors, and lines are then seen.
    pub fn begin() -> Option<Self> {
        let (reader, writer) = pipe().ok()?;
        // SAFETY: the calls copy descriptors and touch no memory; what `dup` returns belongs to
        // nobody else.
        unsafe {
            let copy = libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3);
            let stderr = (copy >= 0).then(|| OwnedFd::from_raw_fd(copy))?;
            let led = libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO);
            (led >= 0).then_some(Self {
                stderr,
                _pipe: (reader, writer),
            })
        }
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        // SAFETY: the call copies a descriptor that is open and touches no memory.
        unsafe { libc::dup2(self.stderr.as_raw_fd(), libc::STDERR_FILENO) };
    }
}

/// This thread stays on one core until this is dropped.
pub struct OnCore(libc::cpu_set_t);

impl OnCore {
    /// Pins the thread.
    ///
    /// # Errors
    ///
    /// The core, and the system's error.
    pub fn pin(core: usize) -> Result<Self> {
        // SAFETY: a CPU set is plain bits, all zero when empty; the calls are told its size, and 0
        // means this thread.
        let before = unsafe {
            let mut before: libc::cpu_set_t = std::mem::zeroed();
            let mut only: libc::cpu_set_t = std::mem::zeroed();
            if core < libc::CPU_SETSIZE as usize {
                libc::CPU_SET(core, &mut only);
            }
            let size = size_of_val(&before);
            let done = libc::sched_getaffinity(0, size, &raw mut before) == 0
                && libc::sched_setaffinity(0, size, &raw const only) == 0;
            done.then_some(before)
        };
        before.map(Self).ok_or_else(|| {
            let error = std::io::Error::last_os_error();
            Failure::said(format!(
                "the host's thread cannot be on core {core}: {error}"
            ))
        })
    }
}

impl Drop for OnCore {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &raw const self.0) };
    }
}

/// Lets this process have as many files open as the system allows: captures whose times overlap
/// are all open at once.
pub fn open_as_many_files_as_may_be() {
    // SAFETY: the calls read and write one plain struct.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Whether the process was started to ignore a signal.
pub fn is_ignored(signal: c_int) -> bool {
    // SAFETY: the struct is plain data, for which all zeros is valid, and the call only reads: a
    // null action changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Keeps this thread off the lanes' cores if any other cores are left: a host and a lane that both
/// busy-poll must not share a core.
pub fn keep_off(cores: &[usize]) {
    // SAFETY: a CPU set is plain bits, all zero when empty; `sched_getaffinity`
    // and `sched_setaffinity` are told its size, and 0 means this thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) != 0 {
            return;
        }
        for &core in cores
            .iter()
            .filter(|core| **core < libc::CPU_SETSIZE as usize)
        {
            libc::CPU_CLR(core, &mut set);
        }
        if libc::CPU_COUNT(&set) > 0 {
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
        }
    }
}
