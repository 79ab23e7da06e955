//! A state that was saved and loaded continues as if nothing had happened.

use std::io;

use super::*;

fn of_window(window: usize) -> Market {
    market(&format!(r#"{{"window": {window}}}"#))
}

fn save(set: &Market) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.save(&mut bytes).expect("a vector takes all");
    bytes
}

fn restored(window: usize, bytes: &[u8]) -> io::Result<Market> {
    let mut set = of_window(window);
    set.load(&mut &*bytes)?;
    Ok(set)
}

fn bits(set: &mut Market) -> [u64; 15] {
    vector(set).map(f64::to_bits)
}

proptest! {
    #[test]
    fn a_restored_state_writes_what_the_saved_one_would_have(
        window in 1usize..40,
        before in proptest::collection::vec(event(), 0..200),
        after in proptest::collection::vec(event(), 0..100),
    ) {
        let mut whole = of_window(window);
        for event in &before {
            apply(&mut whole, event);
            if matches!(event, Event::Look) {
                vector(&mut whole);
            }
        }
        let mut restored = restored(window, &save(&whole)).expect("its own bytes");
        prop_assert_eq!(save(&restored), save(&whole));
        for event in &after {
            apply(&mut whole, event);
            apply(&mut restored, event);
            if matches!(event, Event::Look) {
                prop_assert_eq!(bits(&mut restored), bits(&mut whole));
            }
        }
        prop_assert_eq!(bits(&mut restored), bits(&mut whole));
    }

    /// Whatever the bytes are, a state that loads can be used.
    #[test]
    fn damaged_bytes_are_refused_or_harmless(
        trades in 0usize..1_100,
        place in any::<proptest::sample::Index>(),
        number in prop_oneof![any::<u64>(), 0u64..1_200],
    ) {
        let mut set = of_window(20);
        for n in 0..trades {
            set.on_trade(&trade(n as i64, 1.0, 1.0));
        }
        let mut bytes = save(&set);
        let place = 8 * place.index(bytes.len() / 8);
        bytes[place..place + 8].copy_from_slice(&number.to_ne_bytes());
        if let Ok(mut set) = restored(20, &bytes) {
            set.on_trade(&trade(5, 1.0, 1.0));
            vector(&mut set);
        }
    }
}

#[test]
fn more_trades_than_are_stored_survive() {
    let mut set = of_window(20);
    for n in 0..3_000 {
        set.on_trade(&trade(n * 1_000, 1.0 + n as f64, 1.0));
    }
    let mut restored = restored(20, &save(&set)).unwrap();
    assert_eq!(bits(&mut restored), bits(&mut set));
    assert_eq!(vector(&mut set)[TRADE_INTENSITY], 1024.0);
}

#[test]
fn bytes_that_end_too_early_are_refused() {
    let mut set = of_window(3);
    for n in 0..5 {
        set.on_trade(&trade(n, 1.0, 1.0));
    }
    let bytes = save(&set);
    for len in 0..bytes.len() {
        let error = restored(3, &bytes[..len]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
    }
    assert!(set.save(&mut &mut [0; 100][..]).is_err());
}

#[test]
fn the_state_of_another_window_is_refused() {
    let error = restored(4, &save(&of_window(3))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "the trades of another window");
}
