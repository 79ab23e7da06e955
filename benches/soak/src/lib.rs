//! What the soak does and checks; its program adds flags and a report.
//!
//! | module | what |
//! |---|---|
//! | [`cases`] | the configurations and their loads |
//! | [`feed`] | the events |
//! | [`round`] | a handle's life under load |
//! | [`probe`] | the callback and what it insists on |
//! | [`accounts`] | the books |
//! | [`process`], [`memory`] | what the process holds, and whether that grows |
//!
//! What exactly is checked: `benches/soak/README.md`.

pub mod accounts;
pub mod cases;
pub mod feed;
pub mod memory;
pub mod probe;
pub mod process;
pub mod round;
