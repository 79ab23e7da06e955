use super::*;

#[test]
fn what_waits_is_seen_in_place_around_the_end() {
    // Three lines per message and four messages: the ring wraps around again and again.
    let (mut sender, mut receiver) = ring(4, 20);
    let (mut sent, mut freed) = (0u64, 0u64);
    for step in 0..1000u64 {
        while sender.try_send(|words| words[..20].fill(sent)).is_ok() {
            sent += 1;
        }
        assert_eq!(sent - freed, 4);
        for nth in 0..4 {
            let words = receiver.peek(nth).unwrap();
            assert_eq!(words[..20], [freed + nth as u64; 20]);
        }
        assert!(receiver.peek(4).is_none());
        assert!(receiver.peek(usize::MAX).is_none());
        // The ring holds fewer messages than this, so nothing is freed.
        receiver.release(5);
        let free = step % 4 + 1;
        receiver.release(free as usize - 1);
        let received = receiver.try_receive(|words| words[19]);
        assert_eq!(received, Some(freed + free - 1));
        freed += free;
    }
    // The last step has freed all four.
    assert!(receiver.peek(0).is_none());
}

#[test]
fn a_ring_holds_its_capacity_and_no_more() {
    let (mut sender, mut receiver) = ring(3, 1);
    assert_eq!((sender.capacity(), receiver.capacity()), (3, 3));
    for round in 0..3 {
        assert_eq!((sender.waiting(), receiver.waiting()), (0, 0));
        for nth in 0..3 {
            sender
                .try_send(|words| words[0] = 10 * round + nth)
                .unwrap();
            assert_eq!(sender.waiting(), nth as usize + 1);
            assert_eq!(receiver.waiting(), nth as usize + 1);
        }
        assert_eq!(sender.try_send(|_| panic!("there is no room")), Err(Full));
        for nth in 0..3 {
            let received = receiver.try_receive(|words| words[0]);
            assert_eq!(received, Some(10 * round + nth));
            assert_eq!(sender.waiting(), 2 - nth as usize);
        }
        assert_eq!(
            receiver.try_receive(|_| panic!("there is none")),
            None::<()>
        );
    }
    assert!(Full.to_string().contains("full"));
}

#[test]
fn the_high_water_mark_only_rises_and_a_full_ring_is_at_its_capacity() {
    let (mut sender, mut receiver) = ring(4, 1);
    let gauge = sender.gauge();
    assert_eq!((gauge.capacity(), gauge.high_water()), (4, 0));
    let mut send = |count: usize| (0..count).all(|_| sender.try_send(|_| ()).is_ok());
    assert!(send(2));
    // The first call counts only messages that wait in this ring, the second also the
    // message received last.
    receiver.note_rest();
    assert_eq!(gauge.high_water(), 2);
    receiver.note_level();
    assert_eq!(gauge.high_water(), 3);
    receiver.note_waiting(1);
    receiver.note_rest();
    assert_eq!(gauge.high_water(), 3, "it never falls");
    receiver.note_waiting(9);
    assert_eq!(gauge.high_water(), 4, "no more than there is room for");

    let (mut sender, _receiver) = ring(4, 1);
    let gauge = sender.gauge();
    for _ in 0..4 {
        sender.try_send(|_| ()).unwrap();
    }
    assert_eq!(gauge.high_water(), 0, "the receiver has not looked yet");
    assert!(sender.try_send(|_| ()).is_err());
    assert_eq!(gauge.high_water(), 4);
}

#[test]
fn a_ring_that_has_room_again_when_the_sender_looks_has_not_been_full() {
    let (mut sender, mut receiver) = ring(2, 1);
    let gauge = sender.gauge();
    for _ in 0..2 {
        sender.try_send(|_| ()).unwrap();
    }
    receiver.release(1);
    sender.try_send(|_| ()).unwrap();
    assert_eq!(gauge.high_water(), 0);
    assert_eq!(receiver.waiting(), 2);
}

