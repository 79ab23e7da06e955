//! What is tried: the configuration as given, other placements, then variants of the best of them.
//! The library's own plan says which of them make sense on this machine.

use serde_json::{Map, Value, json};
use signal::Config;
use signal::config::{Deliver, Warm};
use signal::os::cores::Cores;
use signal::pipeline::idle::Idle;
use signal::pipeline::plan::Plan;

use super::host::Calls;
use crate::config::plan;

/// Ring sizes that are tried where the configured ones are larger: all of a ring then stays in the
/// caches.
const SMALL_RING: usize = 512;
/// Most pairs of a host's core and a lane's that are tried.
const MOST_PAIRS: usize = 3;

/// One configuration to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The keys that differ from the configuration as given.
    pub set: Map<String, Value>,
    /// The core of the host's thread, if the candidate is about that.
    pub host_core: Option<usize>,
    /// The whole configuration.
    pub config: Config,
    /// What it means on this machine.
    pub plan: Plan,
}

impl Candidate {
    /// What differs, in one phrase.
    pub fn name(&self) -> String {
        let mut parts = Vec::new();
        let mut add = |key: &str, value: &Value| {
            parts.push(format!("{key} {}", plain(value)));
        };
        for (key, value) in &self.set {
            match value.as_object() {
                // All rings are set to one size.
                Some(inner) => inner.iter().take(1).for_each(|(_, value)| add(key, value)),
                None => add(key, value),
            }
        }
        if let Some(core) = self.host_core {
            parts.push(format!("host on {core}"));
        }
        match parts.is_empty() {
            true => "as given".to_owned(),
            false => parts.join(", "),
        }
    }

    /// The number of keys that one would change for it, and the host's core.
    pub fn changes(&self) -> usize {
        let keys = self
            .set
            .values()
            .map(|value| value.as_object().map_or(1, Map::len));
        keys.sum::<usize>() + usize::from(self.host_core.is_some())
    }

    /// What runs the stages, in a word or two.
    pub fn lanes(&self) -> String {
        let lanes = &self.plan.lanes;
        match lanes.first().map(|lane| lane.idle) {
            None => "inline".to_owned(),
            Some(Idle::Spin) => format!("{} spin", lanes.len()),
            Some(Idle::Yield) => format!("{} yield", lanes.len()),
            Some(_) => format!("{} park", lanes.len()),
        }
    }

    /// Whether signals come from `signal_on_data` too.
    pub fn delivers(&self) -> bool {
        self.config.deliver == Deliver::OnData
    }

    /// Whether each lane has a core to itself, or there is none.
    fn is_at_ease(&self) -> bool {
        let lanes = &self.plan.lanes;
        lanes.iter().all(|lane| lane.idle == Idle::Spin)
    }
}

/// Candidates of one round, and why others are left out.
#[derive(Debug, Default)]
pub struct Round {
    /// In the order of preference where they are equal.
    pub tried: Vec<Candidate>,
    /// One phrase each.
    pub left_out: Vec<String>,
}

/// What candidates are made from.
pub struct Maker<'a> {
    /// The configuration as given, but for what the measurement itself replaces.
    pub given: &'a Config,
    /// The machine, before any lane runs.
    pub cores: &'a Cores,
    /// The host.
    pub calls: Calls,
}

