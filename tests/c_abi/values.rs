//! What a host finds in the values of its signals.

use super::scenarios::scenario;

#[test]
fn timing_metadata_stands_in_front_of_the_values() {
    scenario("timing_metadata", 0);
}
