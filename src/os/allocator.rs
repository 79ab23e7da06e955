//! Where `libsignal.so` takes its memory: from the process' `malloc`, which may be the host's, with
//! any alignment.
//!
//! A host may replace `malloc`, `calloc`, `realloc` and `free` alone. `posix_memalign` is then glibc's,
//! and the host's `free` would get blocks that it does not know. Other allocators refuse large
//! alignments. So the linker is told (in `build.rs`) to send our calls here, where alignments are
//! made within larger blocks of `malloc`.
//!
//! The word before the memory is the block's address: whatever we free was taken here.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// Room for the block's address, which keeps the alignment that `malloc` gives.
const BEFORE: usize = 16;

unsafe extern "C" {
    fn __signal_process_malloc(bytes: usize) -> *mut c_void;
    fn __signal_process_calloc(count: usize, bytes: usize) -> *mut c_void;
    fn __signal_process_realloc(block: *mut c_void, bytes: usize) -> *mut c_void;
    fn __signal_process_free(block: *mut c_void);
}

macro_rules! jump {
    ($name:literal to $there:literal) => {
        concat!(
            ".globl ",
            $name,
            "\n.hidden ",
            $name,
            "\n.type ",
            $name,
            ", @function\n",
            $name,
            ":\njmp ",
            $there,
            "\n.size ",
            $name,
            ", . - ",
            $name
        )
    };
}

// Named with their version: the linker redirects only calls without one. Keep in step with the list
// in `build.rs`.
std::arch::global_asm!(
    ".symver __signal_old_malloc, malloc@GLIBC_2.2.5",
    ".symver __signal_old_calloc, calloc@GLIBC_2.2.5",
    ".symver __signal_old_realloc, realloc@GLIBC_2.2.5",
    ".symver __signal_old_free, free@GLIBC_2.2.5",
    jump!("__signal_process_malloc" to "*__signal_old_malloc@GOTPCREL(%rip)"),
    jump!("__signal_process_calloc" to "*__signal_old_calloc@GOTPCREL(%rip)"),
    jump!("__signal_process_realloc" to "*__signal_old_realloc@GOTPCREL(%rip)"),
    jump!("__signal_process_free" to "*__signal_old_free@GOTPCREL(%rip)"),
    jump!("__wrap_malloc" to "{take}"),
    jump!("__wrap_calloc" to "{take_zeroed}"),
    jump!("__wrap_realloc" to "{change}"),
    jump!("__wrap_free" to "{give_back}"),
    jump!("__wrap_posix_memalign" to "{take_aligned}"),
    take = sym take,
    take_zeroed = sym take_zeroed,
    change = sym change,
    give_back = sym give_back,
    take_aligned = sym take_aligned,
    options(att_syntax),
);

/// The memory in a block, `offset` bytes behind its beginning; null for none.
///
/// # Safety
///
/// The block is null or has more than `offset` bytes, at least a word and a multiple of its size.
unsafe fn within(block: *mut c_void, offset: usize) -> *mut c_void {
    if block.is_null() {
        return null_mut();
    }
    // SAFETY: the caller's contract; blocks of `malloc` are aligned for any word.
    unsafe {
        let memory = block.byte_add(offset);
        memory.cast::<*mut c_void>().sub(1).write(block);
        memory
    }
}

/// The block that memory is in.
///
/// # Safety
///
/// The memory came from [`within`] and is not freed.
unsafe fn block_of(memory: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe { memory.cast::<*mut c_void>().sub(1).read() }
}

/// `malloc`.
unsafe extern "C" fn take(bytes: usize) -> *mut c_void {
    match bytes.checked_add(BEFORE) {
        // SAFETY: the block has room for both.
        Some(all) => unsafe { within(__signal_process_malloc(all), BEFORE) },
        None => null_mut(),
    }
}