impl Maker<'_> {
    /// The configuration as given, other ways of delivery, other placements.
    ///
    /// # Errors
    ///
    /// Why the configuration as given cannot run here.
    pub fn placements(&self) -> Result<Round, String> {
        let mut round = Round::default();
        round.tried.push(self.make(Map::new(), None)?);
        let deliver = match self.calls {
            Calls::Godzilla => "on_data",
            Calls::Spin => "poll",
        };
        if self.calls == Calls::Godzilla && self.given.deliver == Deliver::OnData {
            round.left_out.push(
                "deliver poll: Godzilla polls once per Depth, so each signal would come a Depth later"
                    .to_owned(),
            );
        }
        if self.calls == Calls::Spin && self.given.deliver == Deliver::Poll {
            self.add(&mut round, json!({"deliver": "on_data"}));
        }
        self.add(&mut round, json!({"deliver": deliver}));
        let two = json!([["ingest", "factor"], ["model", "egress"]]);
        for placement in [json!("inline"), json!("fused"), two, json!("split")] {
            let mut set = json!({"deliver": deliver, "placement": placement});
            let one_shard = placement == "inline" || placement.is_array();
            if one_shard && self.given.shards > 1 {
                set["shards"] = json!(1);
            }
            self.add(&mut round, set);
        }
        Ok(round)
    }

    /// The winner of the first round, and what could be changed of it. `siblings` names the
    /// hardware threads of a core's physical core.
    pub fn variants(&self, winner: &Candidate, siblings: impl Fn(usize) -> Vec<usize>) -> Round {
        let mut round = Round::default();
        round.tried.push(winner.clone());
        let (config, plan) = (&winner.config, &winner.plan);
        let keeps_warm = match plan.is_inline() {
            // Godzilla makes no call in which its thread could do it.
            true => self.calls == Calls::Spin,
            false => winner.is_at_ease(),
        };
        if keeps_warm {
            for warm in [json!("auto"), json!("off"), json!(30)] {
                let is_so = warm == json!(config.warm)
                    || (warm == json!("auto") && config.warm.interval() == Warm::Auto.interval());
                if !is_so {
                    self.add_to(&mut round, winner, json!({"warm": warm}), None);
                }
            }
        }
        if winner.delivers() && !plan.is_inline() && winner.is_at_ease() {
            for budget in [json!(20), json!("auto"), json!(200)] {
                if budget != json!(config.deliver_budget_us) {
                    let set = json!({"deliver_budget_us": budget});
                    self.add_to(&mut round, winner, set, None);
                }
            }
        }
        let sizes = [
            ("ingest", config.rings.ingest),
            ("stage", config.rings.stage),
            ("egress", config.rings.egress),
        ];
        let large = sizes.iter().filter(|(_, size)| *size > SMALL_RING);
        let rings: Map<_, _> = large
            .map(|(key, _)| ((*key).to_owned(), json!(SMALL_RING)))
            .collect();
        if !rings.is_empty() {
            self.add_to(&mut round, winner, json!({"rings": rings}), None);
        }
        if let ([lane], None) = (&plan.lanes[..], &self.given.cores)
            && let Some(core) = lane.core.filter(|_| winner.is_at_ease())
        {
            for (host, lane) in pairs(self.cores, core, siblings) {
                self.add_to(&mut round, winner, json!({"cores": [lane]}), host);
            }
        }
        round
    }

    fn add(&self, round: &mut Round, set: Value) {
        let winner = round.tried[0].clone();
        self.add_to(round, &winner, set, None);
    }

    /// Adds `before` with further keys, unless it is there, or makes no sense here.
    fn add_to(&self, round: &mut Round, before: &Candidate, set: Value, host: Option<usize>) {
        let mut keys = before.set.clone();
        merge(&mut keys, set);
        let given = json!(self.given);
        keys.retain(|key, value| given[key.as_str()] != *value);
        let made = match self.make(keys.clone(), host) {
            Ok(made) => made,
            Err(why) => {
                let what = Value::Object(keys);
                return round.left_out.push(format!("{what}: {why}"));
            }
        };
        let is_there = |other: &Candidate| {
            let placed_alike = Config {
                placement: other.config.placement.clone(),
                ..made.config.clone()
            };
            other.host_core == host
                && other.config == placed_alike
                && other.plan.lanes == made.plan.lanes
        };
        if round.tried.iter().any(is_there) {
            return;
        }
        if !made.is_at_ease() {
            let why = match made.plan.notes.is_empty() {
                true => "its lanes would have no cores of their own".to_owned(),
                false => made.plan.notes.join("; "),
            };
            return round.left_out.push(format!("{}: {why}", made.name()));
        }
        round.tried.push(made);
    }

    /// # Errors
    ///
    /// What is wrong with the configuration.
    fn make(&self, set: Map<String, Value>, host_core: Option<usize>) -> Result<Candidate, String> {
        let mut whole = json!(self.given);
        if let Some(whole) = whole.as_object_mut() {
            merge(whole, Value::Object(set.clone()));
        }
        let config = Config::from_json(&whole.to_string()).map_err(|why| why.to_string())?;
        let mut cores = self.cores.clone();
        if let Some(host) = host_core {
            (cores.host, cores.host_is_pinned) = (Some(host), true);
        }
        let plan = plan(config.wanted(), &cores).map_err(|why| why.to_string())?;
        Ok(Candidate {
            set,
            host_core,
            config,
            plan,
        })
    }
}

/// A value as a name shows it: lists as `ingest,factor / model`.
fn plain(value: &Value) -> String {
    let Some(list) = value.as_array() else {
        return value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
    };
    let between = match list.first() {
        Some(Value::Array(_)) => " / ",
        _ => ",",
    };
    list.iter().map(plain).collect::<Vec<_>>().join(between)
}

/// Puts the keys of `from` over those of `into`, objects key by key.
pub fn merge(into: &mut Map<String, Value>, from: Value) {
    let Value::Object(from) = from else {
        return;
    };
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), value @ Value::Object(_)) => merge(inner, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Pairs of cores for the host and its lane, other than what the library would choose: `lane`. The
/// host's is `None` where it is pinned already.
fn pairs(
    cores: &Cores,
    lane: usize,
    siblings: impl Fn(usize) -> Vec<usize>,
) -> Vec<(Option<usize>, usize)> {
    let is_free = |core: &usize| {
        !cores.lanes.contains(core) && !cores.others.iter().any(|claim| claim.core == *core)
    };
    let free: Vec<usize> = cores.allowed.iter().copied().filter(is_free).collect();
    // A core of the same physical one first, then the nearest number, then the farthest.
    let around = |core: usize| {
        let others = free.iter().copied().filter(move |other| *other != core);
        let mut others: Vec<usize> = others.collect();
        let same = siblings(core);
        others.sort_by_key(|other| (!same.contains(other), other.abs_diff(core)));
        let farthest = others.pop();
        let near = others.into_iter().take(MOST_PAIRS - 1);
        near.chain(farthest).collect::<Vec<_>>()
    };
    match cores.host.filter(|_| cores.host_is_pinned) {
        Some(host) => {
            let lanes = around(host).into_iter().filter(|core| *core != lane);
            lanes.map(|lane| (None, lane)).collect()
        }
        None if free.len() == 2 => vec![(Some(free[0]), free[1]), (Some(free[1]), free[0])],
        None => {
            let hosts = around(lane).into_iter();
            hosts.map(|host| (Some(host), lane)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
