//! The side that runs under valgrind: one case after the other.

use std::ffi::CString;

use crate::cases::{self, Case};
use crate::requests;

/// Calls in the shorter of a case's two runs; the other has twice as many. A
/// multiple of the number of different events, so that each run has all of them
/// equally often.
pub const CALLS: usize = 128;
/// Calls before the first run: as many as the longest memory of a factor set has
/// events, 1,024 trades. Few enough that no ring fills, all runs together.
const FIRST_CALLS: usize = 1_088;

/// Runs every case whose name contains `only`, and dumps its counts.
///
/// A count of one run has the price of the requests themselves in it, and of the
/// call of the case. A run of twice as many calls has the same: the difference is
/// the calls' alone.
pub fn run(only: &str) -> Result<(), String> {
    if !requests::under_valgrind() {
        return Err("--counted is for the program itself, under valgrind".to_owned());
    }
    for entry in cases::named(only) {
        let named = |error| format!("{}: {error}", entry.name);
        let mut case = (entry.make)().map_err(named)?;
        // What happens on first calls alone happens here; nobody reads its dump.
        for calls in [FIRST_CALLS, CALLS, 2 * CALLS] {
            // Between the requests nothing may allocate: that costs as much as the
            // heap's state makes it.
            let title = CString::new(format!("{calls} {}", entry.name))
                .map_err(|error| named(error.to_string()))?;
            case.prepare(calls).map_err(named)?;
            requests::zero();
            counted(case.as_mut(), calls);
            requests::dump(&title);
            case.settle(calls).map_err(named)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn counted(case: &mut dyn Case, calls: usize) {
    case.run(calls);
}
