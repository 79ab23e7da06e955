//! Hosts that were started with more rights than their caller has, or that start others in
//! namespaces.

use super::scenarios::scenario;

#[test]
fn variables_of_a_caller_with_fewer_rights() {
    scenario("variables_of_a_caller_with_fewer_rights", 0);
}

#[test]
fn namespace_of_children() {
    scenario("namespace_of_children", 0);
}

#[test]
fn a_child_with_its_parents_number() {
    scenario("a_child_with_its_parents_number", 0);
}

#[test]
fn reports_of_containers() {
    scenario("reports_of_containers", 0);
}
