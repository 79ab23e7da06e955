//! The header, a table a size, who is fastest, the JSON.

use serde_json::{Value, json};
use signal_bench::bench::Bench;
use signal_bench::series::{Figures, median};

use crate::Args;
use crate::contenders::{Entry, SLOTS};

/// A contender's figures, one a repetition.
pub struct Contender {
    pub entry: Entry,
    /// There and back.
    pub latency: Vec<Figures>,
    /// Million messages a second.
    pub rates: Vec<f64>,
}

/// Messages of one size.
pub struct Size {
    pub bytes: usize,
    /// The line round trip, one a repetition.
    pub line: Vec<Figures>,
    pub contenders: Vec<Contender>,
}

/// One size, measured once.
pub struct Repetition {
    pub line: Figures,
    /// There and back, and million messages a second, in the contenders' order.
    pub contenders: Vec<(Figures, f64)>,
}

/// Ours beside the best peer.
struct Verdict {
    ours: &'static str,
    peer: &'static str,
    /// Of each repetition ours divided by the peer, median.
    ratio: f64,
    /// The least and the greatest of these.
    range: (f64, f64),
}

impl Verdict {
    /// In words. A difference that not even all repetitions agree on is none.
    fn words(&self, less_is_better: bool) -> &'static str {
        let (low, high) = self.range;
        match (low > 1.0, high < 1.0, less_is_better) {
            (false, false, _) => "no difference that every repetition shows",
            (_, true, true) | (true, _, false) => "ours is faster",
            _ => "the peer is faster",
        }
    }
}

impl Size {
    /// Of `W` words.
    pub fn new<const W: usize>(entries: Vec<Entry>) -> Self {
        let contender = |entry| Contender {
            entry,
            latency: Vec::new(),
            rates: Vec::new(),
        };
        Self {
            bytes: W * 8,
            line: Vec::new(),
            contenders: entries.into_iter().map(contender).collect(),
        }
    }

    /// Takes in what was measured.
    pub fn take(&mut self, repetitions: &[Repetition]) {
        for repetition in repetitions {
            self.line.push(repetition.line);
            for (contender, (latency, rate)) in
                self.contenders.iter_mut().zip(&repetition.contenders)
            {
                contender.latency.push(*latency);
                contender.rates.push(*rate);
            }
        }
    }

    /// Prints the table, the fastest first in neither column: the order is the list's.
    pub fn print(&self) {
        println!(
            "{:<24} {:>9}  {:>15} {:>6} {:>6} {:>7} {:>9} {:>8}  {:>9}  {:>15}",
            format!("{} B, there and back", self.bytes),
            "median ns",
            "min .. max",
            "x line",
            "p99",
            "p99.9",
            "max",
            "count",
            "M msg/s",
            "min .. max"
        );
        self.row("line, no message", &self.line, &[]);
        for contender in &self.contenders {
            self.row(contender.entry.name, &contender.latency, &contender.rates);
        }
        println!();
    }

    fn row(&self, name: &str, figures: &[Figures], rates: &[f64]) {
        let (p50, range) = middle(figures.iter().map(|figures| figures.p50), 1);
        let tail = |read: fn(&Figures) -> Option<f64>| {
            let mut values: Vec<f64> = figures.iter().filter_map(read).collect();
            format!("{:.0}", median(&mut values))
        };
        let most = figures.iter().filter_map(|figures| figures.max);
        let (rate, rates_range) = match rates {
            [] => ("-".to_owned(), String::new()),
            rates => middle(rates.iter().copied(), 1),
        };
        println!(
            "{name:<24} {p50:>9}  {range:>15} {:>6.2} {:>6} {:>7} {:>9.0} {:>8}  {rate:>9}  {rates_range:>15}",
            self.to_line(figures),
            tail(|figures| figures.p99),
            tail(|figures| figures.p999),
            most.fold(0.0, f64::max),
            figures.iter().map(|figures| figures.count).sum::<u64>(),
        );
    }

