//! Placement: which stages share a lane, and on which core each lane runs.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::cores::Cores;
use super::idle::Idle;
use crate::stages::Shards;

/// A stage, in the order of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Decode, validate, intern.
    Ingest,
    /// Compute factors.
    Factor,
    /// Run the model.
    Model,
    /// Number the signals.
    Egress,
}

impl Stage {
    /// All stages, in the order of the path.
    pub const ALL: [Stage; 4] = [Stage::Ingest, Stage::Factor, Stage::Model, Stage::Egress];

    /// The name in configurations and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Factor => "factor",
            Stage::Model => "model",
            Stage::Egress => "egress",
        }
    }
}

/// Which stages share a lane.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// `fused`; on one core its lane parks instead of spinning.
    #[default]
    Auto,
    /// No lane: the host's thread runs all stages in `on_data`.
    Inline,
    /// One lane for all stages. With several shards: one for ingest, one a shard
    /// for factor and model, one for egress.
    Fused,
    /// One lane a stage. With several shards, a lane of factor and one of model
    /// for each.
    Split,
    /// Lanes as listed: each stage once, in the order of the path. Egress may
    /// be left out and then runs on the last lane. The model stage may have
    /// several lanes to itself, which share out the models; egress then has a
    /// lane of its own.
    Lanes(Vec<Vec<Stage>>),
}

impl Placement {
    /// Number of lanes; with several shards, at most so many. No shards count as
    /// one.
    pub fn lanes(&self, shards: usize) -> usize {
        let once = match self {
            Placement::Inline => return 0,
            Placement::Auto | Placement::Fused if shards > 1 => 3,
            Placement::Auto | Placement::Fused => 1,
            Placement::Split => Stage::ALL.len(),
            Placement::Lanes(lanes) => lanes.len(),
        };
        // All but ingest's and egress's are repeated.
        once + once.saturating_sub(2) * shards.saturating_sub(1)
    }

    /// Rings between lanes; with several shards, at most so many. No shards count
    /// as one.
    pub fn rings(&self, shards: usize) -> usize {
        let lanes = self.lanes(shards);
        match shards {
            // One leads to each lane but ingest's.
            0 | 1 => lanes.saturating_sub(1),
            // One leads to each shard's lanes, and one from each shard to egress.
            _ => lanes.saturating_sub(2) + shards,
        }
    }

    /// Lanes that share out the models; 1 where the model stage is not repeated.
    pub fn model_lanes(&self) -> usize {
        let Placement::Lanes(lanes) = self else {
            return 1;
        };
        let alone = lanes.iter().filter(|lane| lane[..] == [Stage::Model]);
        alone.count().max(1)
    }
}

impl Placement {
    /// Whether the lanes of factor and model can be there so many times.
    ///
    /// # Errors
    ///
    /// A sentence that names the field, what it holds and what was expected.
    pub fn check_shards(&self, shards: usize) -> Result<(), String> {
        if !(1..=Shards::MAX).contains(&shards) {
            return Err(format!("shards: {shards}; expected 1 to {}", Shards::MAX));
        }
        let wrong = |why: &str| {
            Err(format!(
                "shards: {shards} with placement {self}, {why}; expected fused, split, auto, \
                 or lanes with ingest and egress on lanes of their own and one lane for model"
            ))
        };
        match self {
            _ if shards == 1 => Ok(()),
            Placement::Inline => wrong("which has no lanes to repeat"),
            Placement::Lanes(_) if self.model_lanes() > 1 => {
                wrong("where lanes share out the models already")
            }
            Placement::Lanes(lanes) => {
                let alone =
                    |lane: Option<&Vec<Stage>>, stage| lane.is_some_and(|lane| lane[..] == [stage]);
                match alone(lanes.first(), Stage::Ingest) && alone(lanes.last(), Stage::Egress) {
                    true => Ok(()),
                    false => wrong("where ingest or egress shares a lane"),
                }
            }
            Placement::Auto | Placement::Fused | Placement::Split => Ok(()),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::Auto => f.write_str("auto"),
            Placement::Inline => f.write_str("inline"),
            Placement::Fused => f.write_str("fused"),
            Placement::Split => f.write_str("split"),
            Placement::Lanes(lanes) => {
                let lanes: Vec<String> = lanes
                    .iter()
                    .map(|lane| {
                        let names: Vec<_> = lane.iter().map(|stage| stage.name()).collect();
                        names.join("+")
                    })
                    .collect();
                f.write_str(&lanes.join(" | "))
            }
        }
    }
}

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
mod tests {
    use super::*;

    fn cores(allowed: &[usize], isolated: &[usize], host: Option<usize>) -> Cores {
        Cores {
            allowed: allowed.to_vec(),
            isolated: isolated.to_vec(),
            host,
            host_is_pinned: false,
            lanes: vec![],
            second_threads: vec![],
        }
    }

