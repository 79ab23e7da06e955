//! The plan: which lanes there are, and on which core each runs.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::idle::Idle;
use super::placement::Placement;
use super::rehearsal::Warm;
use crate::os::cores::Cores;
use crate::stages::Stage;

/// One lane of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePlan {
    /// First and last stage that the lane runs.
    pub stages: RangeInclusive<Stage>,
    /// Which of the lanes that share out the models, from 0; `None` if one lane has all of
    /// them.
    pub share: Option<usize>,
    /// Which of the shards, from 0; `None` if there is only one.
    pub shard: Option<usize>,
    /// Core that it is pinned to; `None` if lanes cannot be pinned.
    pub core: Option<usize>,
    /// What it does when idle; never [`Idle::Auto`].
    pub idle: Idle,
}

impl fmt::Display for LanePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.stages.start(), self.stages.end());
        if first == last {
            write!(f, "{}", first.name())?;
        } else {
            write!(f, "{}..{}", first.name(), last.name())?;
        }
        if let Some(number) = self.number() {
            write!(f, "#{number}")?;
        }
        let idle = match self.idle {
            Idle::Spin => "spin",
            Idle::Yield => "yield",
            Idle::Park | Idle::Auto => "park",
        };
        match self.core {
            Some(core) => write!(f, "@{core}({idle})"),
            None => write!(f, "@any({idle})"),
        }
    }
}

impl LanePlan {
    /// Which of several lanes with the same stages, from 0.
    pub fn number(&self) -> Option<usize> {
        self.share.or(self.shard)
    }
}

/// What a configuration asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Which stages share a lane.
    pub placement: &'a Placement,
    /// Number of copies of the lanes for factor and model.
    pub shards: usize,
    /// Configured cores, one per lane.
    pub cores: Option<&'a [usize]>,
    /// What lanes do when idle.
    pub idle: Idle,
    /// Whether the host's thread may run the stages if [`Placement::Auto`] finds no core for
    /// a lane. True if signals are delivered from `signal_on_data`.
    pub may_run_inline: bool,
}

/// Lanes with their cores. If there are none, the placement is `inline`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the path.
    pub lanes: Vec<LanePlan>,
    /// Number of copies of the lanes for factor and model.
    pub shards: usize,
    /// Why the plan is not what one might expect, one phrase each.
    pub notes: Vec<String>,
}

impl Plan {
    /// Decides what runs where.
    ///
    /// Unless cores are configured, lanes take allowed cores, except the host's, those of
    /// other handles' lanes and those that other processes have claimed. Isolated cores come
    /// first, then whole physical cores, high numbers before low ones. If there are too few,
    /// lanes share them. `Idle::Auto` spins if every lane has a core to itself and one is
    /// left for each host. Otherwise, and if this is not known, it parks.
    ///
    /// Unless cores are configured, [`Placement::Auto`] never oversubscribes. If `shards`
    /// lanes and those of ingest and egress cannot have a core each, there are fewer shards,
    /// down to one lane for all stages. If that lane would park, there is no lane if the
    /// stages may run inline.
    ///
    /// # Errors
    ///
    /// A sentence with the field, its value and what was expected.
    pub fn new(wanted: Wanted<'_>, cores: &Cores) -> Result<Self, String> {
        let Wanted {
            placement,
            shards,
            cores: chosen,
            idle,
            may_run_inline,
        } = wanted;
        placement.check_shards(shards)?;
        let is_free_choice = *placement == Placement::Auto && chosen.is_none();
        let shards = match is_free_choice {
            true => shards.min(room(cores).saturating_sub(2)).max(1),
            false => shards,
        };
        let stages = lanes_of(placement, shards)?;
        if let Some(chosen) = chosen {
            check_chosen(chosen, stages.len(), cores)?;
        }
        let pool = match chosen {
            Some(chosen) => chosen.to_vec(),
            None => pool(cores),
        };
        let taken: Vec<usize> = pool.iter().cycle().take(stages.len()).copied().collect();
        let has_own_cores = !taken.iter().enumerate().any(|(index, &core)| {
            taken[..index].contains(&core)
                || cores.is_taken(core)
                || (cores.host_is_pinned && cores.host == Some(core))
        }) && is_room_for_hosts(&taken, cores);
        let mut notes = Vec::new();
        if let Some(unused) = chosen.and_then(|chosen| chosen.get(taken.len()..))
            && !unused.is_empty()
        {
            let lanes = match taken.len() {
                0 => "no lanes".to_owned(),
                1 => "one lane".to_owned(),
                lanes => format!("{lanes} lanes"),
            };
            notes.push(format!(
                "cores {unused:?} are given but not used: placement {placement} has {lanes}"
            ));
        }
        if !has_own_cores {
            notes.extend(why_crowded(&taken, cores));
        }
        let needed = cores_to_spin(taken.len(), cores);
        let has_time = cores.quota.is_none_or(|quota| quota >= needed as f64);
        if let Some(quota) = cores.quota.filter(|_| !taken.is_empty()) {
            let is_enough = match has_time {
                true => String::new(),
                false => format!(
                    " is too little: lanes that spin and the host need {needed}, and are stopped \
                     otherwise"
                ),
            };
            notes.push(format!("a CPU quota of {quota} cores{is_enough}"));
        }
        if let Some(seconds) = cores.ends_after.filter(|_| !taken.is_empty()) {
            notes.push(format!(
                "the kernel ends this process after {seconds} s of CPU time (RLIMIT_CPU), which \
                 lanes that spin use up"
            ));
        }
        let has_time = has_time && cores.ends_after.is_none();
        let unknown = cores.unknown(chosen.is_some());
        let is_known = unknown.is_empty() && cores.cannot_pin.is_none();
        if !taken.is_empty() {
            notes.extend(unknown);
            let why = cores.cannot_pin.iter();
            notes.extend(why.map(|why| format!("lanes are not pinned: {why}")));
        }
        // Assume the worst of what is not known.
        let has_own_cores = has_own_cores && has_time && is_known;
        if is_free_choice && shards == 1 && idle == Idle::Auto && may_run_inline && !has_own_cores {
            return Ok(Self {
                lanes: Vec::new(),
                shards,
                notes,
            });
        }
        let idle = match idle {
            Idle::Auto if has_own_cores => Idle::Spin,
            Idle::Auto => Idle::Park,
            given => given,
        };
        let several = placement.model_lanes() > 1;
        let mut shares = 0..;
        let lanes = stages
            .into_iter()
            .zip(taken)
            .map(|((stages, shard), core)| {
                let shares_models = several && stages == (Stage::Model..=Stage::Model);
                LanePlan {
                    share: shares_models.then(|| shares.next()).flatten(),
                    stages,
                    shard,
                    core: cores.cannot_pin.is_none().then_some(core),
                    idle,
                }
            })
            .collect();
        Ok(Self {
            lanes,
            shards,
            notes,
        })
    }

