//! All that is asked of Linux and of the process.
//!
//! | file | what |
//! |---|---|
//! | `clock` | stamps in TSC ticks |
//! | `tsc` | whether a thread may read the TSC |
//! | `time` | the time off the hot path, and how long something took |
//! | `limit` | how long something may take, as long as this process runs |
//! | `parker` | a thread that sleeps until it is woken |
//! | `cores` | what cores this process may use |
//! | `claims` | cores that other processes use |
//! | `machine` | what `/proc` and `/sys` say |
//! | `threads` | threads that have nothing of the one that made them |
//! | `this_thread` | which thread this is, and a word for each |
//! | `float` | rounding, flush-to-zero and traps, whatever the host has chosen |
//! | `cancellation` | `pthread_cancel` waits while our code runs |
//! | `memory` | whether there is enough of it |
//! | `files` | the one place that opens files; which paths are one file |
//! | `stderr` | lines on stderr |
//! | `fixed_text` | texts that take no memory |
//! | `panic` | panics that are caught and told |
//! | `glibc` | symbol versions of the host's glibc |

pub(crate) mod cancellation;
pub mod claims;
pub mod clock;
pub mod cores;
pub mod files;
pub(crate) mod fixed_text;
pub(crate) mod float;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod glibc;
pub(crate) mod limit;
pub mod machine;
pub(crate) mod memory;
pub(crate) mod panic;
pub(crate) mod parker;
pub(crate) mod stderr;
pub(crate) mod this_thread;
pub(crate) mod threads;
pub(crate) mod time;
pub(crate) mod tsc;
