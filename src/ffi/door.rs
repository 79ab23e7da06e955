//! The entry to the library for every function that allocates, computes, writes or waits. Inside,
//! the default floating-point control is set, cancellation is disabled and the thread may read the
//! TSC. The host's settings are restored when the function returns.
//!
//! `signal_on_data` and the polls do not use it. They never wait where a cancelled thread could
//! hang, and check the floating-point control only where they compute, in `pipeline::lane`: so a
//! callback always runs with the control that its host has chosen.

use super::handle::guarded;
use crate::os::cancellation::{self, Disabled};
use crate::os::float;
use crate::os::tsc;

/// Runs `body`; a panic becomes `default` and never reaches the host.
pub(super) fn through<R: Copy>(default: R, body: impl FnOnce() -> R) -> R {
    through_as_allowed(default, || {
        let _tsc = tsc::Allowed::new();
        body()
    })
}

/// As [`through`], but without allowing the TSC where the host forbids it: what is created inside
/// must work without it.
pub(super) fn through_as_allowed<R: Copy>(default: R, body: impl FnOnce() -> R) -> R {
    let (mut body, mut result) = (Some(body), default);
    inside(&mut || {
        if let Some(body) = body.take() {
            result = guarded(default, body);
        }
    });
    result
}

/// Not inlined, so that no calculation moves out of it.
#[inline(never)]
fn inside(body: &mut dyn FnMut()) {
    let _cancellation = Disabled::new();
    let _control = float::set_default();
    body();
}

/// Ends the calling thread if it was cancelled; otherwise a host that calls in a loop could never
/// be cancelled. The caller has nothing to drop, and holds nothing that would be lost.
#[inline(always)]
pub(super) fn end_if_cancelled() {
    cancellation::pthread_testcancel();
}
