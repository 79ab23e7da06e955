//! What is printed on standard output: plain aligned text.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use indicatif::HumanCount;
use serde_json::Value;

use crate::drive::{Outcome, Speed};
use crate::failure::{Failure, Result};
use crate::host::bindings::{Hop, LATENCY_BOUND_NS};
use crate::plugin::Library;
use crate::received::Received;
use crate::stream;

/// Prints one or more lines.
pub fn line(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stream::write(&mut stdout, &format!("{text}\n"));
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::Pipe,
        _ => Failure::said(format!("standard output: {error}")),
    })
}

/// Prints what is about to be played, and with which library.
pub fn header(
    title: &str,
    speed: &Speed,
    library: &Library,
    config: &Value,
    config_file: Option<&Path>,
) -> Result<()> {
    let (version, path) = (library.version(), library.path.display());
    let file = config_file.map(|file| format!(", then {}", file.display()));
    let file = file.unwrap_or_default();
    line(&format!(
        "{title}\n\
         speed     {speed}\n\
         library   {version}, {path}\n\
         config    {config}{file}\n"
    ))
}

/// Prints the counters and the last signal.
pub fn outcome(outcome: &Outcome, speed: Speed, received: &Received) -> Result<()> {
    let stats = &outcome.stats;
    let mut rows: Vec<(&str, u64)> = vec![
        ("depth events", stats.events_depth),
        ("trade events", stats.events_trade),
        ("ticker events", stats.events_ticker),
        ("index price events", stats.events_index_price),
        ("signals delivered", stats.delivered),
        ("  of these after the last event", outcome.last_polls),
        ("dropped", stats.dropped()),
        ("conflated", stats.conflated_egress),
    ];
    if outcome.extra_polls > 0 {
        rows.push(("polls beyond the host's, for room", outcome.extra_polls));
    }
    let shown = |name: &str| {
        name.starts_with("events_") || ["delivered", "conflated_egress"].contains(&name)
    };
    let others = stats.named();
    let others: Vec<_> = others
        .into_iter()
        .filter(|(name, value)| *value > 0 && !shown(name))
        .collect();
    let seconds = outcome.took.as_secs_f64();
    let events = outcome.played.events();
    // At another speed, the rate would be that of the feed.
    let rate = match speed {
        Speed::Max => format!(
            ", {} a second",
            number((events as f64 / seconds.max(1e-9)) as u64)
        ),
        _ => String::new(),
    };
    let mut text = format!(
        "{} events over {:.1} s, played in {seconds:.3} s{rate}\n\n{}\n\nother counters that are not zero\n{}\n",
        number(events),
        outcome.played.seconds(),
        table(&rows),
        table(&others),
    );
    if received.calls > 0 {
        text.push_str(&format!("\nlast signal  {}\n", describe(received)));
    }
    line(&text)
}

/// Prints the hop table; `beyond` is how many latencies are at the histograms' bound, `taken` what
/// had the cores meanwhile.
pub fn latency(
    hops: &[Hop],
    beyond: u64,
    (stamp_ns, speed): (f64, Speed),
    taken: Option<&str>,
) -> Result<()> {
    if hops.is_empty() {
        return line("latency: no hop was timed");
    }
    let mut text = hop_table(hops, beyond);
    if let Some(taken) = taken {
        text.push_str(&format!("{taken}\n"));
    }
    text.push_str(&format!("one clock stamp costs {stamp_ns:.1} ns\n"));
    text.push_str(match speed {
        Speed::Max => {
            "At speed max, events queue behind each other (--speed 1x keeps the recorded pace), and\n\
             tick_to_callback includes the wait for the host's next poll: the host polls only when \
             its\nnext Depth arrives."
        }
        Speed::Alone(_) => {
            "Events come one at a time, and the host polls in between: on cores of their own nothing queues.\n\
             Godzilla polls only when its next Depth arrives: --speed 1x shows that."
        }
        Speed::Times(_) => {
            "tick_to_callback includes the wait for the host's next poll: the host polls only when \
             its next Depth\narrives."
        }
    });
    line(&text)
}