    /// The median of each repetition's ratio to the line.
    fn to_line(&self, figures: &[Figures]) -> f64 {
        let ratios = figures.iter().zip(&self.line);
        median(
            &mut ratios
                .map(|(row, line)| row.p50 / line.p50)
                .collect::<Vec<_>>(),
        )
    }

    fn latency(&self) -> Option<Verdict> {
        self.verdict(
            |contender| contender.latency.iter().map(|row| row.p50).collect(),
            false,
        )
    }

    fn throughput(&self) -> Option<Verdict> {
        self.verdict(|contender| contender.rates.clone(), true)
    }

    /// The best of ours beside the best peer; more is better or less is.
    fn verdict(&self, values: impl Fn(&Contender) -> Vec<f64>, more: bool) -> Option<Verdict> {
        let best = |ours: bool| {
            let key = |contender: &&Contender| {
                let middle = median(&mut values(contender));
                if more { -middle } else { middle }
            };
            let all = self.contenders.iter().filter(|c| c.entry.ours == ours);
            all.min_by(|a, b| key(a).total_cmp(&key(b)))
        };
        let (ours, peer) = (best(true)?, best(false)?);
        let pairs = values(ours).into_iter().zip(values(peer));
        let mut ratios: Vec<f64> = pairs.map(|(ours, peer)| ours / peer).collect();
        Some(Verdict {
            ours: ours.entry.name,
            peer: peer.entry.name,
            ratio: median(&mut ratios),
            range: (*ratios.first()?, *ratios.last()?),
        })
    }

    fn to_json(&self, bench: &Bench) -> Value {
        let verdict = |verdict: Option<Verdict>| {
            verdict.map(|verdict| {
                json!({ "ours": verdict.ours, "best_peer": verdict.peer, "ours_to_peer": verdict.ratio, "min": verdict.range.0, "max": verdict.range.1 })
            })
        };
        let rows = |figures: &[Figures]| -> Vec<Value> {
            figures.iter().map(|figures| figures.to_json()).collect()
        };
        let contenders = self.contenders.iter().map(|contender| {
            json!({
                "name": contender.entry.name,
                "how": contender.entry.how,
                "ours": contender.entry.ours,
                "median_ratio_to_line": bench.compared(|| self.to_line(&contender.latency).into()),
                "there_and_back": rows(&contender.latency),
                "million_messages_per_s": contender.rates,
            })
        });
        json!({
            "bytes": self.bytes,
            "line": rows(&self.line),
            "contenders": contenders.collect::<Vec<_>>(),
            "latency": bench.compared(|| verdict(self.latency()).into()),
            "throughput": bench.compared(|| verdict(self.throughput()).into()),
        })
    }
}

/// The median and the range, as texts.
fn middle(values: impl Iterator<Item = f64>, digits: usize) -> (String, String) {
    let mut values: Vec<f64> = values.collect();
    let middle = median(&mut values);
    match (values.first(), values.last()) {
        (Some(low), Some(high)) => (
            format!("{middle:.digits$}"),
            format!("{low:.digits$} .. {high:.digits$}"),
        ),
        _ => ("-".to_owned(), String::new()),
    }
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, size: &Size) {
    let (host, lane) = (bench.cores.host, bench.lane());
    let lines = [
        (
            "latency",
            format!(
                "stamp before the send to stamp after the answer was checked, both on core {host};\n\
                 core {lane} sends each message on through a second ring of the same kind; one message\n\
                 under way; includes one clock read, nothing is subtracted"
            ),
        ),
        (
            "throughput",
            format!(
                "one way, core {host} to core {lane}: stamp before the first send to stamp after the\n\
                 receiver has said that it checked the last; a full ring is tried again at once"
            ),
        ),
        (
            "checked",
            "on arrival: the number, in the first and last word of every line of the message".to_owned(),
        ),
        (
            "line",
            "one cache line there and back with plain atomics, half before and half after the others\n\
             in each repetition and size: the ratio's divisor".to_owned(),
        ),
        (
            "run",
            format!(
                "{} repetitions, each {} trips and {} messages a contender and size; {SLOTS} slots;\n\
                 no pause hints; who is first changes each repetition",
                args.repetitions(),
                args.iterations(),
                args.messages()
            ),
        ),
    ];
    bench.header("what one hop between two cores costs", &lines);
    for contender in &size.contenders {
        println!("  {:<19} {}", contender.entry.name, contender.entry.how);
    }
    println!();
}

