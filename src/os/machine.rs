//! What `/proc` and `/sys` say of this machine and this process: the one reader for
//! the placement, the report's facts and the benches.
//!
//! Files of this process are those of the calling thread (`thread-self`) where that matters: once
//! its first thread has ended (`pthread_exit` in `main`), `/proc/self` has no memory, no
//! descriptors and no mounts.
//!
//! An answer that cannot be had is `None`, or an empty list, where it is for the report
//! alone. Where something hangs on it, not to know is an answer of its own, and what is
//! done then does no harm whatever the truth is:
//!
//! | question | asked in | not known |
//! |---|---|---|
//! | which cores may this process use | `cores` | those that `/proc` names; lanes are not pinned, and park |
//! | may lanes be pinned | `cores` | the same |
//! | which core has the host | `cores` | one is left for it all the same |
//! | where are other lanes of this process | [`each_thread`] | where this copy of the library claims some; lanes park |
//! | what do other processes use | `claims` | lanes park, unless `cores` says which to use |
//! | may a claim be given back | `claims` | it is kept |
//! | is there a CPU quota | [`quota_unknown`] | lanes park |
//! | has a quota held this process up | `throttled` | the report says nothing of it |
//! | is there a limit of memory of the control groups | [`group_memory_unknown`] | as if not, and the line at start says so |
//! | does the host lock what it maps | `memory` | the kernel is asked for a mapping, which it refuses beyond the limit |
//! | do two cores share a physical one; is one isolated | [`hardware_threads`], [`isolated`] | as if not: it costs speed alone |
//! | may this thread read the TSC | `tsc` | stamps are system calls |
//! | what time is it | `time` | no handle is made |
//! | has the kernel a barrier for all threads | `sync::membarrier` | calls take a locked instruction, or wait 2 ms |
//! | how long has a lane waited for its core | [`waited_for_a_core`] | the report says nothing of it |
//! | does the kernel take cores from real-time threads that never sleep | `threads::throttle` | as an old kernel by default: such lanes are refused |
//! | what policy has this thread | `threads::policy` | a policy that was asked for and refused refuses the handle |
//! | how large is the static thread-local storage | `threads::start` | a large program's |
//! | has the host a thread left | `threads::roster` | yes: the library ends nothing |
//! | does a thread live | `this_thread` | yes: its lock stays its own |
//! | was descriptor 2 stderr | `stderr` | no line is written |

use std::ffi::CStr;
use std::fmt;
use std::io::{self, Write};

use super::{files, this_thread};

mod group_folder;
mod group_memory;
mod groups;
mod kernel_threads;
mod mounts;
mod namespaces;
mod open_groups;
mod place;
mod quota;
mod throttled;
mod waiting;

pub use group_memory::group_memory_unknown;
pub(crate) use group_memory::{GroupMemory, group_memory};
pub use groups::{StayKnown as GroupsStayKnown, stay_known as groups_stay_known};
pub(crate) use kernel_threads::KernelThreads;
pub(crate) use namespaces::{children_are_elsewhere, pid_namespace};
pub(crate) use open_groups::OpenGroups;
pub use quota::{Quota, quota, quota_unknown};
pub use throttled::Throttling;
pub(crate) use throttled::{Level, Throttled};
pub(crate) use waiting::WaitForCore;
pub use waiting::waited_for_a_core;

/// Core ids at and above this abort the process in `core_affinity`.
pub const MAX_CORES: usize = libc::CPU_SETSIZE as usize;

const CPU: &str = "/sys/devices/system/cpu";

/// `/proc/cpuinfo`, read once.
pub struct CpuInfo(String);

impl CpuInfo {
    /// Reads it.
    pub fn read() -> Self {
        Self(files::system("/proc/cpuinfo").unwrap_or_default())
    }

    /// The name of the first core's model.
    pub fn model(&self) -> Option<&str> {
        self.field("model name")
    }

    /// Whether the first core has this flag.
    pub fn has(&self, flag: &str) -> bool {
        let flags = self.field("flags").unwrap_or_default();
        flags.split(' ').any(|known| known == flag)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
    }
}