    fn plan(placement: &Placement, cores: &Cores) -> String {
        Plan::new(placement, 1, None, Idle::Auto, cores)
            .unwrap()
            .to_string()
    }

    #[test]
    fn auto_never_oversubscribes() {
        let auto = Placement::Auto;
        let one = cores(&[0], &[], Some(0));
        assert_eq!(plan(&auto, &one), "ingest..egress@0(park)");
        let two = cores(&[0, 1], &[], Some(1));
        assert_eq!(plan(&auto, &two), "ingest..egress@0(spin)");
        assert_eq!(
            plan(&Placement::Split, &two),
            "ingest@0(park) factor@0(park) model@0(park) egress@0(park)"
        );
    }

    #[test]
    fn lanes_prefer_isolated_cores_and_leave_the_hosts() {
        let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[2, 3], Some(7));
        assert_eq!(
            plan(&Placement::Split, &eight),
            "ingest@3(spin) factor@2(spin) model@6(spin) egress@5(spin)"
        );
    }

    #[test]
    fn auto_keeps_off_other_lanes_and_hardware_threads_of_one_core() {
        let mut four = cores(&[0, 1, 2, 3], &[], Some(0));
        four.second_threads = vec![0, 1, 2];
        assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@3(spin)");
        four.lanes = vec![3];
        assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@2(spin)");
        let mut two = cores(&[0, 1], &[], Some(0));
        two.lanes = vec![1];
        assert_eq!(plan(&Placement::Auto, &two), "ingest..egress@1(park)");
    }

    #[test]
    fn auto_does_not_spin_on_a_core_that_the_host_is_pinned_to() {
        let mut two = cores(&[0, 1], &[], Some(0));
        let given = |cores: &Cores| {
            Plan::new(&Placement::Fused, 1, Some(&[0]), Idle::Auto, cores)
                .unwrap()
                .to_string()
        };
        assert_eq!(given(&two), "ingest..egress@0(spin)");
        two.host_is_pinned = true;
        assert_eq!(given(&two), "ingest..egress@0(park)");
    }

    #[test]
    fn egress_joins_the_last_explicit_lane() {
        let lanes = Placement::Lanes(vec![vec![Stage::Ingest, Stage::Factor], vec![Stage::Model]]);
        let four = cores(&[0, 1, 2, 3], &[], Some(0));
        assert_eq!(
            plan(&lanes, &four),
            "ingest..factor@3(spin) model..egress@2(spin)"
        );
    }

    #[test]
    fn models_can_have_several_lanes() {
        let (front, model) = (vec![Stage::Ingest, Stage::Factor], vec![Stage::Model]);
        let lanes = |lanes: &[&Vec<Stage>]| {
            Placement::Lanes(lanes.iter().copied().cloned().collect::<Vec<_>>())
        };
        let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
        let egress = vec![Stage::Egress];
        assert_eq!(
            plan(&lanes(&[&front, &model, &model, &egress]), &eight),
            "ingest..factor@7(spin) model#0@6(spin) model#1@5(spin) egress@4(spin)"
        );
        let factor = vec![Stage::Factor];
        for wrong in [
            lanes(&[&front, &model, &model]),
            lanes(&[&front, &model, &vec![Stage::Model, Stage::Egress]]),
            lanes(&[&front, &model, &egress, &model]),
            lanes(&[&front, &front, &model, &model, &egress]),
            lanes(&[&front, &model, &factor, &model, &egress]),
            lanes(&[&model, &model, &egress]),
            lanes(&[
                &vec![Stage::Ingest],
                &vec![Stage::Ingest],
                &factor,
                &model,
                &egress,
            ]),
        ] {
            let refused = Plan::new(&wrong, 1, None, Idle::Auto, &eight).unwrap_err();
            assert!(refused.contains("several lanes of model"), "{refused}");
        }
    }

    fn sharded(placement: &Placement, shards: usize, cores: &Cores) -> Plan {
        Plan::new(placement, shards, None, Idle::Auto, cores).unwrap()
    }

    #[test]
    fn shards_repeat_the_lanes_between_ingest_and_egress() {
        use Stage::{Egress, Factor, Ingest, Model};
        let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
        let fused = "ingest@7(spin) factor..model#0@6(spin) factor..model#1@5(spin) egress@4(spin)";
        let split = "ingest@7(spin) factor#0@6(spin) factor#1@5(spin) model#0@4(spin) \
                     model#1@3(spin) egress@2(spin)";
        let lanes =
            |lanes: &[&[Stage]]| Placement::Lanes(lanes.iter().map(|lane| lane.to_vec()).collect());
        for (placement, expected) in [
            (Placement::Auto, fused),
            (Placement::Fused, fused),
            (lanes(&[&[Ingest], &[Factor, Model], &[Egress]]), fused),
            (Placement::Split, split),
            (lanes(&[&[Ingest], &[Factor], &[Model], &[Egress]]), split),
        ] {
            let plan = sharded(&placement, 2, &eight);
            assert_eq!(plan.to_string(), expected);
            for shards in 2..=16 {
                let plan = Plan::new(&placement, shards, Some(&[1; 40]), Idle::Park, &eight);
                assert_eq!(plan.unwrap().lanes.len(), placement.lanes(shards));
            }
        }
        assert_eq!(Placement::Fused.rings(4), 8);
        assert_eq!(Placement::Split.rings(4), 12);
        assert_eq!(
            (Placement::Fused.rings(1), Placement::Split.rings(1)),
            (0, 3)
        );
        for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
            assert_eq!(placement.lanes(0), placement.lanes(1));
            assert_eq!(placement.rings(0), placement.rings(1));
        }
    }

    #[test]
    fn auto_has_as_many_shards_as_there_are_cores_for() {
        let all: Vec<usize> = (0..10).collect();
        for (allowed, shards) in [(1, 1), (2, 1), (4, 1), (5, 2), (6, 3), (7, 4), (10, 4)] {
            let some = cores(&all[..allowed], &[], Some(0));
            let plan = sharded(&Placement::Auto, 4, &some);
            assert_eq!(plan.shards, shards, "{allowed} cores");
            let text = plan.to_string();
            assert!(allowed == 1 || !text.contains("park"), "{text}");
        }
        // The cores of another handle's lanes are not for these.
        let mut busy = cores(&all[..7], &[], Some(0));
        busy.lanes = vec![5, 6];
        assert_eq!(sharded(&Placement::Auto, 4, &busy).shards, 2);
        let about = |shards| {
            let plan = sharded(&Placement::Auto, shards, &busy);
            plan.about(&Placement::Auto, shards)
        };
        assert_eq!(about(1), "auto");
        assert_eq!(about(2), "auto shards=2");
        assert_eq!(about(4), "auto shards=2(too few cores for 4)");
        // Who asks for a placement gets it.
        let two = cores(&[0, 1], &[], Some(0));
        assert_eq!(
            sharded(&Placement::Fused, 2, &two).to_string(),
            "ingest@1(park) factor..model#0@1(park) factor..model#1@1(park) egress@1(park)"
        );
        let few = Plan::new(&Placement::Auto, 2, Some(&[1]), Idle::Auto, &two).unwrap_err();
        assert!(few.contains("1 given for 4 lanes"), "{few}");
    }

    #[test]
    fn shards_that_cannot_be_are_refused_by_name() {
        use Stage::{Egress, Factor, Ingest, Model};
        let two = cores(&[0, 1], &[], Some(0));
        let refusal = |placement: Placement, shards| {
            Plan::new(&placement, shards, None, Idle::Auto, &two).unwrap_err()
        };
        for shards in [0, 17, usize::MAX] {
            let why = refusal(Placement::Fused, shards);
            assert!(why.contains("expected 1 to 16"), "{why}");
        }
        let why = refusal(Placement::Inline, 2);
        assert!(why.starts_with("shards: 2 with placement inline"), "{why}");
        for lanes in [
            vec![vec![Ingest, Factor], vec![Model], vec![Egress]],
            vec![vec![Ingest], vec![Factor, Model]],
            vec![vec![Ingest], vec![Factor, Model, Egress]],
            vec![
                vec![Ingest],
                vec![Factor],
                vec![Model],
                vec![Model],
                vec![Egress],
            ],
            vec![Stage::ALL.to_vec()],
            vec![],
        ] {
            let why = refusal(Placement::Lanes(lanes), 2);
            assert!(why.starts_with("shards: 2 with placement"), "{why}");
            assert!(why.contains("expected fused, split, auto"), "{why}");
        }
        let lanes = vec![vec![Ingest], vec![Model, Factor], vec![Egress]];
        assert!(refusal(Placement::Lanes(lanes), 2).contains("every stage once"));
    }

    #[test]
    fn wrong_placements_and_cores_are_refused_by_name() {
        let two = cores(&[0, 1], &[], Some(0));
        let refuse = |lanes: Vec<Vec<Stage>>| {
            Plan::new(&Placement::Lanes(lanes), 1, None, Idle::Auto, &two).unwrap_err()
        };
        assert!(refuse(vec![]).contains("every stage once"));
        assert!(refuse(vec![vec![Stage::Ingest, Stage::Factor]]).contains("every stage once"));
        assert!(
            refuse(vec![vec![Stage::Factor], vec![Stage::Ingest, Stage::Model]])
                .contains("factor | ingest+model")
        );
        assert!(refuse(vec![Stage::ALL.to_vec(), vec![]]).contains("at least one"));
        let chosen = |chosen: &[usize], placement| {
            Plan::new(&placement, 1, Some(chosen), Idle::Auto, &two).unwrap_err()
        };
        assert!(chosen(&[5], Placement::Fused).contains("core 5"));
        assert!(chosen(&[1], Placement::Split).contains("4 lanes"));
    }
}