#[test]
fn a_slot_is_free_once_it_is_released() {
    let (mut sender, mut receiver) = ring(2, 1);
    for number in [1, 2] {
        sender.try_send(|words| words[0] = number).unwrap();
    }
    receiver.release(0);
    assert!(sender.try_send(|_| ()).is_err());
    receiver.release(2);
    for number in [3, 4] {
        sender.try_send(|words| words[0] = number).unwrap();
    }
    assert!(sender.try_send(|_| ()).is_err());
    assert_eq!(receiver.peek(0).map(|words| words[0]), Some(3));
    assert_eq!(receiver.peek(1).map(|words| words[0]), Some(4));
}

#[test]
fn the_address_of_a_message_to_come_is_where_it_will_lie() {
    let (mut sender, mut receiver) = ring(3, 9);
    for round in 0..7 {
        let addresses = [0, 1, 2].map(|nth| receiver.address(nth));
        for _ in 0..3 {
            sender.try_send(|_| ()).unwrap();
        }
        for (nth, address) in addresses.into_iter().enumerate() {
            let message = receiver.peek(nth).unwrap();
            assert_eq!((message.as_ptr().cast(), message.len()), (address, 16));
        }
        receiver.release(3 - round % 2);
        if round % 2 == 1 {
            receiver.release(1);
        }
    }
}

#[test]
fn a_ring_without_messages_or_words_is_refused() {
    for (messages, words) in [(0, 1), (1, 0)] {
        let made = std::panic::catch_unwind(|| ring(messages, words));
        assert!(made.is_err());
    }
}

#[test]
fn the_ends_say_how_far_they_are() {
    let (mut sender, mut receiver) = ring(4, 1);
    sender.try_send(|_| ()).unwrap();
    sender.try_send(|_| ()).unwrap();
    receiver.release(1);
    let (sender, receiver) = (format!("{sender:?}"), format!("{receiver:?}"));
    assert!(sender.contains("capacity: 4") && sender.contains("sent: 2"));
    assert!(receiver.contains("capacity: 4") && receiver.contains("received: 1"));
}

/// The inlined poll reads the ring's own `published`; its `taken` is not the ring's.
#[test]
fn an_inlined_poll_reads_the_rings_count_and_keeps_its_own() {
    let host = cursors::HostCursors::default();
    let (mut sender, mut receiver) = ring_at(host.ring(), 2, 1);
    sender.try_send(|_| ()).unwrap();
    assert_eq!(host.published.load(Ordering::Acquire), 1);
    receiver.release(1);
    assert_eq!(host.taken.load(Ordering::Relaxed), 0);
    static PLACE: crate::sync::AtomicU64 = crate::sync::AtomicU64::new(7);
    let mut users = cursors::Users::default();
    let cursor = cursors::Cursor::at(&PLACE, &users);
    cursor.store(8, Ordering::Relaxed);
    assert!(!users.are_gone());
    drop(cursor);
    assert!(users.are_gone());
    assert_eq!(PLACE.load(Ordering::Relaxed), 8);
}

#[test]
fn what_is_rehearsed_is_never_seen_wherever_the_ring_stands() {
    let (mut sender, mut receiver) = ring(3, 2);
    let mut next = 0;
    for _ in 0..8 {
        for waiting in 0..=3 {
            for _ in 0..waiting {
                let rehearsed = sender.try_send_or_rehearse(false, |words| words.fill(u64::MAX));
                assert_eq!(rehearsed, Ok(()));
                assert!(sender.try_send(|words| words.fill(next)).is_ok());
                next += 1;
            }
            assert_eq!(sender.has_room(), waiting < 3);
            let rehearsed = sender.try_send_or_rehearse(false, |words| words.fill(u64::MAX));
            assert_eq!(rehearsed.is_ok(), waiting < 3);
            for expected in next - waiting..next {
                let spare = [u64::MAX - 1; 2];
                let received =
                    receiver.try_receive_or(Some(&spare), |is_spare, words| (is_spare, words[1]));
                assert_eq!(received, Some((false, expected)));
            }
            assert_eq!(receiver.try_receive(|words| words[0]), None);
        }
    }
}
