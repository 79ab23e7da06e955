//! `library` is also part of the soak, which has no events of `workload`'s.

use std::ffi::{c_char, c_int, c_longlong, c_void};

use serde_json::json;

use crate::library::{Api, find};
use crate::workload;

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
        // SAFETY: the callback looks at nothing.
        unsafe { handle.register(nothing, std::ptr::null_mut()) };
        assert_eq!(handle.poll_inlined(), 0);
        handle.on_depth(&workload::depth());
        assert_eq!(handle.poll_inlined(), 1);
        assert_eq!(handle.poll_inlined(), 0);
    }
}
