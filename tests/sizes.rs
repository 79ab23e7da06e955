//! Sizes passed to safe functions: impossible ones are refused, and memory that is not
//! there is never written.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use signal::sync::broadcast::broadcast;
use signal::sync::padded::{Items, Values};
use signal::sync::ring::ring;

/// The panic's message.
fn refusal<T>(make: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(make)) else {
        return "it was made".into();
    };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map_or_else(String::new, |text| (*text).into()),
    }
}

#[test]
fn a_ring_has_memory_for_all_its_messages() {
    for (messages, words) in [
        // 2^64 lines, which an unchecked multiplication turns into 0.
        (1 << 63, 9),
        // 2^64 + 4 lines, which leave room for only one message after an unchecked multiplication.
        ((1 << 62) + 1, 25),
        (usize::MAX, usize::MAX),
        // More bytes than one allocation may have.
        (1 << 58, 8),
    ] {
        let said = refusal(|| ring(messages, words));
        assert!(
            said.starts_with("a ring of "),
            "{messages} x {words}: {said}"
        );
    }
    let (mut sender, mut receiver) = ring(2, 25);
    for value in [1, 2] {
        sender.try_send(|words| words.fill(value)).unwrap();
    }
    assert!(sender.try_send(|words| words.fill(3)).is_err());
    assert!(receiver.peek(0).unwrap().iter().all(|&word| word == 1));
    assert!(receiver.peek(usize::MAX).is_none());
    receiver.release(usize::MAX);
    assert_eq!(receiver.try_receive(|words| words[24]), Some(1));
}

#[test]
fn a_broadcast_has_memory_for_all_its_messages() {
    for (messages, words) in [(1 << 63, 8), ((1 << 62) + 1, 24)] {
        let said = refusal(|| broadcast(messages, words));
        assert!(
            said.starts_with("a broadcast of "),
            "{messages} x {words}: {said}"
        );
    }
}

#[test]
fn buffers_have_memory_for_all_their_items() {
    let said = refusal(|| Items::new(usize::MAX - 1, || 7u64));
    assert!(said.starts_with("a buffer of "), "{said}");
    let said = refusal(|| Values::new(usize::MAX));
    assert!(said.contains("capacity overflow"), "{said}");
}
