//! What bounds this process' memory.

use std::fmt;
use std::io;

use super::MIB;
use super::mapping::{self, Refused};
use crate::os::files;
use crate::os::fixed_text::Told;
use crate::os::machine::GroupMemory;
use crate::os::resources::limit;

/// What a need has met.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// RLIMIT_AS, or the machine's own bound where there is none.
    Room {
        limit: Option<u64>,
        used: Option<u64>,
    },
    /// RLIMIT_DATA.
    Data {
        limit: u64,
        used: u64,
    },
    /// RLIMIT_MEMLOCK, while the host locks all that is mapped.
    Locked {
        limit: Option<u64>,
    },
    /// Pages that the kernel promises to all processes, where it promises no more than it
    /// has.
    Promised {
        left: u64,
    },
    Mappings,
    /// A system call, which a sandbox refuses.
    Call {
        name: &'static str,
        error: i32,
    },
    /// The allocator's own, whatever that is.
    Allocator,
    Group(GroupMemory),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes / MIB as u64;
        match self {
            Self::Room {
                limit: Some(limit),
                used,
            } => {
                match used {
                    Some(used) => write!(f, "this process has {} of", mib(used))?,
                    None => f.write_str("this process may have")?,
                }
                write!(f, " {} MiB of address space (RLIMIT_AS)", mib(limit))
            }
            Self::Room { limit: None, .. } => {
                f.write_str("there is no room for it in the address space")
            }
            Self::Data { limit, used } => write!(
                f,
                "this process has {} of {} MiB of data (RLIMIT_DATA)",
                mib(used),
                mib(limit)
            ),
            Self::Locked { limit } => {
                f.write_str("all that this process maps is locked (mlockall), ")?;
                match limit {
                    Some(limit) => write!(
                        f,
                        "and it may have {} MiB locked in all (RLIMIT_MEMLOCK)",
                        mib(limit)
                    ),
                    None => f.write_str("and it may have no more locked (RLIMIT_MEMLOCK)"),
                }
            }
            Self::Promised { left } => write!(
                f,
                "the machine has {} MiB left to promise (vm.overcommit_memory is 2)",
                mib(left)
            ),
            Self::Mappings => f.write_str(
                "this process has nearly as many mappings as it may have (vm.max_map_count)",
            ),
            Self::Call { name, error } => {
                let why = io::Error::from_raw_os_error(*error);
                write!(
                    f,
                    "{name} fails, as where a sandbox forbids it: {}",
                    Told(&why)
                )
            }
            Self::Allocator => f.write_str("malloc gives none"),
            Self::Group(group) => write!(
                f,
                "its control group leaves {} of {} MiB ({})",
                mib(&group.left),
                mib(&group.limit),
                group.file
            ),
        }
    }
}

/// What so many bytes and mappings would meet. Takes no memory.
pub(super) fn met(bytes: usize, mappings: usize) -> Option<Bound> {
    let used = used();
    let fits = |limit: u64, used: u64| used.saturating_add(bytes as u64) <= limit;
    match mapping::try_room(bytes) {
        Ok(()) => {}
        Err(Refused::Full) => {
            let limit = limit(libc::RLIMIT_AS);
            let has_room = match (&used, limit) {
                (Some(used), Some(limit)) => fits(limit, used.room),
                _ => limit.is_none(),
            };
            return Some(
                match has_room && mapping::try_room(1) == Err(Refused::Full) {
                    true => Bound::Mappings,
                    false => Bound::Room {
                        limit,
                        used: used.map(|used| used.room),
                    },
                },
            );
        }
        Err(other) => return Some(in_mapping(other)),
    }
    if let (Some(limit), Some(used)) = (limit(libc::RLIMIT_DATA), &used)
        && !fits(limit, used.data)
    {
        let used = used.data;
        return Some(Bound::Data { limit, used });
    }
    if let Some(left) = promised_left()
        && !fits(left, 0)
    {
        return Some(Bound::Promised { left });
    }
    mapping::try_mappings(mappings).err().map(in_mapping)
}

