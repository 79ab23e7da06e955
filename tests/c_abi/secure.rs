//! Hosts with rights that their caller lacks.

use super::scenarios::scenario;

#[test]
fn variables_of_a_caller_with_fewer_rights() {
    scenario("variables_of_a_caller_with_fewer_rights", 0);
}