/// `calloc`.
unsafe extern "C" fn take_zeroed(count: usize, bytes: usize) -> *mut c_void {
    let bytes = count.checked_mul(bytes);
    match bytes.and_then(|bytes| bytes.checked_add(BEFORE)) {
        // SAFETY: the block has room for both.
        Some(all) => unsafe { within(__signal_process_calloc(1, all), BEFORE) },
        None => null_mut(),
    }
}

/// `realloc`. As there, a large alignment is lost: only the place in the block stays.
unsafe extern "C" fn change(memory: *mut c_void, bytes: usize) -> *mut c_void {
    if memory.is_null() {
        // SAFETY: it has no conditions.
        return unsafe { take(bytes) };
    }
    // SAFETY: the caller of `realloc` passes memory that was taken here; the new block has what was
    // in the old one, and room for as much.
    unsafe {
        let block = block_of(memory);
        let offset = memory.byte_offset_from(block) as usize;
        match bytes.checked_add(offset) {
            Some(all) => within(__signal_process_realloc(block, all), offset),
            None => null_mut(),
        }
    }
}

/// `free`.
unsafe extern "C" fn give_back(memory: *mut c_void) {
    if !memory.is_null() {
        // SAFETY: the caller of `free` passes memory that was taken here.
        unsafe { __signal_process_free(block_of(memory)) }
    }
}

/// `posix_memalign`.
unsafe extern "C" fn take_aligned(to: *mut *mut c_void, align: usize, bytes: usize) -> c_int {
    let align = align.max(BEFORE);
    let Some(all) = bytes.checked_add(align) else {
        return libc::ENOMEM;
    };
    // SAFETY: the memory begins in the block's first `align` bytes, since the block is aligned to 16
    // itself, and ends in it; the caller passes a place for the result.
    unsafe {
        let block = __signal_process_malloc(all);
        let begin = block.addr() + BEFORE;
        let offset = begin.next_multiple_of(align) - block.addr();
        to.write(within(block, offset));
        if block.is_null() { libc::ENOMEM } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_any_alignment_comes_from_blocks_of_malloc_and_keeps_what_it_has() {
        for shift in 3..17 {
            let align = 1 << shift;
            for bytes in [1, 100, 5000, 300_000] {
                let mut memory = null_mut();
                // SAFETY: the memory is taken and freed once, and written where it was taken.
                unsafe {
                    assert_eq!(take_aligned(&mut memory, align, bytes), 0);
                    assert!(memory.addr().is_multiple_of(align.max(16)));
                    memory.cast::<u8>().write_bytes(7, bytes);
                    let more = change(memory, 2 * bytes).cast::<u8>();
                    assert!(more.addr().is_multiple_of(16));
                    let kept = std::slice::from_raw_parts(more, bytes);
                    assert!(kept.iter().all(|&byte| byte == 7));
                    more.add(bytes).write_bytes(8, bytes);
                    give_back(more.cast());
                }
            }
        }
    }

    #[test]
    fn memory_is_zeroed_and_refused_as_the_c_library_does() {
        let mut memory = null_mut();
        // SAFETY: as above; what is refused is not used.
        unsafe {
            for taken in [take(9), take_zeroed(3, 3), change(null_mut(), 9)] {
                assert!(!taken.is_null() && taken.addr().is_multiple_of(16));
                give_back(taken);
            }
            let zeroed = take_zeroed(1000, 8).cast::<u64>();
            assert!((0..1000).all(|at| zeroed.add(at).read() == 0));
            assert!(change(zeroed.cast(), usize::MAX).is_null());
            give_back(zeroed.cast());
            give_back(null_mut());
            for most in [usize::MAX, usize::MAX - 64, usize::MAX / 2] {
                assert!(take(most).is_null());
                assert!(take_zeroed(most, 1).is_null() && take_zeroed(most, 9).is_null());
                assert_eq!(take_aligned(&mut memory, 128, most), libc::ENOMEM);
            }
        }
    }
}
