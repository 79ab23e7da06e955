//! Placement: which stages share a lane, and on which core each lane runs.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::cores::Cores;
use super::idle::Idle;

/// A stage, in the order of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
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
    /// One lane for all stages.
    Fused,
    /// One lane a stage.
    Split,
    /// Lanes as listed: each stage once, in the order of the path. Egress may
    /// be left out and then runs on the last lane. The model stage may have
    /// several lanes to itself, which share out the models; egress then has a
    /// lane of its own.
    Lanes(Vec<Vec<Stage>>),
}

impl Placement {
    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        match self {
            Placement::Inline => 0,
            Placement::Auto | Placement::Fused => 1,
            Placement::Split => Stage::ALL.len(),
            Placement::Lanes(lanes) => lanes.len(),
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
            if let Some(share) = self.share {
                write!(f, "#{share}")?;
            }
        } else {
            write!(f, "{}..{}", first.name(), last.name())?;
        }
        let idle = match self.idle {
            Idle::Spin => "spin",
            Idle::Yield => "yield",
            Idle::Park | Idle::Auto => "park",
        };
        write!(f, "@{}({idle})", self.core)
    }
}

/// Lanes with their cores. No lanes means `inline`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the path.
    pub lanes: Vec<LanePlan>,
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
    /// # Errors
    ///
    /// A sentence that names the field, what it holds and what was expected.
    pub fn new(
        placement: &Placement,
        chosen: Option<&[usize]>,
        idle: Idle,
        cores: &Cores,
    ) -> Result<Self, String> {
        let stages = lanes_of(placement)?;
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
            .map(|(stages, core)| {
                let shares_models = several && stages == (Stage::Model..=Stage::Model);
                LanePlan {
                    share: shares_models.then(|| shares.next()).flatten(),
                    stages,
                    core,
                    idle,
                }
            })
            .collect();
        Ok(Self { lanes })
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

fn lanes_of(placement: &Placement) -> Result<Vec<RangeInclusive<Stage>>, String> {
    match placement {
        Placement::Inline => Ok(Vec::new()),
        Placement::Auto | Placement::Fused => Ok(vec![Stage::Ingest..=Stage::Egress]),
        Placement::Split => Ok(Stage::ALL.iter().map(|&stage| stage..=stage).collect()),
        Placement::Lanes(lanes) => explicit(lanes),
    }
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
        Plan::new(placement, None, Idle::Auto, cores)
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
            Plan::new(&Placement::Fused, Some(&[0]), Idle::Auto, cores)
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
            let refused = Plan::new(&wrong, None, Idle::Auto, &eight).unwrap_err();
            assert!(refused.contains("several lanes of model"), "{refused}");
        }
    }

    #[test]
    fn wrong_placements_and_cores_are_refused_by_name() {
        let two = cores(&[0, 1], &[], Some(0));
        let refuse = |lanes: Vec<Vec<Stage>>| {
            Plan::new(&Placement::Lanes(lanes), None, Idle::Auto, &two).unwrap_err()
        };
        assert!(refuse(vec![]).contains("every stage once"));
        assert!(refuse(vec![vec![Stage::Ingest, Stage::Factor]]).contains("every stage once"));
        assert!(
            refuse(vec![vec![Stage::Factor], vec![Stage::Ingest, Stage::Model]])
                .contains("factor | ingest+model")
        );
        assert!(refuse(vec![Stage::ALL.to_vec(), vec![]]).contains("at least one"));
        let chosen = |chosen: &[usize], placement| {
            Plan::new(&placement, Some(chosen), Idle::Auto, &two).unwrap_err()
        };
        assert!(chosen(&[5], Placement::Fused).contains("core 5"));
        assert!(chosen(&[1], Placement::Split).contains("4 lanes"));
    }
}
