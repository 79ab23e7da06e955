//! Prefetches: hints that bring memory into this core's cache. They read nothing.

/// Bytes in a cache line.
const LINE: usize = 64;

/// Most lines to prefetch at once: as many as a processor can fetch at the same time.
pub(super) const MOST_AHEAD: usize = 16;

/// Prefetches the first lines of a value, up to 1 KiB.
///
/// ```
/// signal::sync::prefetch::value(&[0u64; 32]);
/// ```
#[inline]
pub fn value<T: ?Sized>(value: &T) {
    first_lines(value, MOST_AHEAD);
}

/// Prefetches up to so many lines of a value. Returns their number.
#[inline]
fn first_lines<T: ?Sized>(value: &T, most: usize) -> usize {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let first = start.addr() % LINE;
    let lines = (first + size_of_val(value)).div_ceil(LINE).min(most);
    for line in 0..lines {
        address(start.wrapping_add(line * LINE));
    }
    lines
}

/// Prefetches one part of something large after the other, up to so many lines in all.
#[derive(Debug)]
pub(crate) struct Parts {
    left: usize,
}

impl Parts {
    pub(crate) fn of(lines: usize) -> Self {
        Self { left: lines }
    }

    /// As much of a part as there are lines left.
    pub(crate) fn add<T: ?Sized>(&mut self, part: &T) {
        self.left -= first_lines(part, self.left);
    }

    /// The first lines of a part, up to 1 KiB: the processor foresees what follows them.
    pub(crate) fn begin<T: ?Sized>(&mut self, part: &T) {
        self.left -= first_lines(part, self.left.min(MOST_AHEAD));
    }

    /// Whether no line is left.
    pub(crate) fn are_spent(&self) -> bool {
        self.left == 0
    }
}

/// How many lines this thread prefetches in `run`.
#[cfg(test)]
pub(crate) fn counted(run: impl FnOnce()) -> usize {
    let before = PREFETCHED.get();
    run();
    PREFETCHED.get() - before
}

#[cfg(test)]
thread_local! {
    static PREFETCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Prefetches the line of this address.
#[inline(always)]
pub(super) fn address<T>(at: *const T) {
    #[cfg(test)]
    PREFETCHED.set(PREFETCHED.get() + 1);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction. It neither reads nor faults,
    // whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn parts_take_no_more_lines_than_they_are_given() {
        #[repr(align(64))]
        struct Lines([u8; 40 * LINE]);
        let lines = Lines([0; 40 * LINE]);
        let mut parts = Parts::of(50);
        assert_eq!(counted(|| parts.begin(&lines.0)), MOST_AHEAD);
        assert_eq!(counted(|| parts.add(&lines.0[..2 * LINE])), 2);
        // It begins and ends in the middle of a line.
        assert_eq!(counted(|| parts.add(&lines.0[1..LINE + 1])), 2);
        assert!(!parts.are_spent());
        assert_eq!(counted(|| parts.add(&lines.0)), 50 - 20);
        assert!(parts.are_spent());
        assert_eq!(counted(|| parts.begin(&lines.0)), 0);
        assert_eq!(counted(|| value(&lines.0)), MOST_AHEAD);
    }
}
