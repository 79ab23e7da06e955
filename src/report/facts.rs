//! The facts of machine, build and configuration that make two reports
//! comparable.

use std::fs;

use serde::Serialize;

use crate::config::Config;
use crate::os::clock::Clock;
use crate::os::cores::Cores;
use crate::pipeline::plan::Plan;

/// What a report says of where it was made.
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
}

impl Machine {
    fn read(cores: &Cores, clock: &Clock) -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu_fact = |key: &str| {
            cpu_info
                .lines()
                .find(|line| line.starts_with(key))
                .and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        };
        let cpu = "/sys/devices/system/cpu";
        // The more ticks it is made of, the less rounding; it overflows nothing.
        const TICKS: u64 = 1 << 40;
        Self {
            cpu: cpu_fact("model name"),
            hypervisor: cpu_fact("flags").is_some_and(|flags| flags.contains("hypervisor")),
            kernel: fact("/proc/sys/kernel/osrelease"),
            clocksource: fact("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            tsc_ticks_per_us: TICKS as f64 * 1e3 / clock.nanos(0, TICKS) as f64,
            online: fact(&format!("{cpu}/online")),
            isolated: fact(&format!("{cpu}/isolated")),
            nohz_full: fact(&format!("{cpu}/nohz_full")),
            allowed_cores: cores.allowed.clone(),
            host_core: cores.host,
            governor: fact(&format!("{cpu}/cpu0/cpufreq/scaling_governor")),
            transparent_hugepage: fact("/sys/kernel/mm/transparent_hugepage/enabled"),
        }
    }
}

/// A kernel file's line; `None` where the kernel has no such file.
fn fact(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}
