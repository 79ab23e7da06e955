//! The figures in the OpenMetrics text format, for Prometheus.

use std::collections::BTreeSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::distribution::Distribution;
use super::document::Document;
use super::run::Run;
use crate::failure::{Failure, Result};

/// Buckets end below powers of two from 16 ns to 69 s: places of the library's histograms end
/// there, so the counts are exact.
const BUCKETS: std::ops::RangeInclusive<u32> = 4..=36;
/// Counters that can fall.
const GAUGES: [&str; 2] = ["held", "report_ended"];

/// The text.
pub fn text(runs: &[Run], document: &Document) -> Result<String> {
    let mut registry = Registry::default();
    let figures = Metrics {
        hops: runs
            .iter()
            .flat_map(|run| {
                run.hops.iter().map(|times| {
                    let labels = Labels(vec![
                        ("run", run.label.clone()),
                        ("hop", times.hop.name().to_owned()),
                    ]);
                    (
                        labels,
                        HopMetric::new(Distribution::new(&times.total), times.total.mean()),
                    )
                })
            })
            .collect(),
        quantiles: document
            .runs
            .iter()
            .flat_map(|run| run.figures.iter().map(move |figures| (run, figures)))
            .flat_map(|(run, figures)| {
                let told = figures.percentiles.iter().zip(document.percentiles());
                let told = told.filter(|(percentile, _)| percentile.told);
                told.map(|(percentile, (_, quantile))| {
                    let labels = Labels(vec![
                        ("run", run.label.clone()),
                        ("hop", figures.hop.to_owned()),
                        ("quantile", quantile.to_string()),
                    ]);
                    (labels, percentile.ns as f64 / 1e9)
                })
            })
            .collect(),
        counters: document
            .runs
            .iter()
            .flat_map(|run| {
                let counters = run.counters.iter();
                counters.map(|(name, count)| {
                    (
                        name.clone(),
                        Labels(vec![("run", run.label.clone())]),
                        *count,
                    )
                })
            })
            .collect(),
    };
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|error| Failure::said(format!("cannot make OpenMetrics: {error}")))?;
    Ok(text)
}

#[derive(Debug)]
struct Metrics {
    hops: Vec<(Labels, HopMetric)>,
    quantiles: Vec<(Labels, f64)>,
    counters: Vec<(String, Labels, u64)>,
}

/// Labels by name.
#[derive(Clone, Debug)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        let mut each = self.0.iter();
        each.try_for_each(|(name, value)| (*name, value.as_str()).encode(encoder.encode_label()))
    }
}

/// A hop as a histogram of seconds.
#[derive(Debug)]
struct HopMetric {
    sum_s: f64,
    count: u64,
    /// Upper end, s, and the count in each.
    buckets: Vec<(f64, u64)>,
}

impl HopMetric {
    fn new(all: Distribution, mean_ns: f64) -> Self {
        let count = all.count();
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        let mut each = all.iter().peekable();
        for power in BUCKETS {
            let end = (1 << power) - 1;
            let mut within = 0;
            while let Some((_, more)) = each.next_if(|(value, _)| *value <= end) {
                within += more;
            }
            buckets.push((end as f64 / 1e9, within));
        }
        buckets.push((f64::MAX, each.map(|(_, more)| more).sum()));
        Self {
            sum_s: mean_ns * count as f64 / 1e9,
            count,
            buckets,
        }
    }
}

impl HopMetric {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.sum_s, self.count, &self.buckets, None)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let seconds = Some(&Unit::Seconds);
        let mut hops = encoder.encode_descriptor(
            "signal_hop_latency",
            "Latency of each hop over the run",
            seconds,
            MetricType::Histogram,
        )?;
        for (labels, metric) in &self.hops {
            metric.encode(hops.encode_family(labels)?)?;
        }
        let mut quantiles = encoder.encode_descriptor(
            "signal_hop_latency_quantile",
            "Percentiles of each hop over the run, exact to 1 %",
            seconds,
            MetricType::Gauge,
        )?;
        for (labels, value) in &self.quantiles {
            quantiles.encode_family(labels)?.encode_gauge(value)?;
        }
        let names: BTreeSet<_> = self.counters.iter().map(|(name, ..)| name).collect();
        for name in names {
            let falls = GAUGES.contains(&name.as_str());
            let kind = if falls {
                MetricType::Gauge
            } else {
                MetricType::Counter
            };
            let full = format!("signal_{name}");
            let help = format!("{name} of signal_stats_t");
            let mut family = encoder.encode_descriptor(&full, &help, None, kind)?;
            for (_, labels, count) in self.counters.iter().filter(|(of, ..)| of == name) {
                let mut one = family.encode_family(labels)?;
                match falls {
                    true => one.encode_gauge(&(*count as f64))?,
                    false => one.encode_counter::<NoLabelSet, _, u64>(count, None)?,
                }
            }
        }
        Ok(())
    }
}
