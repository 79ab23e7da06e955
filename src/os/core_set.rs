//! The cores on which the kernel lets a thread run.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::machine::MAX_CORES;
use super::this_thread::keep_errno;

const WORDS: usize = MAX_CORES / 64;

/// A bit for each core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoreSet([u64; WORDS]);

impl CoreSet {
    /// No core.
    pub(crate) const NONE: Self = Self([0; WORDS]);

    /// This core alone.
    pub(crate) fn of(core: usize) -> Self {
        let mut words = [0; WORDS];
        if let Some(word) = words.get_mut(core / 64) {
            *word = 1 << (core % 64);
        }
        Self(words)
    }

    /// Where this thread may run; `None` where the kernel does not say, or the thread is gone.
    /// `errno` stays as it is.
    pub(crate) fn of_thread(thread: u32) -> Option<Self> {
        let mut words = [0_u64; WORDS];
        let bytes = keep_errno(|| {
            // SAFETY: the kernel writes no more than so many bytes, which are there.
            unsafe {
                libc::syscall(
                    libc::SYS_sched_getaffinity,
                    thread,
                    size_of_val(&words),
                    words.as_mut_ptr(),
                )
            }
        });
        (bytes > 0).then_some(Self(words))
    }

    /// The core, if it is one.
    pub(crate) fn only(&self) -> Option<usize> {
        let mut cores = self.runs().flatten();
        cores.next().filter(|_| cores.next().is_none())
    }

    fn has(&self, core: usize) -> bool {
        let word = self.0.get(core / 64);
        word.is_some_and(|word| word >> (core % 64) & 1 == 1)
    }

    /// Cores side by side.
    fn runs(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = (next..MAX_CORES).find(|&core| self.has(core))?;
            next = (first..MAX_CORES)
                .find(|&core| !self.has(core))
                .unwrap_or(MAX_CORES);
            Some(first..next)
        })
    }
}

/// As the kernel's list, `0-2,5`.
impl fmt::Display for CoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, run) in self.runs().enumerate() {
            f.write_str(if place > 0 { "," } else { "" })?;
            match run.len() {
                1 => write!(f, "{}", run.start)?,
                _ => write!(f, "{}-{}", run.start, run.end - 1)?,
            }
        }
        Ok(())
    }
}

/// One that several threads look at. Two that store at once may mix what they store.
#[derive(Debug)]
pub(crate) struct SharedCoreSet([AtomicU64; WORDS]);

impl SharedCoreSet {
    pub(crate) fn new(set: CoreSet) -> Self {
        Self(set.0.map(AtomicU64::new))
    }

    pub(crate) fn load(&self) -> CoreSet {
        CoreSet(self.0.each_ref().map(|word| word.load(Ordering::Relaxed)))
    }

    pub(crate) fn store(&self, set: CoreSet) {
        for (word, value) in self.0.iter().zip(set.0) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::os::{cores, this_thread};

    #[test]
    fn a_set_is_told_as_the_kernels_list() {
        let set = |cores: &[usize]| {
            let mut words = [0; WORDS];
            for core in cores {
                words[core / 64] |= 1 << (core % 64);
            }
            CoreSet(words)
        };
        for (cores, told) in [
            (&[][..], ""),
            (&[0], "0"),
            (&[0, 1], "0-1"),
            (&[0, 1, 2, 5, 63, 64], "0-2,5,63-64"),
            (&[7, 1022, 1023], "7,1022-1023"),
        ] {
            assert_eq!(set(cores).to_string(), told);
            let only = (cores.len() == 1).then(|| cores[0]);
            assert_eq!(set(cores).only(), only);
        }
        assert_eq!(CoreSet::of(64), set(&[64]));
        assert_eq!(CoreSet::of(MAX_CORES), set(&[]));
        let shared = SharedCoreSet::new(set(&[3]));
        shared.store(set(&[1, 100]));
        assert_eq!(shared.load(), set(&[1, 100]));
    }

    #[test]
    fn the_kernel_says_where_a_thread_may_run_and_nothing_of_one_that_is_gone() {
        let core = cores::Cores::detect().allowed[0];
        let pinned = std::thread::spawn(move || {
            cores::pin(core).unwrap();
            let me = this_thread::id();
            (me, CoreSet::of_thread(me))
        });
        let (gone, set) = pinned.join().unwrap();
        assert_eq!(set, Some(CoreSet::of(core)));
        // A thread is joined slightly before the kernel removes it.
        while this_thread::is_alive(gone) {
            std::thread::yield_now();
        }
        assert_eq!(CoreSet::of_thread(gone), None);
    }
}
