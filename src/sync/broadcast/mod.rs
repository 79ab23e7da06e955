//! One producer, several consumers, each of which sees every message.
//!
//! A slow consumer never stops the producer: messages that it has not read in time are
//! overwritten. It then learns exactly how many it missed, and continues after the gap. The
//! numbers of the messages show the gap as well.
//!
//! ```
//! use signal::sync::broadcast::{Received, Start, broadcast};
//!
//! let (mut producer, consumers) = broadcast(4, 3);
//! let mut one = consumers.register("one", Start::Next);
//! let mut two = consumers.register("two", Start::Next);
//! producer.send(|words| words[0] = 7);
//! assert_eq!(one.try_receive(|words| words[0]), Received::Message(7));
//! assert_eq!(one.try_receive(|words| words[0]), Received::Empty);
//! for number in 2..=9 {
//!     producer.send(|words| words[0] = number * 7);
//! }
//! drop(producer);
//! // Five of nine were overwritten before `two` had read any.
//! assert_eq!(two.try_receive(|words| words[0]), Received::Missed(5));
//! assert_eq!(two.try_receive(|words| words[0]), Received::Message(42));
//! assert_eq!(two.sequence(), 6);
//! while two.try_receive(|_| ()) != Received::Finished {}
//! assert_eq!((two.received(), two.missed()), (4, 5));
//! ```
//!
//! | file | what |
//! |---|---|
//! | `shared` | the slots and the word that makes messages visible |
//! | `producer` | the writing end |
//! | `consumer` | the reading ends |
//! | `registry` | the consumers, and how far each has read |
//!
//! # Design
//!
//! A ring of slots. The first word of a slot is the number of the message last begun there.
//! To send, the producer stores that number, then the payload, then, with release, the count
//! of messages. A consumer loads that count with acquire, copies the slot's payload and reads
//! the slot's number again. If it still is the message's own, no word of the copy belongs to
//! a later message. Payload words are relaxed atomics, so overwriting a slot that is being
//! copied is no data race. Loom explores all this; see `docs/concurrency.md`.
//!
//! The count has a cache line of its own. An idle consumer reads nothing else: if it polled
//! slots, it would take lines away from the producer while it writes them.
//!
//! # Caveats
//!
//! - A message takes one word beyond its payload, in whole cache lines.
//! - Each side copies a message twice. It may be overwritten at any moment, so no one can
//!   work on it in place.
//! - Registering takes a lock and allocates; nothing else does.

use std::sync::Arc;

mod consumer;
#[cfg(all(test, loom))]
mod loom_tests;
mod producer;
mod registry;
mod shared;
#[cfg(all(test, not(loom)))]
mod tests;

pub use consumer::{Consumer, Received};
pub use producer::Producer;
pub use registry::{Consumers, Progress, Start};

use shared::Shared;

/// Makes a broadcast that keeps the last `messages` messages of at least
/// `words` 64-bit words each.
///
/// Writes all of its memory once here, so the hot path causes no page fault.
/// [`Consumers::register`] makes consumers, now or later.
///
/// # Panics
///
/// If `messages` is less than 2 or `words` is 0, or there is not enough memory.
pub fn broadcast(messages: usize, words: usize) -> (Producer, Consumers) {
    assert!(
        messages >= 2 && words > 0,
        "a broadcast needs room for at least two messages of one word"
    );
    let shared = Arc::new(Shared::new(messages, words));
    (Producer::new(shared.clone()), Consumers::new(shared))
}
