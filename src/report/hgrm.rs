//! Percentile tables in HdrHistogram's text format (`.hgrm`), which HdrHistogram's plotter
//! reads.

use std::fmt;
use std::io::{self, Write};

use hdrhistogram::Histogram;

use crate::telemetry::hops::{MAX_NS, beyond};

/// Steps per halving of the distance to 100 %, as HdrHistogram's tools use.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Bytes of a text, without making the text.
fn width(text: fmt::Arguments<'_>) -> usize {
    struct Count(usize);

    impl fmt::Write for Count {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            self.0 += more.len();
            Ok(())
        }
    }

    let mut count = Count(0);
    // Counting never fails.
    let _ = fmt::Write::write_fmt(&mut count, text);
    count.0
}

/// Writes a histogram of nanoseconds as a percentile table, values in ns. If any latencies
/// are at the histogram's bound, a line at the end says how many. They took that long or
/// longer, so maximum, mean and deviation are too low.
///
/// Columns are as wide as in HdrHistogram's own tables, and wider if a number needs it. Each
/// has a space before it, including the first, for readers that split rows at spaces.
///
/// # Errors
///
/// The writer's error.
pub(crate) fn write_hgrm(out: &mut impl Write, histogram: &Histogram<u64>) -> io::Result<()> {
    let value_width = width(format_args!("{:.3}", histogram.max() as f64)).max(11) + 1;
    let count_width = width(format_args!("{}", histogram.len())).max(10);
    writeln!(
        out,
        "{:>value_width$} {:>14} {:>count_width$} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        let quantile = step.quantile_iterated_to();
        write!(
            out,
            "{:>value_width$.3} {quantile:>14.12} {:>count_width$}",
            step.value_iterated_to() as f64,
            histogram.count_between(0, step.value_iterated_to()),
        )?;
        if quantile < 1.0 {
            writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out)?;
        }
    }
    writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean(),
        histogram.stdev()
    )?;
    writeln!(
        out,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        histogram.max() as f64,
        histogram.len()
    )?;
    writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        histogram.buckets(),
        2 * 10_u32
            .pow(u32::from(histogram.sigfig()))
            .next_power_of_two()
    )?;
    match beyond(histogram) {
        0 => Ok(()),
        longer => writeln!(
            out,
            "#[Beyond  = {longer:>12}, all took {MAX_NS} or longer]"
        ),
    }
}
