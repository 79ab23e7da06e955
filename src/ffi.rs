//! The C ABI: the host's five functions and what it may use if it finds them.
//!
//! `include/signal.h` is generated from this file and `ffi/`. Thin on purpose: it turns
//! pointers into Rust values and back, and stops panics at the boundary.
//!
//! | file | what |
//! |---|---|
//! | `types` | the callback, the structs, the codes |
//! | `lifecycle` | a handle made, given its callback, destroyed |
//! | `events` | [`signal_on_data`], and delivery from inside it |
//! | `signals` | [`signal_poll_callbacks`], what a callback may ask |
//! | `batch` | signals in place: [`signal_poll_batch`] |
//! | `observe` | counters, latency, health, names, errors |
//! | `door` | the host's floating-point control and cancellation, kept and put back |
//! | `handle` | what a handle stands for, panics stopped |
//! | `handle_table` | where handles live: tokens, who is inside, forks |
//! | `slot` | one handle's place in that table |
//! | `last_error` | the text of [`signal_last_error`] |
//! | `texts` | room for texts that take no memory |
//! | `calibration` | the clock's, and a fork into it |
//!
//! # Threads
//!
//! [`signal_on_data`], [`signal_poll_callbacks`], [`signal_poll_batch`], [`signal_register_callback`],
//! [`signal_latency`], [`signal_current_model`], [`signal_current_sequence`],
//! [`signal_current_instrument`], [`signal_batch_instrument`] and [`signal_destroy`] belong to one thread at a time, the host's. The handle may move from one thread to
//! another between calls. Two of them at once on one handle, from two threads or
//! from a signal handler that interrupted one, is not allowed: the second is
//! refused, counted in `refused_concurrent`, and nothing else happens. All other
//! functions may be called from any thread at any time.
//!
//! The first call after a move to another thread asks the kernel for a barrier on
//! the threads of the process (`membarrier`, some microseconds): move seldom. A
//! handle that has moved 64 times pays a locked instruction a call instead.
//!
//! From inside a callback the thread that polls may call every function. It may leave by
//! an exception, `pthread_exit` or cancellation, not by `longjmp`.
//!
//! # The host's environment
//!
//! Floating-point control and cancellation of the host's threads: see `door`. A thread
//! that calls has 32 KiB of stack at least, of which [`signal_create`] takes up to 28 and
//! all else up to 12, and what factor sets and models need that run on it.
//!
//! A host may forbid reading the TSC (`PR_SET_TSC`) on the thread that creates: the handle
//! then reads the time by system calls. On a thread that may not read it, events must not be
//! given and signals not polled with a handle made where it was allowed: that ends the
//! process, since no call can afford to check first. Every other call may be made there;
//! [`signal_health`] checks in a thread's first call only.
//!
//! # Processes
//!
//! The child of a `fork` has no lanes: it finds every handle that was made before
//! refused, and may create one of its own. One exception: forked while another
//! thread is in the process' first [`signal_create`], which calibrates the clock
//! for up to 200 ms, the child's own creates return null and say so. A child made
//! by a bare `clone` or `_Fork`, which runs no `pthread_atfork` handlers, must not
//! call this library.

mod calibration;
mod door;
mod handle;
mod handle_table;
mod last_error;
mod slot;
mod texts;

// `signal.h` has what these files hold in the order of these lines.
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
