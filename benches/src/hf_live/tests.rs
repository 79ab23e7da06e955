use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_double, c_longlong};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::workload;

/// Capacity of the queue to the host.
const RESULTS: usize = 4096;

/// Sends the factors themselves.
struct Echo(Vec<String>);

impl Model for Echo {
    fn inputs(&self) -> usize {
        self.0.len()
    }
    fn outputs(&self) -> &[String] {
        &self.0
    }
    fn keeps_state(&self) -> bool {
        false
    }

    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        out.copy_from_slice(factors);
    }
}

type Results = RefCell<Vec<(String, i64, Vec<f64>)>>;

extern "C-unwind" fn keep(
    symbol: *const c_char,
    timestamp: c_longlong,
    values: *const c_double,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: registered with a list that outlives the polling.
    let list = unsafe { &*user_data.cast::<Results>() };
    // SAFETY: the callback gets a NUL-terminated symbol and `count` values.
    let (symbol, values) = unsafe {
        (
            CStr::from_ptr(symbol),
            slice::from_raw_parts(values, count as usize),
        )
    };
    let symbol = symbol.to_str().unwrap().to_owned();
    list.borrow_mut().push((symbol, timestamp, values.to_vec()));
}

fn start(setting: Setting) -> (Design, Box<Results>) {
    let names = ["spread", "mid", "best_bid"].map(str::to_owned).to_vec();
    let design = Design::start(setting, &[], "test0000", 4, Box::new(Echo(names))).unwrap();
    let list = Box::new(Results::default());
    // SAFETY: tests keep the list for as long as they poll.
    unsafe { design.register(keep, ptr::from_ref(&*list).cast_mut().cast()) };
    (design, list)
}

#[test]
fn where_threads_share_a_core_the_one_that_spins_says_that_it_offers_it() {
    for setting in [Setting::Block, Setting::Spin] {
        assert!(setting.about(&[3]).contains("offers"), "{setting:?}");
        assert!(!setting.about(&[3, 5]).contains("offers"), "{setting:?}");
    }
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn every_setting_computes_each_depth_once_and_in_order() {
    for setting in Setting::ALL {
        let (design, list) = start(setting);
        let mut depth = workload::depth();
        for number in 0..500_usize {
            workload::name(&mut depth, number % 3);
            depth.data_time = (number as i64).into();
            depth.bid_price[0] = (90.0 + number as f64 / 64.0).into();
            design.on_depth(&depth);
            // Trades update state and make no result.
            design.on_trade(&workload::trade(&depth));
            wait("a result", || {
                design.poll();
                list.borrow().len() > number
            });
        }
        for (number, (symbol, time, values)) in list.borrow().iter().enumerate() {
            let bid = 90.0 + number as f64 / 64.0;
            assert_eq!(*symbol, format!("I0000{}USDT", number % 3), "{setting:?}");
            assert_eq!(*time, number as i64);
            assert_eq!(*values, [102.0 - bid, (102.0 + bid) / 2.0, bid]);
        }
        assert_eq!(list.borrow().len(), 500);
        assert_eq!(design.dropped(), 0);
    }
}

/// Waits until so many results have been made, polled or not.
fn send(design: &Design, numbers: std::ops::Range<i64>) {
    let mut depth = workload::depth();
    for number in numbers {
        depth.data_time = number.into();
        design.on_depth(&depth);
        // The event buffer holds 4096 too, and is not what is tested.
        if number % 64 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_full_queue_drops_the_newest_and_counts_them() {
    let (design, list) = start(Setting::SpinOne);
    let extra = 100;
    send(&design, 0..RESULTS as i64 + extra);
    wait("the drops", || design.dropped() == extra as u64);
    design.poll();
    let times: Vec<i64> = list.borrow().iter().map(|result| result.1).collect();
    assert_eq!(times, (0..RESULTS as i64).collect::<Vec<_>>());
    // There is room again, and the queue's places go round.
    send(&design, 5000..5010);
    wait("the next results", || {
        design.poll();
        list.borrow().len() == RESULTS + 10
    });
    assert_eq!(list.borrow()[RESULTS].1, 5000);
}

/// Runs only once the gate is open.
struct Gated(Arc<AtomicBool>, Vec<String>);

impl Model for Gated {
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> &[String] {
        &self.1
    }
    fn keeps_state(&self) -> bool {
        false
    }

    fn run(&mut self, _: InstrumentId, _: &[f64], out: &mut [f64]) {
        wait("the gate", || self.0.load(Ordering::Relaxed));
        out.fill(0.0);
    }
}

#[test]
fn a_thread_that_is_overtaken_goes_on_with_what_is_left_and_the_rest_is_counted() {
    let gate = Arc::new(AtomicBool::new(false));
    let model = Box::new(Gated(gate.clone(), vec!["out".to_owned()]));
    let design = Design::start(Setting::SpinOne, &[], "test0000", 1, model).unwrap();
    let list = Box::new(Results::default());
    // SAFETY: the list lives for as long as this polls.
    unsafe { design.register(keep, ptr::from_ref(&*list).cast_mut().cast()) };
    let sent = RESULTS as i64 + 1000;
    send(&design, 0..sent);
    gate.store(true, Ordering::Relaxed);
    // The results' queue may overflow by one, too, if this thread is kept from polling.
    wait("every event's end", || {
        design.poll();
        list.borrow().len() as u64 + design.dropped() == sent as u64
    });
    assert!(
        (999..=1001).contains(&design.dropped()),
        "{}",
        design.dropped()
    );
    assert!(list.borrow().is_sorted_by(|a, b| a.1 < b.1));
    // What was left begins where the buffer did.
    assert_eq!(list.borrow()[1].1, sent - RESULTS as i64);
}

#[test]
fn it_ends_with_work_under_way() {
    for setting in Setting::ALL {
        for _ in 0..20 {
            let (design, _list) = start(setting);
            send(&design, 0..10);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let echo = || Box::new(Echo(vec![String::new(); 2]));
    let start = |cores: &[usize], set| {
        let design = Design::start(Setting::SpinOne, cores, set, 1, echo());
        design.err().unwrap_or_default()
    };
    assert!(start(&[], "none such").contains("none such"));
    assert!(start(&[], "test0000").contains("takes 2 factors"));
    let three = Box::new(Echo(vec![String::new(); 3]));
    let error = Design::start(Setting::Spin, &[1023], "test0000", 1, three).err();
    assert!(error.unwrap().contains("[1023]"));
}
