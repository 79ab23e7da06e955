//! What others do to a host: processes stop it or keep what it waits for, a sandbox forbids calls.

use super::scenarios::scenario;

#[test]
fn a_lock_of_claims_that_another_process_keeps() {
    scenario("a_lock_of_claims_that_another_process_keeps", 0);
}

#[test]
fn mapping_is_forbidden() {
    scenario("mapping_is_forbidden", 0);
}

#[test]
fn stopped_before_health() {
    scenario("stopped_before_health", 0);
}
