//! Floating-point control: rounding, flush-to-zero and traps, which the processor keeps per thread.
//! Whatever the host has chosen, factors and models give the same bits and never trap.
//!
//! Rust assumes the default control word: computing under another one is undefined behaviour. So it
//! is set before any of our floating-point code runs, and the code that runs before that does no
//! floating-point arithmetic.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;

/// The value in a new process: all exceptions masked, round to nearest.
#[cfg(target_arch = "x86_64")]
const MXCSR: u32 = 0x1f80;
/// The same for the x87 unit, with its full precision.
#[cfg(target_arch = "x86_64")]
const X87: u16 = 0x037f;
/// The control bits of MXCSR; the six bits below them are flags, which any calculation sets.
#[cfg(target_arch = "x86_64")]
const CONTROL: u32 = 0xffc0;

/// The x87 unit's control, status and tags.
#[cfg(target_arch = "x86_64")]
type X87State = [u32; 7];

/// The host's control on this thread, restored when dropped.
#[derive(Debug)]
pub(crate) struct Hosts {
    #[cfg(target_arch = "x86_64")]
    mxcsr: u32,
    /// `None` if it is the default.
    #[cfg(target_arch = "x86_64")]
    x87: Option<X87State>,
}

/// Whether the calling thread computes as Rust expects.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn is_default() -> bool {
    let mut mxcsr = 0u32;
    // SAFETY: stores the register into this variable and does nothing else.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    mxcsr & CONTROL == MXCSR
}

/// Sets the default on the calling thread, until the result is dropped.
#[cfg(target_arch = "x86_64")]
pub(crate) fn set_default() -> Hosts {
    let (mut mxcsr, mut word) = (0u32, 0u16);
    // SAFETY: the first two store registers into these variables; the third masks all exceptions,
    // and none of our code relies on them being unmasked.
    unsafe {
        asm!(
            "stmxcsr [{mxcsr}]",
            "fnstcw [{word}]",
            "ldmxcsr [{default}]",
            mxcsr = in(reg) &raw mut mxcsr,
            word = in(reg) &raw mut word,
            default = in(reg) &raw const MXCSR_DEFAULT,
            options(nostack, preserves_flags),
        );
    }
    let x87 = (word != X87).then(|| {
        let mut state: X87State = [0; 7];
        // SAFETY: stores 28 bytes into `state`. `fnstenv` masks all exceptions, so that `fldcw`
        // does not raise a pending one.
        unsafe {
            asm!(
                "fnstenv [{state}]",
                "fldcw [{default}]",
                state = in(reg) &raw mut state,
                default = in(reg) &raw const X87_DEFAULT,
                options(nostack, preserves_flags),
            );
        }
        state
    });
    Hosts { mxcsr, x87 }
}

#[cfg(target_arch = "x86_64")]
static MXCSR_DEFAULT: u32 = MXCSR;
#[cfg(target_arch = "x86_64")]
static X87_DEFAULT: u16 = X87;

#[cfg(target_arch = "x86_64")]
impl Drop for Hosts {
    fn drop(&mut self) {
        // SAFETY: both loads restore register values that `set_default` has read on this thread,
        // which this value never leaves.
        unsafe {
            if let Some(state) = &self.x87 {
                asm!("fldenv [{}]", in(reg) state, options(nostack, preserves_flags));
            }
            asm!("ldmxcsr [{}]", in(reg) &raw const self.mxcsr, options(nostack, preserves_flags));
        }
    }
}

/// On other processors, hosts are assumed to keep the default.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn is_default() -> bool {
    true
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn set_default() -> Hosts {
    Hosts {}
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;

    fn load(mxcsr: u32, x87: u16) {
        // SAFETY: the tests below pass values that mask all exceptions, and restore the defaults.
        unsafe {
            asm!("ldmxcsr [{}]", "fldcw [{}]", in(reg) &raw const mxcsr, in(reg) &raw const x87,
                options(nostack, preserves_flags));
        }
    }

    fn stored() -> (u32, u16) {
        let (mut mxcsr, mut x87) = (0u32, 0u16);
        // SAFETY: stores the registers into these variables.
        unsafe {
            asm!("stmxcsr [{}]", "fnstcw [{}]", in(reg) &raw mut mxcsr, in(reg) &raw mut x87,
                options(nostack, preserves_flags));
        }
        (mxcsr, x87)
    }

    #[test]
    fn the_default_holds_meanwhile_and_the_hosts_own_comes_back() {
        // Rounding up with flush-to-zero; the x87 unit in double precision.
        for (mxcsr, x87) in [(MXCSR | 0xc000, X87), (MXCSR | 0x20, 0x027f), (MXCSR, X87)] {
            load(mxcsr, x87);
            let was_default = is_default();
            let hosts = set_default();
            let (now, after) = (stored(), {
                drop(hosts);
                stored()
            });
            load(MXCSR, X87);
            assert_eq!(was_default, mxcsr & CONTROL == MXCSR);
            assert_eq!(now, (MXCSR, X87));
            assert_eq!(after, (mxcsr, x87));
        }
    }
}
