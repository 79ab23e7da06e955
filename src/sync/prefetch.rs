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
    let start = std::ptr::from_ref(value).cast::<u8>();
    let first = start.addr() % LINE;
    let lines = (first + size_of_val(value)).div_ceil(LINE);
    for line in 0..lines.min(MOST_AHEAD) {
        address(start.wrapping_add(line * LINE));
    }
}

/// Prefetches the line of this address.
#[inline(always)]
pub(super) fn address<T>(at: *const T) {
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
