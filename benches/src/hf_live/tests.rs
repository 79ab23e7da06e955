use super::*;
use crate::drive::{Driver, Kept};
use crate::series::Stamps;
use crate::workload;

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

fn echo(outputs: usize) -> Box<Echo> {
    Box::new(Echo(vec![String::new(); outputs]))
}

fn start(stamps: &Stamps, setting: Setting) -> Driver<'_, Design, Kept> {
    let design = Design::start(setting, &[], "test0000", 4, echo(3)).unwrap();
    Driver::with(design, Kept::default(), stamps)
}

#[test]
fn every_setting_computes_each_depth_once_and_in_order() {
    let stamps = Stamps::default();
    for setting in Setting::ALL {
        let mut driver = start(&stamps, setting);
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
        assert_eq!(list.len(), 500);
    }
}

#[test]
fn it_ends_with_work_under_way() {
    let stamps = Stamps::default();
    for setting in Setting::ALL {
        for _ in 0..20 {
            let mut driver = start(&stamps, setting);
            for _ in 0..10 {
                driver.host.on_depth(&workload::depth());
            }
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
        let design = Design::start(Setting::SPIN, cores, set, 1, echo(outputs));
        let error = design.err().unwrap();
        assert!(error.contains(said), "{said}: {error}");
    }
}
