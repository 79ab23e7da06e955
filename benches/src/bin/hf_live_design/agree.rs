//! Nothing is timed that computes something else.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_double, c_int, c_longlong, c_void};
use std::slice;
use std::time::{Duration, Instant};

use signal_bench::feed::Feed;
use signal_bench::ticks::Host;

use crate::cases::{Case, Contender, Setup};

/// Depths, a trade before each.
const DEPTHS: usize = 300;

/// A result: symbol, time, the values' bits.
type Received = (String, i64, Vec<u64>);

extern "C-unwind" fn keep(
    symbol: *const c_char,
    timestamp: c_longlong,
    values: *const c_double,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a list that outlives the polling; only this thread uses it.
    let list = unsafe { &*user_data.cast::<RefCell<Vec<Received>>>() };
    // SAFETY: the callback gets a NUL-terminated symbol and `count` values.
    let (symbol, values) = unsafe {
        (
            CStr::from_ptr(symbol),
            slice::from_raw_parts(values, count as usize),
        )
    };
    list.borrow_mut().push((
        symbol.to_string_lossy().into_owned(),
        timestamp,
        values.iter().map(|value| value.to_bits()).collect(),
    ));
}

/// Refuses a contender whose results are not the library's, bit by bit.
pub fn check(setup: &Setup, case: Case) -> Result<(), String> {
    let expected = results(&*setup.handle(case)?)?;
    for contender in Contender::ALL {
        let Contender::Design(setting) = contender else {
            continue;
        };
        let found = results(&setup.design(case, setting)?)?;
        let differs = expected.iter().zip(&found).position(|(a, b)| a != b);
        if let Some(place) = differs {
            return Err(format!(
                "{}, {}: result {place} is {:?}, the library's is {:?}",
                case.title(),
                contender.name(),
                found[place],
                expected[place]
            ));
        }
    }
    Ok(())
}

fn results<H: Host>(host: &H) -> Result<Vec<Received>, String> {
    let list = Box::new(RefCell::new(Vec::<Received>::new()));
    // SAFETY: the list is boxed and outlives the polling, which ends with this function.
    unsafe { host.register(keep, std::ptr::from_ref(&*list).cast_mut().cast()) };
    let mut feed = Feed::new(1);
    for number in 0..DEPTHS {
        host.on_trade(&feed.trade());
        host.on_depth(&feed.depth());
        let start = Instant::now();
        while list.borrow().len() <= number {
            host.poll();
            if start.elapsed() > Duration::from_secs(5) {
                return Err(format!("no result of Depth {number} within 5 s"));
            }
        }
    }
    Ok(list.take())
}