/// The kernel's release.
pub fn kernel() -> Option<String> {
    line("/proc/sys/kernel/osrelease")
}

/// The kernel's clock source.
pub fn clocksource() -> Option<String> {
    line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// Cores that are online, as the kernel's list.
pub fn online() -> Option<String> {
    line(&format!("{CPU}/online"))
}

/// Cores that the kernel keeps free of other work (`isolcpus`), as its list.
pub fn isolated() -> Option<String> {
    line(&format!("{CPU}/isolated"))
}

/// [`isolated`], as numbers.
pub fn isolated_cores() -> Vec<usize> {
    isolated()
        .and_then(|list| parse_list(&list))
        .unwrap_or_default()
}

/// Cores whose tick the kernel stops, as its list; `(null)` on kernels that can but
/// were not told to.
pub fn nohz_full() -> Option<String> {
    line(&format!("{CPU}/nohz_full"))
}

/// The frequency governor of a core.
pub fn governor(core: usize) -> Option<String> {
    line(&format!("{CPU}/cpu{core}/cpufreq/scaling_governor"))
}

/// Whether the kernel uses huge pages by itself.
pub fn transparent_hugepage() -> Option<String> {
    line("/sys/kernel/mm/transparent_hugepage/enabled")
}

/// The load average of the last minute.
pub fn load_average() -> Option<String> {
    let averages = line("/proc/loadavg")?;
    averages.split(' ').next().map(str::to_owned)
}

/// The hardware threads of a core's physical core, the core itself included.
pub fn hardware_threads(core: usize) -> Vec<usize> {
    line(&format!("{CPU}/cpu{core}/topology/thread_siblings_list"))
        .and_then(|list| parse_list(&list))
        .unwrap_or_default()
}

/// A thread of this process.
#[derive(Clone, Copy)]
pub struct Thread<'a> {
    /// The kernel's ID of it.
    pub id: u32,
    /// Whether it has ended: the first thread stays in the list until the process ends.
    pub has_ended: bool,
    /// Its name.
    pub name: &'a str,
    /// Cores that it may run on, as the kernel's list.
    pub cores: &'a str,
}

