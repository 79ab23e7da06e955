//! What other processes do to a host: they stop it, or keep what it waits for.

use super::scenarios::scenario;

#[test]
fn stopped_before_health() {
    scenario("stopped_before_health", 0);
}
