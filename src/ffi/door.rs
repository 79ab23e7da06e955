//! The way into the library for every function that allocates, computes, writes or
//! waits: it does so under the default floating-point control, and nobody cancels
//! its thread meanwhile; it may read the TSC. What the host had is back when the function returns.
//!
//! `signal_on_data` and the polls do not come this way. They wait for nothing that a
//! cancelled thread could hang in, and look at the control where they compute, in
//! `pipeline::lane`: so a callback always finds what its host has chosen.

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

/// The same, with the TSC forbidden where the host has forbidden it: what is made there
/// must do without.
pub(super) fn through_as_allowed<R: Copy>(default: R, body: impl FnOnce() -> R) -> R {
    let (mut body, mut result) = (Some(body), default);
    inside(&mut || {
        if let Some(body) = body.take() {
            result = guarded(default, body);
        }
    });
    result
}

/// A call of its own, so that no calculation moves out of it.
#[inline(never)]
fn inside(body: &mut dyn FnMut()) {
    let _cancellation = Disabled::new();
    let _control = float::set_default();
    body();
}

/// Ends the calling thread if it was cancelled, else a host that calls in a loop could
/// never be. The caller has nothing to drop, and holds nothing that would be lost.
#[inline(always)]
pub(super) fn end_if_cancelled() {
    cancellation::pthread_testcancel();
}
