//! `libsignal.so` as the host loads it: `dlopen` with the host's flags, C
//! functions looked up by name.

use std::env;
use std::ffi::{CStr, CString, c_char, c_double, c_int, c_longlong, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use libloading::os::unix::Library;
use serde_json::{Value, json};

/// The host's callback type.
pub type Callback =
    extern "C-unwind" fn(*const c_char, c_longlong, *const c_double, c_int, *mut c_void);

/// `signal_egress_t`
#[repr(C)]
struct Egress {
    published: *const AtomicU64,
    taken: *const AtomicU64,
}

/// `signal_hop_t`
#[repr(C)]
#[derive(Clone, Copy)]
struct Hop {
    name: [c_char; 24],
    count: u64,
    p50_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    max_ns: u64,
}

/// The functions, looked up.
#[derive(Clone, Copy)]
pub struct Api {
    create: unsafe extern "C" fn(*const c_char) -> *mut c_void,
    register: unsafe extern "C" fn(*mut c_void, Callback, *mut c_void),
    on_data: unsafe extern "C" fn(*mut c_void, c_int, *const c_void),
    poll: unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
    destroy: unsafe extern "C" fn(*mut c_void),
    egress: unsafe extern "C" fn(*mut c_void) -> *const Egress,
    last_error: unsafe extern "C" fn() -> *const c_char,
    version: unsafe extern "C" fn() -> *const c_char,
    latency: Option<unsafe extern "C" fn(*mut c_void, *mut Hop, c_int) -> c_int>,
}

/// The library to measure: the flag's, the environment's, else the one that
/// Cargo built for this bench.
pub fn find(flag: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = env::var_os("SIGNAL_LIB_PATH") {
        return Ok(path.into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    // A bench lies in target/release/deps, and so does the library that was built with it.
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("libsignal.so"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            "no libsignal.so beside this program: build it, or name it with --lib or SIGNAL_LIB_PATH"
                .to_owned()
        })
}

impl Api {
    /// Loads the library for good, as the host does.
    pub fn load(path: &Path) -> Result<Self, String> {
        let flags = libc::RTLD_LAZY | libc::RTLD_NODELETE;
        // SAFETY: the user names a libsignal.so; its initialisers are Rust's own.
        let library = unsafe { Library::open(Some(path), flags) }
            .map_err(|error| format!("cannot load {}: {error}", path.display()))?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type on the left is the one that the C header declares.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                    .map_err(|error| format!("{} lacks {}: {error}", path.display(), $name))?
            };
        }
        Ok(Self {
            create: function!("signal_create"),
            register: function!("signal_register_callback"),
            on_data: function!("signal_on_data"),
            poll: function!("signal_poll_callbacks"),
            destroy: function!("signal_destroy"),
            egress: function!("signal_egress"),
            last_error: function!("signal_last_error"),
            version: function!("signal_version"),
            // SAFETY: as above; an older library may lack it.
            latency: unsafe { library.get(b"signal_latency\0") }
                .ok()
                .map(|symbol| *symbol),
        })
        // RTLD_NODELETE: dropping `library` leaves the functions in place.
    }

    /// `signal_version()`
    pub fn version(&self) -> String {
        // SAFETY: takes nothing and returns a static NUL-terminated text or NULL.
        text(unsafe { (self.version)() }).unwrap_or_default()
    }

    /// `signal_create(config)`
    pub fn create(&self, config: &Value) -> Result<Handle, String> {
        let text_config = CString::new(config.to_string()).map_err(|error| error.to_string())?;
        // SAFETY: a NUL-terminated text that outlives the call.
        let pointer = unsafe { (self.create)(text_config.as_ptr()) };
        if pointer.is_null() {
            // SAFETY: takes nothing; the text lives until the next create on this thread.
            let why = text(unsafe { (self.last_error)() }).unwrap_or_default();
            return Err(format!("signal_create({config}) returned NULL: {why}"));
        }
        // SAFETY: the handle is live; what comes back is valid until it is destroyed.
        let egress = unsafe { (self.egress)(pointer) };
        let handle = Handle {
            api: *self,
            pointer,
            egress,
        };
        if egress.is_null() {
            return Err("signal_egress returned NULL".to_owned());
        }
        Ok(handle)
    }
}

/// A live handle, destroyed on drop.
pub struct Handle {
    api: Api,
    pointer: *mut c_void,
    egress: *const Egress,
}

impl Handle {
    /// `signal_register_callback`
    ///
    /// # Safety
    /// `user_data` must be what `callback` expects for as long as the handle is polled.
    pub unsafe fn register(&self, callback: Callback, user_data: *mut c_void) {
        // SAFETY: the handle is live; the caller vouches for the rest.
        unsafe { (self.api.register)(self.pointer, callback, user_data) }
    }

    /// `signal_on_data(101, ...)`
    #[inline(always)]
    pub fn on_depth(&self, depth: &signal::abi::Depth) {
        let data = std::ptr::from_ref(depth).cast();
        // SAFETY: the handle is live and the payload is a whole Depth.
        unsafe { (self.api.on_data)(self.pointer, signal::abi::TYPE_DEPTH, data) }
    }

    /// `signal_poll_callbacks`
    #[inline(always)]
    pub fn poll_call(&self) -> c_int {
        // SAFETY: the handle is live and is used on the thread that created it.
        unsafe { (self.api.poll)(self.pointer) }
    }

    /// `signal_poll`, the header's inlined function: calls the library only
    /// when something was published that has not been taken.
    #[inline(always)]
    pub fn poll_inlined(&self) -> c_int {
        // SAFETY: valid until destroy; both counters are 8 bytes, aligned.
        // `taken` is only written on this thread, in poll.
        let news = unsafe {
            let published = &*(*self.egress).published;
            let taken = &*(*self.egress).taken;
            published.load(Ordering::Acquire) != taken.load(Ordering::Relaxed)
        };
        if news { self.poll_call() } else { 0 }
    }

    /// The library's own hop table, if it keeps one.
    pub fn hops(&self) -> Vec<Value> {
        const MAX: usize = 32;
        let Some(latency) = self.api.latency else {
            return Vec::new();
        };
        let blank = Hop {
            name: [0; 24],
            count: 0,
            p50_ns: 0,
            p99_ns: 0,
            p999_ns: 0,
            max_ns: 0,
        };
        let mut rows = [blank; MAX];
        // SAFETY: the handle is live and there is room for MAX rows.
        let written = unsafe { latency(self.pointer, rows.as_mut_ptr(), MAX as c_int) };
        rows.iter()
            .take(usize::try_from(written).unwrap_or(0))
            .map(|row| {
                let name: Vec<u8> = row.name.iter().map(|&c| c as u8).collect();
                json!({
                    "hop": String::from_utf8_lossy(signal::abi::text(&name)),
                    "count": row.count,
                    "p50_ns": row.p50_ns,
                    "p99_ns": row.p99_ns,
                    "p999_ns": row.p999_ns,
                    "max_ns": row.max_ns,
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

fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the library's texts are NUL-terminated.
    let text = unsafe { CStr::from_ptr(pointer) };
    Some(text.to_string_lossy().into_owned())
}
