//! What the latency benches share: one program a question, in `src/bin`.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | flags |
//! | [`bench`] | from the flags to pinned cores and a clock; the printed header, the JSON |
//! | [`machine`] | cores, and the facts of the machine that a figure depends on |
//! | [`runs`] | judged runs: the valid ones are compared |
//! | [`series`] | stamps and what is read off many of them |
//! | [`echo`] | a cache line there and back: the floor under every hop |
//! | [`jitter`] | what the machine takes of its cores' time |
//! | [`workload`] | configurations, the linear model, a book and a trade |
//! | [`contention`] | whether a run's cores were its own |
//! | [`threads`] | what the kernel says of threads, and of who else ran |
//! | [`live`] | a handle whose lanes are watched |
//! | [`lines`] | the library's start lines, each once |
//! | [`probe`] | the callback |
//! | [`silence`] | the wait for it, and what is known when it does not come |
//! | [`ticks`] | what the library costs on the host's thread |
//! | [`table`] | columns of figures |
//! | [`feed`] | a synthetic market |
//! | [`folder`] | a folder for the files of one run |
//! | [`forest`] | ensembles of trees to time |
//! | [`wide`] | a factor set as wide as one likes |
//! | [`schedule`] | open loop: when events are due, whether a rate was kept |
//! | [`chart`] | line charts |
//! | `hf_live` | the design that the library replaces, in C++ |
//!
//! What each bench times, and how to read it: `benches/README.md`.

pub mod args;
pub mod bench;
pub mod chart;
pub mod contention;
pub mod echo;
pub mod feed;
pub mod folder;
pub mod forest;
#[cfg(feature = "hf-live")]
pub mod hf_live;
pub mod jitter;
pub mod lines;
pub mod live;
pub mod machine;
pub mod probe;
pub mod runs;
pub mod schedule;
pub mod series;
pub mod silence;
pub mod table;
pub mod threads;
pub mod ticks;
pub mod wide;
pub mod workload;