    /// Cores that the plan's lanes keep busy.
    pub(crate) fn busy_cores(&self) -> Vec<usize> {
        let busy = self.lanes.iter().filter(|lane| lane.idle != Idle::Park);
        let mut cores: Vec<usize> = busy.filter_map(|lane| lane.core).collect();
        cores.sort_unstable();
        cores.dedup();
        cores
    }

    /// The configured placement, and the number of shards if there are or should be several.
    pub fn about(&self, placement: &Placement, configured: usize) -> String {
        match (configured, self.shards) {
            (1, _) => placement.to_string(),
            (all, shards) if shards == all => format!("{placement} shards={all}"),
            (all, shards) => format!("{placement} shards={shards}(too few cores for {all})"),
        }
    }

    /// How often a thread that runs stages keeps them warm. Lanes that give their cores away
    /// never do; the host's thread does so while it polls.
    pub fn rehearses(&self, warm: Warm) -> Option<Duration> {
        let can = self.is_inline() || self.lanes.iter().any(|lane| lane.idle == Idle::Spin);
        warm.interval().filter(|_| can)
    }

    /// Whether no lane runs without ever sleeping.
    pub(crate) fn sleeps(&self) -> bool {
        self.lanes.iter().all(|lane| lane.idle == Idle::Park)
    }

    /// Whether the host's thread runs the stages.
    pub fn is_inline(&self) -> bool {
        self.lanes.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_inline() {
            return f.write_str("inline");
        }
        let lanes: Vec<String> = self.lanes.iter().map(ToString::to_string).collect();
        f.write_str(&lanes.join(" "))
    }
}

/// Each lane's stages, and its shard if there are several.
type LaneStages = (RangeInclusive<Stage>, Option<usize>);

fn lanes_of(placement: &Placement, shards: usize) -> Result<Vec<LaneStages>, String> {
    let once = match placement {
        Placement::Inline => Vec::new(),
        Placement::Auto | Placement::Fused if shards > 1 => vec![
            Stage::Ingest..=Stage::Ingest,
            Stage::Factor..=Stage::Model,
            Stage::Egress..=Stage::Egress,
        ],
        Placement::Auto | Placement::Fused => vec![Stage::Ingest..=Stage::Egress],
        Placement::Split => Stage::ALL.iter().map(|&stage| stage..=stage).collect(),
        Placement::Lanes(lanes) => explicit(lanes)?,
    };
    let mut lanes = Vec::new();
    for stages in once {
        let is_repeated =
            shards > 1 && !stages.contains(&Stage::Ingest) && !stages.contains(&Stage::Egress);
        if is_repeated {
            lanes.extend((0..shards).map(|shard| (stages.clone(), Some(shard))));
        } else {
            lanes.push((stages, None));
        }
    }
    Ok(lanes)
}

