use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::drive::{Driver, Kept};
use crate::series::Stamps;
use crate::workload;

const RESULTS: usize = 4096;

/// Sends the factors themselves, once the gate is open.
struct Echo(Vec<String>, Arc<AtomicBool>);

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
        wait("the gate", || self.1.load(Ordering::Relaxed));
        out.copy_from_slice(factors);
    }
}

fn echo(outputs: usize) -> (Box<Echo>, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(true));
    (
        Box::new(Echo(vec![String::new(); outputs], gate.clone())),
        gate,
    )
}

fn start(stamps: &Stamps, setting: Setting) -> (Driver<'_, Design, Kept>, Arc<AtomicBool>) {
    let (model, gate) = echo(3);
    let design = Design::start(setting, &[], "test0000", 4, model).unwrap();
    (Driver::with(design, Kept::default(), stamps), gate)
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

fn send(design: &mut Design, numbers: std::ops::Range<i64>) {
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
fn every_setting_computes_each_depth_once_and_in_order() {
    let stamps = Stamps::default();
    for setting in Setting::ALL {
        let (mut driver, _) = start(&stamps, setting);
        let mut depth = workload::depth();
        for number in 0..500_usize {
            workload::name(&mut depth, number % 3);
            depth.data_time = (number as i64).into();
            depth.bid_price[0] = (90.0 + number as f64 / 64.0).into();
            driver.host.on_depth(&depth);
            // Trades update state and make no result.
            driver.host.on_trade(&workload::trade(&depth));
            driver.wait(number as u64 + 1).unwrap();
        }
        let list = driver.probe.0.borrow();
        for (number, (symbol, time, values)) in list.iter().enumerate() {
            let bid = 90.0 + number as f64 / 64.0;
            assert_eq!(*symbol, format!("I0000{}USDT", number % 3), "{setting:?}");
            assert_eq!(*time, number as i64);
            assert_eq!(*values, [102.0 - bid, (102.0 + bid) / 2.0, bid]);
        }
        assert_eq!((list.len(), driver.host.dropped()), (500, 0));
    }
}

#[test]
fn a_full_queue_drops_the_newest_and_counts_them() {
    let stamps = Stamps::default();
    let (mut driver, _) = start(&stamps, Setting::SpinOne);
    let extra = 100;
    send(&mut driver.host, 0..RESULTS as i64 + extra);
    wait("the drops", || driver.host.dropped() == extra as u64);
    driver.host.poll();
    let times: Vec<i64> = driver
        .probe
        .0
        .borrow()
        .iter()
        .map(|result| result.1)
        .collect();
    assert_eq!(times, (0..RESULTS as i64).collect::<Vec<_>>());
    // There is room again, and the queue's places go round.
    send(&mut driver.host, 5000..5010);
    driver.wait(RESULTS as u64 + 10).unwrap();
    assert_eq!(driver.probe.0.borrow()[RESULTS].1, 5000);
}

#[test]
fn a_thread_that_is_overtaken_goes_on_with_what_is_left_and_the_rest_is_counted() {
    let stamps = Stamps::default();
    let (mut driver, gate) = start(&stamps, Setting::SpinOne);
    gate.store(false, Ordering::Relaxed);
    let sent = RESULTS as i64 + 1000;
    send(&mut driver.host, 0..sent);
    gate.store(true, Ordering::Relaxed);
    // The results' queue may overflow by one, too, if this thread is kept from polling.
    let (host, list) = (&mut driver.host, &driver.probe.0);
    wait("every event's end", || {
        host.poll();
        list.borrow().len() as u64 + host.dropped() == sent as u64
    });
    let dropped = host.dropped();
    assert!((999..=1001).contains(&dropped), "{dropped}");
    assert!(list.borrow().is_sorted_by(|a, b| a.1 < b.1));
    // What was left begins where the buffer did.
    assert_eq!(list.borrow()[1].1, sent - RESULTS as i64);
}

#[test]
fn it_ends_with_work_under_way() {
    let stamps = Stamps::default();
    for setting in Setting::ALL {
        for _ in 0..20 {
            let (mut driver, _) = start(&stamps, setting);
            send(&mut driver.host, 0..10);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for (outputs, cores, set, said) in [
        (2, &[][..], "none such", "none such"),
        (2, &[], "test0000", "takes 2 factors"),
        (3, &[1023], "test0000", "[1023]"),
    ] {
        let design = Design::start(Setting::Spin, cores, set, 1, echo(outputs).0);
        let error = design.err().unwrap();
        assert!(error.contains(said), "{said}: {error}");
    }
}
