//! The C ABI: the five functions that the host needs, and further ones that it uses if it finds
//! them.
//!
//! It is thin on purpose: it turns pointers into Rust values and back, and stops panics at the
//! boundary.
//!
//! | file | what |
//! |---|---|
//! | `types` | the callback, the structs, the codes |
//! | `lifecycle` | creating a handle, setting its callback, destroying it |
//! | `events` | [`signal_on_data`], and the delivery of signals from inside it |
//! | `signals` | [`signal_poll_callbacks`], and what a callback may ask |
//! | `batch` | [`signal_poll_batch`]: signals read in place |
//! | `observe` | counters, latency, health, names, errors |
//! | `door` | saves, sets and restores the host's floating-point control and cancellation |
//! | `handle` | what a handle refers to; stops panics |
//! | `handle_table` | where handles live: tokens, which thread is inside |
//! | `entrance` | what a call reads first of a slot, which is emptied in a child |
//! | `slot` | the rest of it |
//! | `forks` | a child of the process leaves its parent's handles to it |
//! | `last_error` | the text of [`signal_last_error`] |
//! | `texts` | room for texts that are written without allocating |
//! | `calibration` | calibrates the clock, also if the process forks meanwhile |
//!
//! # Threads
//!
//! [`signal_on_data`], [`signal_poll_callbacks`], [`signal_poll_batch`],
//! [`signal_register_callback`], [`signal_latency`], [`signal_current_model`],
//! [`signal_current_sequence`], [`signal_current_instrument`], [`signal_batch_instrument`] and
//! [`signal_destroy`] belong to one thread at a time, the host's. The handle may move from one
//! thread to another between calls. Two of these calls must not overlap on one handle, neither from
//! two threads nor from a signal handler that interrupted one: the second call is refused and
//! counted in `refused_concurrent`, and nothing else happens. All other functions may be called
//! from any thread at any time.
//!
//! The first call after a move to another thread asks the kernel for a memory barrier on all
//! threads of the process (`membarrier`, some microseconds; 2 ms if a sandbox has forbidden it since
//! the handle was made), so moves should be rare. After 64 moves, each call on the handle costs a
//! locked instruction instead. The count belongs to the slot of the handle table: it goes on in the
//! next handle there.
//!
//! From inside a callback, the thread that polls may call every function. A callback may exit by an
//! exception, by `pthread_exit` or by cancellation, but not by `longjmp`.
//!
//! # The host's environment
//!
//! How the library treats floating-point control and cancellation of the host's threads is
//! described in `door`. A thread that calls needs a stack of at least 32 KiB, of which
//! [`signal_create`] takes up to 16 and every other call up to 12, plus what factor sets and models
//! need if they run on it. [`signal_create`] runs every model on the calling thread.
//!
//! A host may forbid reading the TSC (`PR_SET_TSC`) on the thread that creates a handle: the handle
//! then reads the time by system calls. A thread that may not read the TSC must not pass events to
//! a handle that was created where reading was allowed, nor poll its signals: that ends the
//! process, because checking in each call would cost too much. Every other call may be made there.
//! Once [`signal_health`] has found that a thread may read the TSC, it does not ask again: the host
//! must not forbid it on that thread later.
//!
//! # Processes
//!
//! A child process has no lanes. It refuses every handle of its parent's, and may create its own. There
//! is one exception: if another thread was in the process' first [`signal_create`] when the child was
//! made, which calibrates the clock for up to 200 ms, creates in the child return null and say so. That
//! holds for `fork`, for `_Fork` and for a bare `clone`, which run no `pthread_atfork` handlers. A child
//! that shares its parent's memory (`CLONE_VM`) or descriptors (`CLONE_FILES`) must not call this
//! library; `forks` says why, and what is different on an old kernel.

mod calibration;
mod departure;
mod door;
mod entrance;
mod forks;
mod handle;
mod handle_table;
mod last_error;
mod slot;
mod texts;

// `signal.h` declares the contents of these files in the order of these lines.
mod types;
pub use types::{
    SIGNAL_ALL_MODELS, SIGNAL_ERROR_BUSY, SIGNAL_ERROR_FAILED, SIGNAL_ERROR_HANDLE,
    SIGNAL_ERROR_NULL, SIGNAL_HEALTH_DEGRADED, SIGNAL_HEALTH_FAILED, SIGNAL_HEALTH_OK,
    SIGNAL_HEALTH_OVERLOADED, SIGNAL_HEALTH_QUARANTINED, SIGNAL_HEALTH_SILENT,
    SIGNAL_HEALTH_STALLED, SIGNAL_HOP_NAME_LEN, SIGNAL_LATENCY_BOUND_NS, SIGNAL_NAME_LEN,
    SIGNAL_NO_CORE, SIGNAL_NO_INSTRUMENT, SIGNAL_NO_MODEL, signal_callback_t, signal_egress_t,
    signal_hop_t, signal_instrument_t, signal_lane_t, signal_result_t, signal_ring_t,
    signal_stats_t,
};

mod lifecycle;
pub use lifecycle::{
    break_lane, create_with, signal_create, signal_destroy, signal_register_callback,
    signal_version,
};

mod events;
pub use events::signal_on_data;

mod signals;
pub use signals::{
    signal_batch_instrument, signal_current_instrument, signal_current_model,
    signal_current_sequence, signal_egress, signal_poll_callbacks,
};

mod batch;
pub use batch::signal_poll_batch;

mod observe;
pub use observe::{
    signal_health, signal_incident, signal_lanes, signal_last_error, signal_latency,
    signal_lost_lines, signal_model_name, signal_models, signal_refused_handles, signal_rings,
    signal_stamp_ns, signal_stats, signal_value_name,
};
