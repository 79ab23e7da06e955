//! What a program can ask of callgrind while it runs under it.
//!
//! Valgrind recognises a sequence of instructions that does nothing and takes it
//! for a question. Its C headers have the sequence as macros; a crate that wraps
//! them needs those headers and a C compiler for these few lines.

use std::arch::asm;
use std::ffi::CStr;

// `VG_USERREQ__` with these names, in valgrind's headers. Callgrind's own begin with the
// letters C and T.
const RUNNING_ON_VALGRIND: usize = 0x1001;
const ZERO_STATS: usize = 0x4354_0001;
const DUMP_STATS_AT: usize = 0x4354_0003;

pub fn under_valgrind() -> bool {
    request(RUNNING_ON_VALGRIND, 0) > 0
}

/// Counts from zero.
pub fn zero() {
    request(ZERO_STATS, 0);
}

/// Writes what has been counted to a file of its own, under a title, and counts
/// from zero.
pub fn dump(title: &CStr) {
    request(DUMP_STATS_AT, title.as_ptr() as usize);
}

/// Asks. 0 if no valgrind is there to answer.
fn request(code: usize, argument: usize) -> usize {
    let question = [code, argument, 0, 0, 0, 0];
    let answer;
    // SAFETY: on a processor the four rotations, 128 bits in all, leave rdi as it
    // was, the exchange leaves rbx as it was, and rdx keeps the 0 given here.
    // Valgrind takes the question from the address in rax, where it lives for the
    // length of the block, and its answer changes rdx alone. The title of a dump
    // is a NUL-terminated text that outlives the call.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") question.as_ptr(),
            inout("rdx") 0usize => answer,
            options(nostack),
        );
    }
    answer
}

#[test]
fn without_valgrind_nothing_answers() {
    assert!(!under_valgrind());
    zero();
    dump(c"nobody writes this");
}
