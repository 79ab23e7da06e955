//! What a host finds in the values of its signals, and which it does not get.

use super::scenarios::scenario;

#[test]
fn timing_metadata() {
    scenario("timing_metadata", 0);
}

#[test]
fn signals_that_are_too_old() {
    scenario("signals_that_are_too_old", 0);
}
