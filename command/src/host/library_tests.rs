//! Tests of the library's driver, with the library that Cargo built in the same folder.

use std::ffi::{c_char, c_int, c_longlong, c_void};

use bytemuck::Zeroable;
use serde_json::json;
use signal::abi::Depth;

use super::library::{Api, find};

/// A book of one level.
fn depth() -> Depth {
    let mut depth = Depth::zeroed();
    depth.symbol[..8].copy_from_slice(b"btc_usdt");
    depth.exchange_id[..7].copy_from_slice(b"binance");
    depth.bid_price[0] = 100.0.into();
    depth.ask_price[0] = 102.0.into();
    depth.bid_volume[0] = 1.0.into();
    depth.ask_volume[0] = 2.0.into();
    depth
}

extern "C-unwind" fn nothing(
    _symbol: *const c_char,
    _timestamp: c_longlong,
    _values: *const f64,
    _count: c_int,
    _user_data: *mut c_void,
) {
}

/// Without `signal_poll_batch`, `signal_egress_t` has two words.
#[test]
fn a_library_of_before_is_driven_with_a_struct_of_our_own() {
    const NAME: &[u8] = b"\0signal_poll_batch\0";
    let now = find(None).unwrap();
    let mut bytes = std::fs::read(&now).unwrap();
    let places: Vec<usize> = (0..bytes.len() - NAME.len())
        .filter(|&place| bytes[place..].starts_with(NAME))
        .collect();
    assert!(!places.is_empty(), "the library exports signal_poll_batch");
    for place in places {
        bytes[place + NAME.len() - 2] = b'_';
    }
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before.so");
    std::fs::write(&before, bytes).unwrap();

    for (path, own) in [(&now, false), (&before, true)] {
        let api = Api::load(path).unwrap();
        let handle = api.create(&json!({"placement": "inline"})).unwrap();
        assert_eq!(handle.egress_is_own(), own, "{}", path.display());
        // SAFETY: the callback reads nothing.
        unsafe { handle.register(nothing, std::ptr::null_mut()) };
        assert_eq!(handle.poll_inlined(), 0);
        handle.on_depth(&depth());
        assert_eq!(handle.poll_inlined(), 1);
        assert_eq!(handle.poll_inlined(), 0);
    }
}