/// Looks at the threads of this process, at some of them more than once. Takes no memory.
///
/// # Errors
///
/// Why the kernel does not say which there are, or where one of them may run. `each` has
/// seen those of which it does.
pub fn each_thread(mut each: impl FnMut(Thread<'_>)) -> io::Result<()> {
    each_thread_in("", &mut each)
}

/// The kernel's list leaves out threads that live while others end: it is read again until as many
/// were seen as there are.
fn each_thread_in(root: &str, each: &mut dyn FnMut(Thread<'_>)) -> io::Result<()> {
    const MOST: usize = 8;
    for _ in 0..MOST {
        let before = threads_at_once_in(root);
        let mut seen = 0;
        each_listed_thread(root, &mut |thread| {
            seen += 1;
            each(thread);
        })?;
        if before.is_none_or(|before| before == seen) && before == threads_at_once_in(root) {
            break;
        }
    }
    Ok(())
}

/// A call of its own: its buffers must not lie on the host's stack for longer.
#[inline(never)]
fn each_listed_thread(root: &str, each: &mut dyn FnMut(Thread<'_>)) -> io::Result<()> {
    let mut path = [0; MAX_PATH];
    let mut unknown = None;
    files::each_number(
        c_path(format_args!("{root}/proc/self/task"), &mut path)?,
        |id| {
            let mut path = [0; MAX_PATH];
            let (mut name, mut cores) = (Field::default(), Field::default());
            let mut has_ended = false;
            let path = c_path(format_args!("{root}/proc/self/task/{id}/status"), &mut path);
            let read = path.and_then(|path| {
                files::each_line(path, |line| {
                    name.take(line, b"Name:");
                    cores.take(line, b"Cpus_allowed_list:");
                    has_ended |= says_ended(line);
                })
            });
            match read {
                Ok(()) => match name.text().zip(cores.text()) {
                    Some((name, cores)) => each(Thread {
                        id,
                        has_ended,
                        name,
                        cores,
                    }),
                    None => unknown = Some(io::ErrorKind::InvalidData.into()),
                },
                Err(error) if is_gone(&error) => {}
                Err(error) => unknown = Some(error),
            }
        },
    )?;
    unknown.map_or(Ok(()), Err)
}

/// Whether the process' first thread has ended (`pthread_exit` in `main`) and others go on. False if
/// that is not known. Takes no memory.
pub fn first_thread_has_ended() -> bool {
    let mut has_ended = false;
    let read = files::each_line(c"/proc/self/status", |line| has_ended |= says_ended(line));
    read.is_ok() && has_ended
}

/// Number of threads of this process, a first thread that has ended included. Unlike a list of
/// them, it is of one moment. Takes no memory.
pub fn threads_at_once() -> Option<usize> {
    threads_at_once_in("")
}

fn threads_at_once_in(root: &str) -> Option<usize> {
    let (mut path, mut threads) = ([0; MAX_PATH], Field::default());
    let path = c_path(format_args!("{root}/proc/self/status"), &mut path).ok()?;
    files::each_line(path, |line| threads.take(line, b"Threads:")).ok()?;
    threads.text()?.parse().ok()
}

/// Whether the name of a thread of this process begins so; `None` if that is not known, as where
/// `/proc` is that of another PID namespace and has other IDs. Takes no memory.
pub fn thread_is_named(id: u32, beginning: &str) -> Option<bool> {
    let begins = |id: u32, beginning: &str| {
        let (mut path, mut begins) = ([0; MAX_PATH], false);
        let path = c_path(format_args!("/proc/self/task/{id}/comm"), &mut path).ok()?;
        files::each_line(path, |line| {
            begins |= line.starts_with(beginning.as_bytes())
        })
        .ok()?;
        Some(begins)
    };
    let has_ended = || begins(this_thread::id(), "").map(|_| false);
    begins(id, beginning).or_else(has_ended)
}

/// Whether this line of a thread's `status` says that it has ended.
fn says_ended(line: &[u8]) -> bool {
    let state = line.strip_prefix(b"State:").map(<[u8]>::trim_ascii);
    state.is_some_and(|state| matches!(state.first(), Some(b'Z' | b'X')))
}

/// The value of one line of a file of the system's own; the beginning of a long one.
struct Field {
    bytes: [u8; 256],
    length: Option<usize>,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            length: None,
        }
    }
}

impl Field {
    fn take(&mut self, line: &[u8], key: &[u8]) {
        if let Some(value) = line.strip_prefix(key) {
            let value = value.trim_ascii();
            let length = value.len().min(self.bytes.len());
            self.bytes[..length].copy_from_slice(&value[..length]);
            self.length = Some(length);
        }
    }

    /// As far as it is UTF-8: the kernel cuts a thread's name within a character.
    fn text(&self) -> Option<&str> {
        let bytes = &self.bytes[..self.length?];
        Some(bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()))
    }
}

/// Longest path of these; only tests have a root other than `/`.
const MAX_PATH: usize = 512;

/// The path, in `into`, which is all zeros.
fn c_path<'a>(path: fmt::Arguments<'_>, into: &'a mut [u8; MAX_PATH]) -> io::Result<&'a CStr> {
    // The last byte stays the NUL.
    into[..MAX_PATH - 1].as_mut().write_fmt(path)?;
    CStr::from_bytes_until_nul(into).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Whether it is no more: a thread that was in the list a moment ago.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ESRCH | libc::ENOTDIR)
    )
}

/// What the kernel calls a process, without what would spoil a line.
pub fn process_name(process: u32) -> Option<String> {
    let name = line(&format!("/proc/{process}/comm"))?;
    Some(name.chars().filter(|c| !c.is_control()).collect())
}