/// Prints who is fastest, and ours beside the best peer.
pub fn verdicts(sizes: &[Size]) {
    for (what, less_is_better) in [("there and back", true), ("throughput", false)] {
        println!(
            "\n{what}, ours / best peer ({} is better):",
            if less_is_better { "less" } else { "more" }
        );
        for size in sizes {
            let verdict = if less_is_better {
                size.latency()
            } else {
                size.throughput()
            };
            let Some(verdict) = verdict else {
                println!("  {:>4} B  no peer was measured", size.bytes);
                continue;
            };
            let (low, high) = verdict.range;
            println!(
                "  {:>4} B  {} / {} = {:.3} ({low:.3} .. {high:.3}): {}",
                size.bytes,
                verdict.ours,
                verdict.peer,
                verdict.ratio,
                verdict.words(less_is_better)
            );
        }
    }
}

/// Everything, for other programs.
pub fn to_json(args: &Args, bench: &Bench, sizes: &[Size]) -> Value {
    json!({
        "repetitions": args.repetitions(),
        "iterations": args.iterations(),
        "messages": args.messages(),
        "slots": SLOTS,
        "sizes": sizes.iter().map(|size| size.to_json(bench)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::all;

    fn figures(p50: f64) -> Figures {
        Figures {
            p50,
            p99: Some(p50),
            p999: Some(p50),
            max: Some(p50),
            count: 1,
        }
    }

    #[test]
    fn the_best_peer_is_told_from_ours() {
        let mut size = Size::new::<8>(all::<8>());
        let at = |name: &str, size: &Size| {
            size.contenders
                .iter()
                .position(|c| c.entry.name == name)
                .unwrap()
        };
        size.line = vec![figures(100.0), figures(200.0), figures(100.0)];
        for contender in &mut size.contenders {
            contender.latency = vec![figures(900.0), figures(1800.0), figures(900.0)];
            contender.rates = vec![1.0; 3];
        }
        let (ours, rtrb) = (at("ours, in place", &size), at("rtrb, copied out", &size));
        size.contenders[ours].latency = vec![figures(120.0), figures(260.0), figures(90.0)];
        size.contenders[rtrb].latency = vec![figures(100.0), figures(200.0), figures(100.0)];
        let copied = at("ours, copied out", &size);
        size.contenders[copied].rates = vec![30.0, 20.0, 10.0];
        let disruptor = at("disruptor", &size);
        size.contenders[disruptor].rates = vec![10.0, 10.0, 40.0];

        let latency = size.latency().unwrap();
        assert_eq!(
            (latency.ours, latency.peer),
            ("ours, in place", "rtrb, copied out")
        );
        assert!((latency.ratio - 1.2).abs() < 1e-12);
        assert_eq!(latency.range, (0.9, 1.3));
        assert!(latency.words(true).starts_with("no difference"));
        let throughput = size.throughput().unwrap();
        assert_eq!(
            (throughput.ours, throughput.peer),
            ("ours, copied out", "disruptor")
        );
        assert!((throughput.ratio - 2.0).abs() < 1e-12);
        for (range, less, more) in [
            ((0.8, 0.9), "ours is faster", "the peer is faster"),
            ((1.1, 1.2), "the peer is faster", "ours is faster"),
        ] {
            let verdict = Verdict {
                range,
                ..size.latency().unwrap()
            };
            assert_eq!((verdict.words(true), verdict.words(false)), (less, more));
        }
        assert!((size.to_line(&size.contenders[ours].latency) - 1.2).abs() < 1e-12);
    }

    #[test]
    fn without_peers_there_is_no_verdict() {
        let only_ours = all::<8>().into_iter().filter(|entry| entry.ours).collect();
        assert!(Size::new::<8>(only_ours).latency().is_none());
    }
}
