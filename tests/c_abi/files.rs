//! Files of a host, and hosts that sleep late or are idle.

use super::scenarios::scenario;

#[test]
fn outputs_that_the_process_needs_as_they_are() {
    scenario("outputs_that_the_process_needs_as_they_are", 0);
}

#[test]
fn files_that_are_deleted_with_their_folder() {
    scenario("files_that_are_deleted_with_their_folder", 0);
}

#[test]
fn outputs_with_something_else_in_the_way() {
    scenario("outputs_with_something_else_in_the_way", 0);
}

#[test]
fn timer_slack_of_the_host() {
    scenario("timer_slack_of_the_host", 0);
}

#[test]
fn threads_of_an_idle_maker() {
    scenario("threads_of_an_idle_maker", 0);
}
