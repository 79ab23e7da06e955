//! The `signal` command: plays recorded or synthetic market data to
//! `libsignal.so`, the way the Godzilla host does, and prints what came back.
//!
//! The command is a host, not a shortcut: it loads the built library with the
//! host's `dlopen` flags and uses nothing but its C ABI. Tests and benches load it
//! through [`host`] too.

pub mod host;

mod arrivals;
mod cli;
mod config;
mod contention;
mod drive;
mod failure;
mod interrupt;
mod locate;
mod outputs;
mod pace;
mod plugin;
mod print;
mod received;
mod report;
mod source;
mod stream;
mod synthetic;
mod tune;
mod waiter;

/// As tables show it.
pub use print::number;
/// What `signal tune` plays: recorded events, in memory.
pub use source::Source;
pub use tune::feed::{Feed as Recording, LEAD};

pub use cli::main;