fn explicit(lanes: &[Vec<Stage>]) -> Result<Vec<RangeInclusive<Stage>>, String> {
    let expected = "expected every stage once, in the order ingest, factor, model, egress (egress may be left out), at least one on each lane; \
         or several lanes of model alone, with egress on a lane after them";
    // Lanes that share out the models are listed next to each other and count as one.
    let mut distinct = lanes.to_vec();
    distinct.dedup_by(|lane, before| lane[..] == [Stage::Model] && lane == before);
    let mut order: Vec<Stage> = distinct.iter().flatten().copied().collect();
    if distinct.len() == lanes.len() && order.last() == Some(&Stage::Model) {
        order.push(Stage::Egress);
    }
    if order != Stage::ALL || lanes.iter().any(Vec::is_empty) {
        return Err(format!(
            "got {}; {expected}",
            Placement::Lanes(lanes.to_vec())
        ));
    }
    let last_lane = lanes.len() - 1;
    Ok(lanes
        .iter()
        .enumerate()
        .map(|(index, lane)| {
            let last = if index == last_lane {
                Stage::Egress
            } else {
                lane[lane.len() - 1]
            };
            lane[0]..=last
        })
        .collect())
}

fn check_chosen(chosen: &[usize], lanes: usize, cores: &Cores) -> Result<(), String> {
    if let Some(core) = chosen.iter().find(|core| !cores.allowed.contains(core)) {
        return Err(format!(
            "cores: this process may not use core {core}; expected some of {:?}",
            cores.allowed
        ));
    }
    if chosen.len() < lanes {
        return Err(format!(
            "cores: {} given for {lanes} lanes; expected one core per lane",
            chosen.len()
        ));
    }
    Ok(())
}

/// Whether lanes on these cores leave one for each host. The case of a lane on the host's own
/// core is checked elsewhere.
fn is_room_for_hosts(taken: &[usize], cores: &Cores) -> bool {
    let is_left = |core: &&usize| !taken.contains(core) && !cores.is_taken(**core);
    cores.allowed.iter().filter(is_left).count() >= cores.hosts_to_lock()
}

/// CPU time, in cores, for `lanes` more spinning lanes together with the existing ones and
/// the host.
fn cores_to_spin(lanes: usize, cores: &Cores) -> usize {
    let mut busy = cores.lanes.clone();
    busy.sort_unstable();
    busy.dedup();
    busy.len() + lanes + 1
}

/// Who uses the cores that lanes would need, as far as that is known.
fn why_crowded(taken: &[usize], cores: &Cores) -> Vec<String> {
    const MOST: usize = 4;
    if taken.is_empty() {
        return Vec::new();
    }
    let mut why: Vec<String> = cores
        .others
        .iter()
        .take(MOST)
        .map(ToString::to_string)
        .collect();
    if cores.others.len() > MOST {
        why.push(format!("{} more are claimed", cores.others.len() - MOST));
    }
    let mut lanes = cores.lanes.clone();
    lanes.sort_unstable();
    lanes.dedup();
    if !lanes.is_empty() {
        why.push(format!("other lanes of this process are on {lanes:?}"));
    }
    why
}

/// Number of lanes that can have a core each, with one left for each host; 0 if that is not
/// known, or if they may not spin there.
fn room(cores: &Cores) -> usize {
    let is_limited = cores.cannot_pin.is_some() || cores.ends_after.is_some();
    if is_limited || !cores.unknown(false).is_empty() {
        return 0;
    }
    let free = |core: &&usize| !cores.is_taken(**core);
    let all = cores.allowed.iter().filter(free).count();
    let free = |core: &&usize| Some(**core) != cores.host && !cores.is_taken(**core);
    let beside_host = cores.allowed.iter().filter(free).count();
    let time = cores.quota.map_or(usize::MAX, |quota| {
        (quota as usize).saturating_sub(cores_to_spin(0, cores))
    });
    let places = all.saturating_sub(cores.hosts_to_lock());
    beside_host.min(places).min(time)
}

/// Cores for lanes, best first: not the host's own, and none that is used. Isolated ones come
/// first, then one hardware thread of each physical core, and high numbers before low ones,
/// which tend to take interrupts.
fn pool(cores: &Cores) -> Vec<usize> {
    let mut pool: Vec<usize> = cores
        .allowed
        .iter()
        .copied()
        .filter(|&core| Some(core) != cores.host)
        .collect();
    if pool.is_empty() {
        return cores.allowed.clone();
    }
    let is_others = |core: usize| cores.others.iter().any(|claim| claim.core == core);
    if pool.iter().any(|&core| !cores.is_taken(core)) {
        pool.retain(|&core| !cores.is_taken(core));
    } else if cores.allowed.iter().any(|&core| !is_others(core)) {
        // Better to be in the way of its own host than of another process.
        pool.retain(|&core| !is_others(core));
        if pool.is_empty() {
            pool.extend(cores.host);
        }
    }
    pool.sort_by_key(|core| {
        (
            !cores.isolated.contains(core),
            cores.second_threads.contains(core),
            std::cmp::Reverse(*core),
        )
    });
    pool
}

#[cfg(test)]
mod tests;