/// The hops, aligned. A latency at the histograms' bound is shown as a lower bound.
fn hop_table(hops: &[Hop], beyond: u64) -> String {
    const TITLES: [&str; 6] = ["hop", "count", "p50", "p99", "p99.9", "max"];
    let latency = |value| match value {
        LATENCY_BOUND_NS.. => format!(">={}", number(value)),
        _ => number(value),
    };
    let mut rows = vec![TITLES.map(str::to_owned)];
    for hop in hops {
        let [p50, p99, p999, max] = [hop.p50_ns, hop.p99_ns, hop.p999_ns, hop.max_ns].map(latency);
        rows.push([hop.name(), number(hop.count), p50, p99, p999, max]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = "latency, ns\n".to_owned();
    for row in &rows {
        let mut printed = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            printed.push_str(&format!("  {cell:>width$}"));
        }
        text.push_str(&printed);
        text.push('\n');
    }
    if beyond > 0 {
        text.push_str(&format!(
            "{} latencies, of all hops, took 73 minutes or longer and are not told apart\n",
            number(beyond)
        ));
    }
    text
}

/// Prints how fast the library processes events that queue.
pub fn throughput(events: u64, took: Duration) -> Result<()> {
    let rate = events as f64 / took.as_secs_f64().max(1e-9);
    line(&format!(
        "\nthroughput: {} further events at speed max in {:.3} s, {} a second (making them included)",
        number(events),
        took.as_secs_f64(),
        number(rate as u64),
    ))
}

/// Rows of a name and a number, aligned.
fn table(rows: &[(&str, u64)]) -> String {
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let values: Vec<_> = rows.iter().map(|(_, value)| number(*value)).collect();
    let value_width = values.iter().map(String::len).max().unwrap_or(0);
    let lines = rows.iter().zip(&values);
    let lines =
        lines.map(|((name, _), value)| format!("{name:<name_width$}  {value:>value_width$}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The last signal in one line.
fn describe(received: &Received) -> String {
    let last = &received.last;
    let several = received.models.len() > 1;
    let model = last.model.filter(|_| several);
    let model = model.map_or_else(String::new, |model| {
        format!(", model {}", received.models[model].0)
    });
    let values = received.last_values();
    let mut shown: Vec<_> = values
        .iter()
        .take(SHOWN_VALUES)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if values.len() > SHOWN_VALUES {
        shown.push("...".into());
    }
    format!(
        "{}, time {}{model}: {}",
        last.symbol,
        last.timestamp,
        shown.join(", ")
    )
}

/// How many values of the last signal are printed.
const SHOWN_VALUES: usize = 8;

/// A number with thousands separators.
pub fn number(value: u64) -> String {
    HumanCount(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_thousands_apart() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_latency_at_the_bound_is_shown_as_a_lower_bound() {
        let row = |max_ns| {
            let mut hop = Hop {
                count: 4,
                p50_ns: 95_000_000_000,
                p99_ns: max_ns,
                p999_ns: max_ns,
                max_ns,
                ..Hop::EMPTY
            };
            hop.name[..9].copy_from_slice(b"host.wait");
            hop
        };
        assert_eq!(
            hop_table(&[row(LATENCY_BOUND_NS)], 2),
            "latency, ns\n\
             hop        count             p50                  p99                p99.9                  max\n\
             host.wait      4  95,000,000,000  >=4,398,046,511,103  >=4,398,046,511,103  >=4,398,046,511,103\n\
             2 latencies, of all hops, took 73 minutes or longer and are not told apart\n"
        );
        let longest = hop_table(&[row(LATENCY_BOUND_NS - 1)], 0);
        assert!(
            !longest.contains(">=") && longest.lines().count() == 3,
            "{longest}"
        );
    }

    #[test]
    fn aligns() {
        assert_eq!(
            table(&[("a", 1), ("long", 1_000)]),
            "a         1\nlong  1,000"
        );
    }
}
