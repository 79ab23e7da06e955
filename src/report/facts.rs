//! The facts of machine, build and configuration that make two reports
//! comparable.

#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::os::machine::{self, CpuInfo, Throttling};
use crate::pipeline::plan::Plan;

/// The version and the revision that it was built from, `unknown` outside a repository:
/// `0.1.0 (revision 0123456789ab)`.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("SIGNAL_BUILD_REVISION"),
    ")"
);

/// What a report says of where it was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    machine: Machine,
    build: Build,
    configuration: Config,
    lanes: String,
    stamp_cost_ns: f64,
    /// Where the system's files are.
    #[serde(skip)]
    system: PathBuf,
    /// When the report began.
    #[serde(skip)]
    throttled_before: Throttling,
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
            system: PathBuf::from("/"),
            throttled_before: machine::throttling().unwrap_or_default(),
        }
    }

    /// As on a machine whose files lie below `system`.
    #[cfg(test)]
    pub(crate) fn on(mut self, system: &Path) -> Self {
        self.system = system.to_owned();
        self.throttled_before = machine::throttling_in(system).unwrap_or_default();
        self
    }

    /// How this process was throttled since the report began; `None` without a
    /// quota.
    pub(crate) fn throttling(&self) -> Option<Throttling> {
        machine::throttling_in(&self.system).map(|now| now.since(self.throttled_before))
    }
}

impl Machine {
    fn read(cores: &Cores, clock: &Clock) -> Self {
        let cpu = CpuInfo::read();
        // The more ticks it is made of, the less rounding; it overflows nothing.
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
