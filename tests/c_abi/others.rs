//! What other processes do to a host: they stop it, or keep what it waits for.

use super::scenarios::scenario;

#[test]
fn a_lock_of_claims_that_another_process_keeps() {
    scenario("a_lock_of_claims_that_another_process_keeps", 0);
}

#[test]
fn stopped_before_health() {
    scenario("stopped_before_health", 0);
}
