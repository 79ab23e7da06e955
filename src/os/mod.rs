//! All that is asked of Linux and of the process.
//!
//! | file | what |
//! |---|---|
//! | `clock` | stamps in TSC ticks |
//! | `cores` | what cores this process may use |
//! | `claims` | cores that other processes use |
//! | `machine` | what `/proc` and `/sys` say |
//! | `threads` | threads that block all signals |
//! | `this_thread` | which thread this is, and a word for each |
//! | `memory` | whether there is enough of it |
//! | `files` | the one place that opens files; which paths are one file |
//! | `join` | waiting for a thread, and no longer than a host can bear |
//! | `stderr` | lines on stderr |
//! | `panic` | panics that are caught and told |
//! | `glibc` | symbol versions of the host's glibc |

pub mod claims;
pub mod clock;
pub mod cores;
pub mod files;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod glibc;
pub(crate) mod join;
pub mod machine;
pub(crate) mod memory;
pub(crate) mod panic;
pub(crate) mod stderr;
pub(crate) mod this_thread;
pub(crate) mod threads;
