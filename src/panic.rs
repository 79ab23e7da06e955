//! What a caught panic says.

use std::any::Any;

/// What `catch_unwind` gives.
pub type Payload = Box<dyn Any + Send>;

/// The panic's message.
pub(crate) fn describe(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}
