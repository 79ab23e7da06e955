//! `libsignal.so` as the host loads it: `dlopen` with the host's flags, C
//! functions looked up by name.

use std::env;
use std::ffi::{CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

pub use super::bindings::Callback;
use super::bindings::{self, Egress, Functions, Hop, LATENCY_BOUND_NS, Lane, Stats};

/// The functions, looked up.
#[derive(Clone, Copy)]
pub struct Api(Functions);

/// The library to measure: from the flag, from the environment, or the one that Cargo built for
/// this bench.
pub fn find(flag: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = env::var_os("SIGNAL_LIB_PATH") {
        return Ok(path.into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let folder = program.parent().unwrap_or(Path::new("."));
    // `deps` first: Cargo writes each build of the library there, and links it into the folder
    // above only if the library itself was a target. So the copy above may be older than this
    // program.
    ["deps/libsignal.so", "libsignal.so", "../libsignal.so"]
        .iter()
        .map(|place| folder.join(place))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            "no libsignal.so beside this program: build it, or name it with --lib or SIGNAL_LIB_PATH"
                .to_owned()
        })
}

impl Api {
    /// Loads the library for good, as the host does.
    pub fn load(path: &Path) -> Result<Self, String> {
        Functions::load(path).map(Self).map_err(|error| {
            // The loader's own message is the source of this error.
            let why = std::error::Error::source(&error).map(ToString::to_string);
            let why = why.unwrap_or_else(|| error.to_string());
            format!("cannot load {}: {why}", path.display())
        })
    }

    /// `signal_version()`
    pub fn version(&self) -> String {
        self.0.version()
    }

    /// `signal_create(config)`
    pub fn create(&self, config: &Value) -> Result<Handle, String> {
        let text_config = CString::new(config.to_string()).map_err(|error| error.to_string())?;
        // SAFETY: a NUL-terminated text that outlives the call.
        let pointer = unsafe { (self.0.create)(text_config.as_ptr()) };
        if pointer.is_null() {
            let why = self.0.last_error();
            return Err(format!("signal_create({config}) returned NULL: {why}"));
        }
        // SAFETY: the handle is live; what comes back is valid until it is destroyed.
        let egress = unsafe { (self.0.egress)(pointer) };
        let mut handle = Handle {
            api: self.0,
            pointer,
            egress,
            copied: None,
        };
        if egress.is_null() {
            return Err("signal_egress returned NULL".to_owned());
        }
        if !self.0.egress_has_next {
            // SAFETY: this library's struct has the two words.
            let copied = Rc::new(unsafe { Egress::without_next(egress) });
            handle.egress = Rc::as_ptr(&copied);
            handle.copied = Some(copied);
        }
        Ok(handle)
    }
}

/// A live handle, destroyed on drop.
pub struct Handle {
    api: Functions,
    pointer: *mut c_void,
    egress: *const Egress,
    /// What `egress` points to if the library is an older one. It is on the heap, as far away as
    /// the library's own struct would be, so that a poll costs the same.
    copied: Option<Rc<Egress>>,
}

impl Handle {
    /// `signal_register_callback`
    ///
    /// # Safety
    /// `user_data` must be what `callback` expects for as long as the handle is polled.
    pub unsafe fn register(&self, callback: Callback, user_data: *mut c_void) {
        // SAFETY: the handle is live; the caller guarantees the rest.
        unsafe { (self.api.register)(self.pointer, callback, user_data) }
    }

    /// `signal_on_data(101, ...)`
    #[inline(always)]
    pub fn on_depth(&self, depth: &signal::abi::Depth) {
        let data = std::ptr::from_ref(depth).cast();
        // SAFETY: the handle is live and the payload is a whole Depth.
        unsafe { (self.api.on_data)(self.pointer, signal::abi::TYPE_DEPTH, data) }
    }

    /// `signal_on_data(103, ...)`
    #[inline(always)]
    pub fn on_trade(&self, trade: &signal::abi::Trade) {
        let data = std::ptr::from_ref(trade).cast();
        // SAFETY: the handle is live and the payload is a whole Trade.
        unsafe { (self.api.on_data)(self.pointer, signal::abi::TYPE_TRADE, data) }
    }

    /// `signal_poll_callbacks`
    #[inline(always)]
    pub fn poll_call(&self) -> c_int {
        // SAFETY: the handle is live and is used on the thread that created it.
        unsafe { (self.api.poll)(self.pointer) }
    }

    /// `signal_poll`, the header's inlined function: calls the library only if something was
    /// published that has not been taken.
    #[inline(always)]
    pub fn poll_inlined(&self) -> c_int {
        // SAFETY: valid until destroy; both counters are 8 bytes, aligned.
        // `taken` is only written on this thread, in poll.
        let news = unsafe {
            let published = &*(*self.egress).published;
            let taken = &*(*self.egress).taken;
            published.load(Ordering::Acquire) != taken.load(Ordering::Relaxed)
        };
        if news {
            return self.poll_call();
        }
        // SAFETY: as above; a prefetch reads nothing.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                std::ptr::without_provenance(
                    (*(*self.egress).next).load(Ordering::Relaxed) as usize
                ),
            );
        }
        0
    }

    /// `signal_on_data`
    ///
    /// # Safety
    /// `data` is null or points to the struct of `kind`.
    #[inline(always)]
    pub unsafe fn on_data(&self, kind: c_int, data: *const c_void) {
        // SAFETY: the handle is live; the caller guarantees the data.
        unsafe { (self.api.on_data)(self.pointer, kind, data) }
    }

    /// Whether the inlined poll reads a struct of our own, because the library's is shorter.
    pub fn egress_is_own(&self) -> bool {
        self.copied.is_some()
    }

    /// `signal_current_model`
    #[inline(always)]
    pub fn current_model(&self) -> c_int {
        // SAFETY: the handle is live and is used on the thread that created it.
        unsafe { (self.api.current_model)(self.pointer) }
    }

    /// `signal_models`
    pub fn models(&self) -> usize {
        // SAFETY: the handle is live.
        let count = unsafe { (self.api.models)(self.pointer) };
        usize::try_from(count).unwrap_or(0)
    }

    /// `signal_stats`
    pub fn stats(&self) -> Result<Vec<(&'static str, u64)>, String> {
        let mut stats = Stats {
            size: size_of::<Stats>() as u64,
            ..Stats::default()
        };
        // SAFETY: the handle is live and the struct has room for `size` bytes.
        match unsafe { (self.api.stats)(self.pointer, &mut stats) } {
            0 => Ok(stats.named()),
            code => Err(format!("signal_stats returned {code}")),
        }
    }

    /// `signal_health`, as a word.
    pub fn health(&self) -> Result<&'static str, String> {
        // SAFETY: the handle is live.
        let code = unsafe { (self.api.health)(self.pointer) };
        bindings::health_word(code)
            .ok_or_else(|| format!("signal_health returned {code}: {}", self.last_error()))
    }

    /// `signal_lanes`, one line each: the lane's progress, and since when it makes none.
    pub fn lanes(&self) -> Vec<String> {
        const MAX: usize = 64;
        let mut rows = [Lane::EMPTY; MAX];
        // SAFETY: the handle is live and there is room for MAX rows.
        let written = self.api.lanes.map_or(0, |lanes| unsafe {
            lanes(self.pointer, rows.as_mut_ptr(), MAX as c_int)
        });
        let rows = rows.iter().take(usize::try_from(written).unwrap_or(0));
        rows.map(|lane| {
            format!(
                "{}: {} beats, the last {:.1} ms ago, {} stalls, longest duty {:.1} ms",
                String::from_utf8_lossy(signal::abi::text(&lane.name)),
                lane.beats,
                lane.silence_ns as f64 / 1e6,
                lane.stalls,
                lane.longest_duty_ns as f64 / 1e6
            )
        })
        .collect()
    }

    /// `signal_last_error`
    pub fn last_error(&self) -> String {
        self.api.last_error()
    }

    /// The library's own hop table, if it has one.
    pub fn hops(&self) -> Vec<Value> {
        const MAX: usize = 32;
        let mut rows = [Hop::EMPTY; MAX];
        // SAFETY: the handle is live and there is room for MAX rows.
        let written = unsafe { (self.api.latency)(self.pointer, rows.as_mut_ptr(), MAX as c_int) };
        rows.iter()
            .take(usize::try_from(written).unwrap_or(0))
            .map(|row| {
                json!({
                    "hop": row.name(),
                    "count": row.count,
                    "p50_ns": row.p50_ns,
                    "p99_ns": row.p99_ns,
                    "p999_ns": row.p999_ns,
                    "max_ns": row.max_ns,
                    // The latency was `max_ns` or more.
                    "at_bound": row.max_ns >= LATENCY_BOUND_NS,
                })
            })
            .collect()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: created by this library and destroyed once.
        unsafe { (self.api.destroy)(self.pointer) }
    }
}
