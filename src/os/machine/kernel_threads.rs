//! Threads that the kernel runs in this process for the host, such as io_uring's `SQPOLL` and its
//! workers. They count among the process' threads, and end with it.

use crate::os::files;

use super::{MAX_PATH, c_path};

/// How many of them are known; of more, the others count as the host's.
const ROOM: usize = 64;

/// The IDs of some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelThreads {
    ids: [u32; ROOM],
    count: usize,
}

impl KernelThreads {
    pub(crate) const NONE: Self = Self {
        ids: [0; ROOM],
        count: 0,
    };

    /// Those that there are now. Where the kernel does not say what a thread is, it is none. Takes
    /// no memory.
    pub(crate) fn now() -> Self {
        let mut found = Self::NONE;
        let _ = files::each_number(c"/proc/self/task", |id| {
            if is_of_the_kernel(id) {
                found.add(id);
            }
        });
        found
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn add(&mut self, id: u32) {
        // A list may name one of them twice.
        if self.count < ROOM && !self.ids[..self.count].contains(&id) {
            self.ids[self.count] = id;
            self.count += 1;
        }
    }
}

/// A call of its own, so that its buffers lie on the stack only while it runs.
#[inline(never)]
fn is_of_the_kernel(id: u32) -> bool {
    let (mut path, mut room) = ([0; MAX_PATH], [0; 1024]);
    c_path(format_args!("/proc/self/task/{id}/stat"), &mut path)
        .and_then(|path| files::system_bytes_into(path, &mut room))
        .is_ok_and(|stat| says_kernel(stat) == Some(true))
}

/// Whether a thread's `stat` is that of a kernel's thread; `None` where it does not say.
fn says_kernel(stat: &[u8]) -> Option<bool> {
    // Of the kernel's sched.h.
    const IO_WORKER: u64 = 0x10;
    const USER_WORKER: u64 = 0x4000;
    const KERNEL: u64 = 0x20_0000;
    // Offsets behind the name.
    const FLAGS: usize = 6;
    const BLOCKED: usize = 29;
    // All signals of the first 31 but SIGKILL and SIGSTOP.
    const ALL: u64 = 0x7ffb_feff;

    // The name may contain anything, also `)` and ends of lines.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let field = |index| {
        rest.split_ascii_whitespace()
            .nth(index)?
            .parse::<u64>()
            .ok()
    };
    let (flags, blocked) = (field(FLAGS)?, field(BLOCKED)?);
    // Older kernels use the workers' bits for something else, also on threads of programs. Those
    // seldom block everything; workers do.
    let is_worker = flags & (IO_WORKER | USER_WORKER) != 0 && blocked == ALL;
    Some(is_worker || flags & KERNEL != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `stat` as Linux 6.18 writes it.
    fn stat(name: &str, flags: u64, blocked: u64) -> String {
        format!(
            "28227 ({name}) R 28213 28213 21657 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 2 0 5012065 \
             2535424 349 18446744073709551615 94675124047872 94675124048561 140724348033472 0 0 0 \
             {blocked} 6 0 1 0 0 -1 1 0 0 0 0 0 94675124059600 94675124060240 94675556954112 0 0 0 \
             0 0\n"
        )
    }

    #[test]
    fn a_thread_of_the_kernel_is_told_by_its_flags_whatever_its_name_is() {
        let of_the_kernel = |name: &str, flags, blocked| {
            says_kernel(stat(name, flags, blocked).as_bytes()).unwrap()
        };
        let (all, none) = (0x7ffb_feff, 0);
        for name in [
            "iou-sqp-28226",
            "",
            ") R 1 2 3 4 5 4210768 (",
            "a\n) S 0\n(b",
        ] {
            for (flags, blocked, expected) in [
                // io_uring's of Linux 6.18 and of 5.12, vhost's, one of the kernel's own process.
                (0x40_4050, all, true),
                (0x40_0050, all, true),
                (0x40_4040, all, true),
                (0x20_8040, none, true),
                // Those of programs, one of them with all signals blocked.
                (0x40_0100, 0x1_0000, false),
                (0x40_0040, all, false),
                // PF_VCPU and PF_USED_ASYNC of older kernels.
                (0x40_0050, 0x1_0000, false),
                (0x40_4040, none, false),
            ] {
                let said = of_the_kernel(name, flags, blocked);
                assert_eq!(said, expected, "{name:?} {flags:x} {blocked:x}");
            }
        }
        let cut = [
            &b"7 (\xe8\xa1) "[..],
            b"7 (name",
            b"",
            b"7 (x) S 1 2 3 4 5 4210768 0 0",
        ];
        for cut in cut {
            assert_eq!(says_kernel(cut), None);
        }
    }

    #[test]
    fn each_thread_is_counted_once_and_beyond_the_room_none() {
        let mut found = KernelThreads::NONE;
        for id in [7, 8, 7] {
            found.add(id);
        }
        assert_eq!(found.count(), 2);
        (100..1000).for_each(|id| found.add(id));
        assert_eq!(found.count(), ROOM);
        assert_eq!(KernelThreads::now(), KernelThreads::NONE);
    }
}
