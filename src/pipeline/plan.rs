//! The plan: which lanes there are, and on which core each runs.

use std::fmt;
use std::ops::RangeInclusive;

use super::idle::Idle;
use super::placement::Placement;
use crate::os::cores::Cores;
use crate::stages::Stage;

/// One lane of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePlan {
    /// First and last stage that the lane runs.
    pub stages: RangeInclusive<Stage>,
    /// Which of the lanes that share out the models, from 0; `None` where there
    /// is one lane for all.
    pub share: Option<usize>,
    /// Which of the shards, from 0; `None` where there is one for all.
    pub shard: Option<usize>,
    /// Core that it is pinned to.
    pub core: usize,
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
        write!(f, "@{}({idle})", self.core)
    }
}

impl LanePlan {
    /// Which of several lanes with the same stages, from 0.
    pub fn number(&self) -> Option<usize> {
        self.share.or(self.shard)
    }
}

/// Lanes with their cores. No lanes means `inline`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the path.
    pub lanes: Vec<LanePlan>,
    /// How many times the lanes of factor and model are there.
    pub shards: usize,
}

impl Plan {
    /// Decides what runs where.
    ///
    /// Without `chosen` cores, lanes take allowed cores but the host's and those
    /// of other handles' lanes: isolated ones first, then whole physical cores,
    /// high numbers before low ones; when there are too few they share.
    /// `Idle::Auto` spins where every lane has a core to itself and a core is
    /// left for the host, else parks.
    ///
    /// Without chosen cores [`Placement::Auto`] never oversubscribes: where
    /// `shards` lanes and those of ingest and egress would not have a core each,
    /// there are fewer shards, at worst one lane for all stages.
    ///
    /// # Errors
    ///
    /// A sentence that names the field, what it holds and what was expected.
    pub fn new(
        placement: &Placement,
        shards: usize,
        chosen: Option<&[usize]>,
        idle: Idle,
        cores: &Cores,
    ) -> Result<Self, String> {
        placement.check_shards(shards)?;
        let shards = match (placement, chosen) {
            (Placement::Auto, None) => shards.min(room(cores).saturating_sub(2)).max(1),
            _ => shards,
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
        let shared = taken.iter().enumerate().any(|(index, core)| {
            taken[..index].contains(core)
                || cores.lanes.contains(core)
                || (cores.host_is_pinned && cores.host == Some(*core))
        });
        let host_has_one = cores.allowed.len() > stages.len();
        let idle = match idle {
            Idle::Auto if shared || !host_has_one => Idle::Park,
            Idle::Auto => Idle::Spin,
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
                    core,
                    idle,
                }
            })
            .collect();
        Ok(Self { lanes, shards })
    }

    /// The configured placement, and the number of shards where there are several
    /// or should be.
    pub fn about(&self, placement: &Placement, configured: usize) -> String {
        match (configured, self.shards) {
            (1, _) => placement.to_string(),
            (all, shards) if shards == all => format!("{placement} shards={all}"),
            (all, shards) => format!("{placement} shards={shards}(too few cores for {all})"),
        }
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

/// Each lane's stages, and its shard where there are several.
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
    let expected = "placement: expected every stage once, in the order ingest, factor, model, egress (egress may be left out), at least one on each lane; \
         or several lanes of model alone, with egress on a lane behind them";
    // Lanes that share out the models stand side by side and count as one.
    let mut distinct = lanes.to_vec();
    distinct.dedup_by(|lane, before| lane[..] == [Stage::Model] && lane == before);
    let mut order: Vec<Stage> = distinct.iter().flatten().copied().collect();
    if distinct.len() == lanes.len() && order.last() == Some(&Stage::Model) {
        order.push(Stage::Egress);
    }
    if order != Stage::ALL || lanes.iter().any(Vec::is_empty) {
        return Err(format!(
            "{expected}; got {}",
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
            "cores: {} given for {lanes} lanes; expected one core a lane",
            chosen.len()
        ));
    }
    Ok(())
}

/// Lanes that can have a core each, with one left for the host.
fn room(cores: &Cores) -> usize {
    let is_taken = |core: &usize| Some(*core) == cores.host || cores.lanes.contains(core);
    let free = cores.allowed.iter().filter(|core| !is_taken(core)).count();
    free.min(cores.allowed.len().saturating_sub(1))
}

/// Cores for lanes, best first: not the host's own and not another lane's,
/// isolated before others, one hardware thread of each physical core before
/// the rest, high numbers before low ones, which tend to take interrupts.
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
    if pool.iter().any(|core| !cores.lanes.contains(core)) {
        pool.retain(|core| !cores.lanes.contains(core));
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
