//! Cores for an engine: chosen, claimed, and occupied by its lanes' threads before any other
//! engine may choose.

use super::outputs::Outputs;
use super::start::boxed;
use crate::config::Config;
use crate::error::Error;
use crate::os::claims::{Claims, Turn};
use crate::os::cores::Cores;
use crate::os::memory::{self, Reserved};
use crate::pipeline::lane::Standing;
use crate::pipeline::plan::Plan;

/// How often cores are chosen again because another process was faster.
const ATTEMPTS: usize = 4;

const WHAT: &str = "an engine of this configuration";

/// Where an engine runs.
pub(super) struct Places {
    pub(super) cores: Cores,
    pub(super) plan: Plan,
    /// Before the claims: those are released when the lanes have ended.
    pub(super) lanes: Vec<Standing>,
    pub(super) claims: Claims,
    /// Memory reserved for the threads that write files, which are started last.
    pub(super) for_others: Reserved,
}

impl Places {
    /// Whether there is memory for so many bytes, the lanes and the files that are written, and
    /// the lanes' threads start where and as they should. Claims no core, and ends these threads.
    pub(super) fn check(plan: &Plan, config: &Config, bytes: usize) -> Result<(), Error> {
        let mut room = reserve(plan, config, bytes)?;
        start_lanes(plan, config, &mut room).map(drop)
    }

    /// Chooses cores and takes them. `bytes`, and the threads that write files, are needed in
    /// addition to what the lanes need. All of that memory is reserved before any thread is
    /// started.
    #[inline(never)]
    pub(super) fn take(config: &Config, bytes: usize) -> Result<Box<Self>, Error> {
        let mut turn = Turn::wait();
        let mut attempt = 1;
        let (cores, plan, claims, mut room) = loop {
            let cores = Cores::detect_in(&turn);
            let plan = Plan::new(config.wanted(), &cores).map_err(Error::Placement)?;
            let room = reserve(&plan, config, bytes)?;
            // This process can share what another has, but not claim it.
            let mut lanes = plan.busy_cores();
            lanes.retain(|&core| !cores.others.iter().any(|claim| claim.core == core));
            let host = cores.host.filter(|_| cores.host_is_pinned);
            if let Some(claims) = turn.claim(&lanes, host, plan.lanes.len()) {
                break (cores, plan, claims, room);
            }
            if attempt == ATTEMPTS {
                return Err(Error::Placement(format!(
                    "cores {lanes:?} were claimed by other processes again and again while they \
                     were chosen; try once more, or name others in `cores`"
                )));
            }
            attempt += 1;
        };
        let lanes = start_lanes(&plan, config, &mut room);
        // Claims are released in a turn of their own.
        drop(turn);
        // A lane takes room for a heap of its own when it first runs its models: it must not be
        // this.
        room.keep(Outputs::threads(config) * memory::of_a_thread() + Outputs::bytes(config));
        let lanes = lanes?;
        Ok(boxed(|| Self {
            cores,
            plan,
            claims,
            lanes,
            for_others: room,
        }))
    }
}

/// Reserves memory for so many bytes, the lanes and the files that are written.
fn reserve(plan: &Plan, config: &Config, bytes: usize) -> Result<Reserved, Error> {
    let bytes = bytes.saturating_add(Outputs::bytes(config));
    memory::reserve(WHAT, bytes, plan.lanes.len() + Outputs::threads(config))
}

/// Starts the lanes' threads, which wait for their work.
fn start_lanes(plan: &Plan, config: &Config, room: &mut Reserved) -> Result<Vec<Standing>, Error> {
    let scheduling = config.scheduling();
    if !plan.sleeps() {
        // What there is to know of it is for the line at start.
        let checked = scheduling.check_sleepless();
        checked.map(drop).map_err(Error::Placement)?;
    }
    let lanes = plan.lanes.iter().enumerate();
    let lanes = lanes.map(|(index, lane)| {
        room.give_back(memory::of_a_thread());
        Standing::new(index, lane, scheduling)
    });
    lanes.collect::<Result<_, _>>().map_err(Error::Placement)
}
