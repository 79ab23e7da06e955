//! The files of a report that are written when the engine ends, in memory that was
//! taken when it was made.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value};

use super::facts::Facts;
use super::hgrm::write_hgrm;
use super::latency::{HopSummary, Latency};
use super::monitor::Monitor;
use super::summary::Summary;
use crate::config;
use crate::os::files::{Folder, Obstacle};
use crate::telemetry::hops::{Hop, histogram};

/// Bytes that are written at once.
const TOGETHER: usize = 1 << 14;

/// One hop over the engine's life, and the name of its table's file.
struct Total {
    hop: Hop,
    histogram: Histogram<u64>,
    table: String,
}

pub(super) struct Totals {
    hops: Vec<Total>,
    fields: Map<String, Value>,
    room: Vec<u8>,
}

impl Totals {
    pub(super) fn new(facts: &Facts) -> Self {
        let hop = |&hop: &Hop| Total {
            hop,
            histogram: histogram(),
            table: config::Latency::table(hop),
        };
        Self {
            hops: Hop::ALL.iter().map(hop).collect(),
            fields: facts.fields(),
            room: Vec::with_capacity(TOGETHER),
        }
    }

    /// Takes over what there is, so that nobody waits for a disk with the lock.
    pub(super) fn take(&mut self, latency: &Latency) {
        for (hop, histogram) in latency.totals() {
            let total = &mut self.hops[*hop as usize].histogram;
            total.reset();
            total
                .add(histogram)
                .expect("all hop histograms have the same bounds");
        }
    }

    /// Writes the files. `started` is when the report began, since the epoch.
    pub(super) fn write(
        &mut self,
        folder: &Folder,
        monitor: &Monitor,
        started: Duration,
        seconds: f64,
    ) -> Result<(), Obstacle> {
        let Self { hops, fields, room } = self;
        let hops = hops.iter().filter(|total| !total.histogram.is_empty());
        let summary = Summary {
            started_unix_s: started.as_secs_f64(),
            seconds,
            hops: hops
                .clone()
                .map(|total| HopSummary::new(total.hop, &total.histogram)),
            monitor,
            facts: fields,
        };
        // First: where there is room for a few files only, it tells most.
        folder.replace(config::Latency::SUMMARY, room, |out| {
            serde_json::to_writer_pretty(&mut *out, &summary).map_err(io::Error::from)?;
            out.write_all(b"\n")
        })?;
        for total in hops {
            folder.replace(&total.table, room, |out| write_hgrm(out, &total.histogram))?;
        }
        Ok(())
    }
}
