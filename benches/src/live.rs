//! A handle whose lanes are watched, and whose start line is said once.

use std::ops::Deref;

use serde_json::Value;
use signal_command::host::library::{Api, Handle};

use crate::{lines, threads};

/// A handle. Its lanes count in [`crate::threads`] until it is dropped.
pub struct Live(Handle);

/// `signal_create`
///
/// # Errors
///
/// Why there is none.
pub fn create(api: &Api, config: &Value) -> Result<Live, String> {
    let handle = lines::once(|| api.create(config))?;
    // What a lane waited for its core to be made is no part of a run.
    threads::look();
    Ok(Live(handle))
}

impl Deref for Live {
    type Target = Handle;

    #[inline(always)]
    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The last look at its lanes.
        threads::look();
    }
}
