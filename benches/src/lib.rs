//! What the benches share: one program a question, in `src/bin`.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | flags |
//! | [`bench`] | from the flags to pinned cores, a clock and the libraries; judged runs; what is printed and written |
//! | [`report`], [`chart`] | tables, notes and goals; line charts |
//! | [`machine`] | cores, and the facts of the machine that a figure depends on |
//! | [`judge`] | whether a run's cores were its own |
//! | [`threads`] | what the kernel says of threads, and of who else ran |
//! | [`series`] | stamps and what is read off many of them |
//! | [`drive`] | the host's thread: events in, callbacks out, the time between |
//! | [`live`] | a handle of the library whose lanes are watched |
//! | [`silence`] | the wait for a signal, and what is known when none comes |
//! | [`due`] | an open load: Depths that are due at even intervals |
//! | [`echo`] | to another core and back, over a cache line or two rings of one kind |
//! | [`busy`] | a busy loop on a core, as of another program |
//! | [`jitter`] | what the machine takes of its cores' time |
//! | [`workload`] | configurations, the linear model, a book and a trade |
//! | [`feed`] | a synthetic market |
//! | [`forest`] | ensembles of trees to time |
//! | [`wide`] | a factor set as wide as one likes |
//! | [`folder`] | a folder for the files of one run |
//! | `hf_live` | the design that the library replaces, in C++ |
//!
//! What each bench times, and how to read it: `benches/README.md`.

pub mod args;
pub mod bench;
pub mod busy;
pub mod chart;
pub mod drive;
pub mod due;
pub mod echo;
pub mod feed;
pub mod folder;
pub mod forest;
#[cfg(feature = "cpp")]
pub mod hf_live;
pub mod jitter;
pub mod judge;
pub mod live;
pub mod machine;
pub mod report;
pub mod series;
pub mod silence;
pub mod threads;
pub mod wide;
pub mod workload;
