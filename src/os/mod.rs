//! Everything that is asked of Linux and of the process.
//!
//! | file | what |
//! |---|---|
//! | `clock` | stamps in TSC ticks |
//! | `tsc` | whether a thread may read the TSC |
//! | `time` | the time off the hot path, and elapsed time |
//! | `interrupted` | calls that a signal interrupts, made again |
//! | `limit` | time limits that only run while this process runs |
//! | `seldom` | what is asked at most once a second |
//! | `parker` | a thread that sleeps until it is woken |
//! | `cores` | what cores this process may use |
//! | `core_set` | on which cores a thread may run |
//! | `claims` | cores that other processes have claimed |
//! | `process_lock` | a value that belongs to one process, and not to the child of a fork |
//! | `machine` | what `/proc` and `/sys` say |
//! | `threads` | threads with settings of their own, not those of their creator |
//! | `this_thread` | the calling thread's ID, and a word for each thread |
//! | `float` | rounding, flush-to-zero and traps, whatever the host has chosen |
//! | `cancellation` | delays `pthread_cancel` while our code runs |
//! | `memory` | whether there is enough memory |
//! | `resources` | what the process may use of the system's resources |
//! | `allocator` | takes memory of any alignment from `malloc` alone |
//! | `environment` | the environment's variables, unless their author has fewer rights than we |
//! | `files` | the only place that opens files; which paths lead to the same file |
//! | `stderr` | lines on stderr |
//! | `fixed_text` | texts that are written without allocating |
//! | `panic` | catches and describes panics |
//! | `random` | random numbers for hash maps, whatever a sandbox refuses |
//! | `unwinder` | lets exceptions through that another copy of libgcc throws |
//! | `glibc` | symbol versions of the host's glibc |
//! | `own_functions` | functions of the host's glibc, where the host may have others of that name |
//! | `names` | whether the host's functions with POSIX' names are those of POSIX |

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod allocator;
pub(crate) mod cancellation;
pub mod claims;
pub mod clock;
pub(crate) mod core_set;
pub mod cores;
pub mod environment;
pub mod files;
pub(crate) mod fixed_text;
pub(crate) mod float;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod glibc;
pub(crate) mod interrupted;
pub(crate) mod limit;
pub mod machine;
pub(crate) mod memory;
pub(crate) mod names;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod own_functions;
pub(crate) mod panic;
pub(crate) mod parker;
mod process_lock;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod random;
pub(crate) mod resources;
pub(crate) mod seldom;
pub(crate) mod stderr;
pub(crate) mod this_thread;
pub(crate) mod threads;
pub(crate) mod time;
pub(crate) mod tsc;
pub(crate) mod unwinder;