/// What a small mapping has met.
fn in_mapping(refused: Refused) -> Bound {
    match refused {
        Refused::Locked => Bound::Locked {
            limit: limit(libc::RLIMIT_MEMLOCK),
        },
        Refused::Full => Bound::Mappings,
        Refused::Call { name, error } => Bound::Call { name, error },
    }
}

/// What the process has by now, bytes.
struct Used {
    room: u64,
    data: u64,
}

fn used() -> Option<Used> {
    const PAGE: u64 = 4096;
    let mut text = [0; 256];
    let text = files::system_into(c"/proc/thread-self/statm", &mut text).ok()?;
    let mut pages = text
        .split_ascii_whitespace()
        .map_while(|number| number.parse::<u64>().ok());
    Some(Used {
        room: pages.next()? * PAGE,
        // Behind resident, shared, text and an empty one.
        data: pages.nth(4)? * PAGE,
    })
}

/// What the kernel can still promise, bytes; `None` where it promises anything.
fn promised_left() -> Option<u64> {
    let mut text = [0; 16];
    let overcommit = files::system_into(c"/proc/sys/vm/overcommit_memory", &mut text).ok()?;
    if overcommit.trim() != "2" {
        return None;
    }
    let (mut may, mut has) = (None, None);
    files::each_line(c"/proc/meminfo", |line| {
        let kib = |name: &[u8]| {
            let value = std::str::from_utf8(line.strip_prefix(name)?).ok()?;
            value.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        may = may.or_else(|| kib(b"CommitLimit:"));
        has = has.or_else(|| kib(b"Committed_AS:"));
    })
    .ok()?;
    Some(may?.saturating_sub(has?) * 1024)
}

/// Whether memory of this process is locked.
pub(super) fn is_locked() -> bool {
    let mut is_locked = false;
    // Where it cannot be read, see the table in `os::machine`.
    let _ = files::each_line(c"/proc/thread-self/status", |line| {
        if let Some(locked) = line.strip_prefix(b"VmLck:") {
            is_locked = locked.trim_ascii() != b"0 kB";
        }
    });
    is_locked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_has_is_known() {
        let used = used().unwrap();
        assert!(used.room > used.data && used.data > 0);
        assert!(!is_locked());
    }

    #[test]
    fn each_bound_names_the_limit_to_raise() {
        let group = GroupMemory {
            left: 1 << 20,
            limit: 1 << 30,
            file: "/g/memory.high".into(),
        };
        for (bound, name) in [
            (
                Bound::Room {
                    limit: Some(3 << 20),
                    used: Some(2 << 20),
                },
                "has 2 of 3 MiB of address space (RLIMIT_AS)",
            ),
            (
                Bound::Room {
                    limit: Some(3 << 20),
                    used: None,
                },
                "may have 3 MiB of address space (RLIMIT_AS)",
            ),
            (
                Bound::Room {
                    limit: None,
                    used: None,
                },
                "no room for it in the address space",
            ),
            (
                Bound::Data {
                    limit: 3 << 20,
                    used: 2 << 20,
                },
                "2 of 3 MiB of data (RLIMIT_DATA)",
            ),
            (
                Bound::Locked {
                    limit: Some(3 << 20),
                },
                "3 MiB locked in all (RLIMIT_MEMLOCK)",
            ),
            (Bound::Locked { limit: None }, "RLIMIT_MEMLOCK"),
            (
                Bound::Promised { left: 3 << 20 },
                "3 MiB left to promise (vm.overcommit_memory",
            ),
            (Bound::Mappings, "vm.max_map_count"),
            (
                in_mapping(Refused::Call {
                    name: "mprotect",
                    error: libc::EPERM,
                }),
                "mprotect fails, as where a sandbox forbids it: Operation not permitted",
            ),
            (Bound::Allocator, "malloc gives none"),
            (Bound::Group(group), "leaves 1 of 1024 MiB (/g/memory.high)"),
        ] {
            let text = bound.to_string();
            assert!(text.contains(name), "{text}");
        }
    }
}