/// Cores that this process' first thread may use, from what can be read of it; all
/// that are online where nothing can. Never empty.
pub fn cores_of_process() -> Vec<usize> {
    let status = files::system("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cores = list.and_then(parse_list);
    let cores = cores.or_else(|| parse_list(&online()?));
    match cores {
        Some(cores) if !cores.is_empty() => cores,
        _ => vec![0],
    }
}

/// Number of threads of this process.
pub fn thread_count() -> u64 {
    entries("/proc/self/task")
}

/// Open descriptors of this process, the one that looks included.
pub fn descriptors() -> u64 {
    entries("/proc/thread-self/fd")
}

/// Memory of this process that is in RAM, pages.
pub fn resident_pages() -> Option<u64> {
    line("/proc/thread-self/statm")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

fn entries(folder: &str) -> u64 {
    files::entries(folder).map_or(0, |entries| entries.count() as u64)
}

/// A kernel file's line; `None` where the kernel has no such file.
fn line(path: &str) -> Option<String> {
    files::system(path).ok().map(|text| text.trim().to_owned())
}

/// Reads the kernel's list format, `0-2,5`; `None` for anything else. An empty
/// text is an empty list.
pub fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    if text.trim().is_empty() {
        return Some(cores);
    }
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (core(first)?, core(last)?);
        if last < first || last >= MAX_CORES {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

/// A core's number. `parse` alone takes a plus sign, too.
fn core(text: &str) -> Option<usize> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists_are_read() {
        assert_eq!(parse_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list("\n"), Some(vec![]));
        assert_eq!(parse_list("2-1"), None);
        assert_eq!(parse_list("+1"), None);
        assert_eq!(parse_list("1-"), None);
    }

    #[test]
    fn a_flag_is_a_whole_word_and_a_field_a_whole_name() {
        let info =
            CpuInfo("vmx flags\t: vnmi\nflags\t\t: fpu avx512f\nmodel name\t: A CPU\n".into());
        assert!(info.has("fpu") && !info.has("avx") && !info.has("vnmi"));
        assert_eq!(info.model(), Some("A CPU"));
    }

    #[test]
    fn threads_of_which_the_kernel_says_nothing_are_not_none() {
        let root = tempfile::tempdir().unwrap();
        let cores = || -> io::Result<Vec<String>> {
            let mut cores = Vec::new();
            let root = root.path().to_str().unwrap();
            each_thread_in(root, &mut |thread| cores.push(thread.cores.to_owned()))?;
            Ok(cores)
        };
        assert!(cores().is_err());
        let thread = root.path().join("proc/self/task/7");
        std::fs::create_dir_all(&thread).unwrap();
        // One that has just ended.
        assert!(cores().unwrap().is_empty());
        let status = thread.join("status");
        std::fs::write(&status, "Name:\tx\nCpus_allowed_list:\t0-2\n").unwrap();
        assert_eq!(cores().unwrap(), ["0-2"]);
        // A name that was cut within a character, and more groups than fit into a page.
        let groups = "1234567890 ".repeat(1000);
        let text = [b"Name:\t\xe8\xa1\x8c\xe6\x83\nGroups:\t", groups.as_bytes()].concat();
        std::fs::write(&status, [&text, &b"\nCpus_allowed_list:\t7\n"[..]].concat()).unwrap();
        assert_eq!(cores().unwrap(), ["7"]);
        std::fs::write(&status, "Name:\tx\n").unwrap();
        assert!(cores().is_err());
        std::fs::remove_file(&status).unwrap();
        std::fs::create_dir(&status).unwrap();
        assert!(cores().is_err());
    }

    #[test]
    fn a_thread_that_has_ended_is_told_from_one_that_sleeps() {
        for line in ["State:\tZ (zombie)", "State:\tX (dead)"] {
            assert!(says_ended(line.as_bytes()));
        }
        for line in [
            "State:\tS (sleeping)",
            "State:\tt (tracing stop)",
            "State:",
            "Name:\tZ",
        ] {
            assert!(!says_ended(line.as_bytes()));
        }
        assert!(!first_thread_has_ended());
        let (me, mut seen) = (crate::os::this_thread::id(), false);
        each_thread(|thread| seen |= thread.id == me && !thread.has_ended).unwrap();
        assert!(seen);
    }

    #[test]
    fn this_process_is_there() {
        assert!(thread_count() >= 1 && descriptors() >= 1 && resident_pages() > Some(0));
        let mut seen = 0;
        let looked = each_thread(|thread| {
            seen += u64::from(!thread.name.is_empty() && !thread.cores.is_empty())
        });
        assert!(looked.is_ok() && seen >= 1);
    }
}
