//! The facts of machine, build and configuration that make two reports
//! comparable.

use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::os::machine::{self, CpuInfo};
use crate::pipeline::plan::Plan;

/// The version and the revision of the build, as in `0.1.0 (revision 0123456789ab)`; the
/// revision is `unknown` outside a repository.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("SIGNAL_BUILD_REVISION"),
    ")"
);

/// What a report says about where it was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    machine: Machine,
    build: Build,
    configuration: Config,
    lanes: String,
    stamp_cost_ns: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Machine {
    cpu: Option<String>,
    hypervisor: bool,
    kernel: Option<String>,
    clocksource: Option<String>,
    tsc_ticks_per_us: f64,
    online: Option<String>,
    isolated: Option<String>,
    nohz_full: Option<String>,
    allowed_cores: Vec<usize>,
    host_core: Option<usize>,
    cpu_quota_cores: Option<f64>,
    governor: Option<String>,
    transparent_hugepage: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Build {
    version: &'static str,
    revision: &'static str,
    compiler: &'static str,
    profile: &'static str,
    target: &'static str,
}

impl Facts {
    pub(crate) fn new(config: &Config, plan: &Plan, cores: &Cores, clock: &Clock) -> Self {
        Self {
            machine: Machine::read(cores, clock),
            build: Build {
                version: env!("CARGO_PKG_VERSION"),
                revision: env!("SIGNAL_BUILD_REVISION"),
                compiler: env!("SIGNAL_BUILD_COMPILER"),
                profile: env!("SIGNAL_BUILD_PROFILE"),
                target: env!("SIGNAL_BUILD_TARGET"),
            },
            configuration: config.clone(),
            lanes: plan.to_string(),
            stamp_cost_ns: clock.stamp_cost_ns(),
        }
    }

    /// The fields, ready to be written.
    pub(crate) fn fields(&self) -> serde_json::Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        }
    }
}

impl Machine {
    fn read(cores: &Cores, clock: &Clock) -> Self {
        let cpu = CpuInfo::read();
        // Many ticks, so that rounding matters less, but too few to overflow.
        const TICKS: u64 = 1 << 40;
        Self {
            cpu: cpu.model().map(str::to_owned),
            hypervisor: cpu.has("hypervisor"),
            kernel: machine::kernel(),
            clocksource: machine::clocksource(),
            tsc_ticks_per_us: TICKS as f64 * 1e3 / clock.nanos(0, TICKS) as f64,
            online: machine::online(),
            isolated: machine::isolated(),
            nohz_full: machine::nohz_full(),
            allowed_cores: cores.allowed.clone(),
            host_core: cores.host,
            cpu_quota_cores: cores.quota,
            governor: machine::governor(0),
            transparent_hugepage: machine::transparent_hugepage(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_that_is_no_text_costs_a_report_no_facts() {
        let mut config = Config::default();
        config.latency.dir = Some(OsStr::from_bytes(b"/tmp/\xff/report").into());
        let (cores, clock) = (Cores::detect(), Clock::new(true));
        let plan = Plan::new(config.wanted(), &cores).unwrap();
        let fields = Facts::new(&config, &plan, &cores, &clock).fields();
        for key in [
            "machine",
            "build",
            "configuration",
            "lanes",
            "stamp_cost_ns",
        ] {
            assert!(fields.contains_key(key), "no {key} in {fields:?}");
        }
        let dir = &fields["configuration"]["latency"]["dir"];
        assert_eq!(dir, "/tmp/\u{fffd}/report");
    }
}
