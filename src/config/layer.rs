//! One source's keys: the file, or the string given to `signal_create`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::forms::{
    CoreNumber, FactorsEntry, ModelEntry, Object, OneOrMany, PlacementKey, RingSize, limit, place,
};
use super::scheduler::Nice;
use super::symbols::SymbolsLayer;
use super::{Config, Deliver, DeliverBudget, MAX_INSTRUMENTS, mistakes};
use crate::abi::EventKind;
use crate::error::{Error, content::legible, json::is_nested_deeper};
use crate::factors::Ranged;
use crate::os::threads::Scheduler;
use crate::pipeline::idle::Idle;
use crate::pipeline::overload::{EgressOverload, IngestOverload, StageOverload};
use crate::pipeline::rehearsal::Warm;
use crate::stages::{Callback, Shards};

/// One source's keys; an absent key leaves the configuration as it was.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    factors: Option<OneOrMany<FactorsEntry>>,
    #[serde(alias = "model")]
    models: Option<OneOrMany<ModelEntry>>,
    callback: Option<Callback>,
    trigger: Option<OneOrMany<EventKind>>,
    assets: Option<OneOrMany<String>>,
    symbols: Option<SymbolsLayer>,
    disabled_factors: Option<OneOrMany<String>>,
    disabled_models: Option<OneOrMany<String>>,
    deliver: Option<Deliver>,
    deliver_budget_us: Option<DeliverBudget>,
    stand_in_us: Option<Ranged<0, 10_000>>,
    max_age_us: Option<Ranged<1, 60_000_000>>,
    placement: Option<PlacementKey>,
    shards: Option<Ranged<1, { Shards::MAX as u64 }>>,
    cores: Option<Vec<CoreNumber>>,
    idle: Option<Idle>,
    warm: Option<Warm>,
    #[serde(alias = "policy")]
    scheduler: Option<Scheduler>,
    nice: Option<Nice>,
    slice_us: Option<Ranged<100, 100_000>>,
    rings: Option<Object<RingsLayer>>,
    overload: Option<Object<OverloadLayer>>,
    instruments: Option<Object<InstrumentsLayer>>,
    limits: Option<Object<LimitsLayer>>,
    timing: Option<bool>,
    timing_metadata: Option<bool>,
    health: Option<Object<HealthLayer>>,
    latency: Option<Object<LatencyLayer>>,
    capture: Option<Object<CaptureLayer>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingsLayer {
    ingest: Option<RingSize>,
    stage: Option<RingSize>,
    egress: Option<RingSize>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverloadLayer {
    ingest: Option<IngestOverload>,
    stage: Option<StageOverload>,
    egress: Option<EgressOverload>,
    block_ms: Option<Ranged<1, 60_000>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthLayer {
    stall_us: Option<Ranged<10, 60_000_000>>,
    silent_events: Option<Ranged<1, 1_000_000_000>>,
    refused_percent: Option<Ranged<1, 100>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstrumentsLayer {
    max: Option<Ranged<1, { MAX_INSTRUMENTS as u64 }>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsLayer {
    #[serde(default, deserialize_with = "limit")]
    max_price: Option<f64>,
    #[serde(default, deserialize_with = "limit")]
    max_size: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyLayer {
    #[serde(default, deserialize_with = "place")]
    dir: Option<PathBuf>,
    interval_ms: Option<Ranged<10, 3_600_000>>,
    work_every: Option<Ranged<1, 1_000_000>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptureLayer {
    #[serde(default, deserialize_with = "place")]
    file: Option<PathBuf>,
    buffer: Option<RingSize>,
}

impl Layer {
    /// The keys that are present, of those that errors of an engine name.
    pub(super) fn named(&self) -> Vec<&'static str> {
        let has_dir = |latency: &Object<LatencyLayer>| latency.dir.is_some();
        let has_file = |capture: &Object<CaptureLayer>| capture.file.is_some();
        let all = [
            ("cores", self.cores.is_some()),
            ("disabled_factors", self.disabled_factors.is_some()),
            ("disabled_models", self.disabled_models.is_some()),
            ("factors", self.factors.is_some()),
            ("models", self.models.is_some()),
            ("nice", self.nice.is_some()),
            ("placement", self.placement.is_some()),
            ("scheduler", self.scheduler.is_some()),
            ("shards", self.shards.is_some()),
            ("slice_us", self.slice_us.is_some()),
            ("latency", self.latency.as_ref().is_some_and(has_dir)),
            ("capture", self.capture.as_ref().is_some_and(has_file)),
        ];
        let present = all.into_iter().filter(|(_, is_present)| *is_present);
        present.map(|(key, _)| key).collect()
    }

    /// Sets the keys that are present; relative paths are relative to `folder`.
    pub(super) fn apply(self, config: &mut Config, folder: &Path) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        fn all<T>(given: Option<OneOrMany<T>>) -> Option<Vec<T>> {
            given.map(|OneOrMany(all)| all)
        }
        set(&mut config.factors, all(self.factors));
        let models = all(self.models).map(|models| {
            let absolute = models.into_iter().map(|model| model.relative_to(folder));
            absolute.collect()
        });
        set(&mut config.models, models);
        set(&mut config.callback, self.callback);
        set(&mut config.trigger, all(self.trigger));
        set(&mut config.assets, all(self.assets));
        self.symbols.unwrap_or_default().apply(&mut config.symbols);
        set(&mut config.disabled_factors, all(self.disabled_factors));
        set(&mut config.disabled_models, all(self.disabled_models));
        set(&mut config.deliver, self.deliver);
        set(&mut config.deliver_budget_us, self.deliver_budget_us);
        set(&mut config.stand_in_us, self.stand_in_us.map(Ranged::get));
        if let Some(age) = self.max_age_us {
            config.max_age_us = Some(age.get());
        }
        set(
            &mut config.placement,
            self.placement.map(|PlacementKey(placement)| placement),
        );
        set(&mut config.shards, self.shards.map(Ranged::size));
        if let Some(cores) = self.cores {
            config.cores = Some(cores.into_iter().map(Ranged::size).collect());
        }
        set(&mut config.idle, self.idle);
        set(&mut config.warm, self.warm);
        set(&mut config.scheduler, self.scheduler);
        set(&mut config.nice, self.nice.map(|Nice(nice)| nice));
        if let Some(slice) = self.slice_us {
            config.slice_us = Some(slice.get() as u32);
        }
        set(&mut config.timing, self.timing);
        set(&mut config.timing_metadata, self.timing_metadata);
        let Object(rings) = self.rings.unwrap_or_default();
        set(&mut config.rings.ingest, rings.ingest.map(Ranged::size));
        set(&mut config.rings.stage, rings.stage.map(Ranged::size));
        set(&mut config.rings.egress, rings.egress.map(Ranged::size));
        let Object(overload) = self.overload.unwrap_or_default();
        set(&mut config.overload.ingest, overload.ingest);
        set(&mut config.overload.stage, overload.stage);
        set(&mut config.overload.egress, overload.egress);
        set(
            &mut config.overload.block_ms,
            overload.block_ms.map(Ranged::get),
        );
        let Object(health) = self.health.unwrap_or_default();
        set(
            &mut config.health.stall_us,
            health.stall_us.map(Ranged::get),
        );
        set(
            &mut config.health.silent_events,
            health.silent_events.map(Ranged::get),
        );
        set(
            &mut config.health.refused_percent,
            health.refused_percent.map(Ranged::get),
        );
        let Object(instruments) = self.instruments.unwrap_or_default();
        set(
            &mut config.instruments.max,
            instruments.max.map(Ranged::size),
        );
        let Object(limits) = self.limits.unwrap_or_default();
        set(&mut config.limits.max_price, limits.max_price);
        set(&mut config.limits.max_size, limits.max_size);
        let Object(latency) = self.latency.unwrap_or_default();
        set(
            &mut config.latency.interval_ms,
            latency.interval_ms.map(Ranged::get),
        );
        set(
            &mut config.latency.work_every,
            latency.work_every.map(|every| every.get() as u32),
        );
        if let Some(dir) = latency.dir {
            config.latency.dir = Some(folder.join(dir));
        }
        let Object(capture) = self.capture.unwrap_or_default();
        set(&mut config.capture.buffer, capture.buffer.map(Ranged::size));
        if let Some(file) = capture.file {
            config.capture.file = Some(folder.join(file));
        }
    }
}

/// Most objects and lists in each other. A factor set's parameters are read as values of any
/// form, which takes 1 KiB of the host's stack for each level.
const MOST_NESTED: usize = 6;

/// Reads JSON; an error names the source, the key's path, the line and what
/// was expected.
pub(super) fn parse<T: DeserializeOwned>(source: &str, json: &str) -> Result<T, Error> {
    if is_nested_deeper(json.as_bytes(), MOST_NESTED) {
        return Err(Error::Config(format!(
            "{source}: objects and lists are nested in each other more than {MOST_NESTED} deep; \
             expected at most {MOST_NESTED}"
        )));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| wrong(source, json, &error.path().to_string(), error.inner()))?;
    reader
        .end()
        .map_err(|error| wrong(source, json, ".", &error))?;
    Ok(value)
}

/// A call of its own, as what it needs of the stack is needed after reading alone.
#[cold]
#[inline(never)]
fn wrong(source: &str, json: &str, key: &str, error: &serde_json::Error) -> Error {
    let what = mistakes::explain(json, key, error);
    Error::Config(format!("{source}: {}", legible(&what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_refused_before_it_is_read() {
        let nested = |levels: usize| {
            let value = "[".repeat(levels) + &"]".repeat(levels);
            let text = format!(r#"{{"factors": [{{"set": "market", "window": {value}}}]}}"#);
            parse::<Object<Layer>>("a test", &text).map_err(|error| error.to_string())
        };
        assert!(nested(MOST_NESTED - 3).is_ok());
        let why = nested(MOST_NESTED - 2).unwrap_err();
        assert!(
            why.contains("a test: objects and lists are nested"),
            "{why}"
        );
        assert!(nested(100_000).is_err());
    }
}
