//! The figures as CSV: a row for each hop of each run.

use super::document::Document;
use crate::failure::{Failure, Result};

/// The rows as text, with a line of titles.
pub fn text(document: &Document) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Failure::said(format!("cannot make CSV: {error}"));
    let mut out = ::csv::Writer::from_writer(Vec::new());
    let mut titles: Vec<String> = ["run", "hop", "count", "min_ns", "mean_ns", "deviation_ns"]
        .map(str::to_owned)
        .into();
    for (name, _) in document.percentiles() {
        let column = name.replace('.', "");
        titles.extend([
            format!("{column}_ns"),
            format!("{column}_low_ns"),
            format!("{column}_high_ns"),
        ]);
    }
    titles.extend([
        "max_ns".to_owned(),
        "beyond".to_owned(),
        "invalid".to_owned(),
    ]);
    out.write_record(&titles).map_err(|error| failed(&error))?;
    for run in &document.runs {
        for figures in &run.figures {
            let mut row = vec![
                run.label.clone(),
                figures.hop.to_owned(),
                figures.count.to_string(),
                figures.min_ns.to_string(),
                format!("{:.1}", figures.mean_ns),
                format!("{:.1}", figures.deviation_ns),
            ];
            for percentile in &figures.percentiles {
                // Empty where there are too few latencies to tell it.
                let cell = |value: u64| {
                    if percentile.told {
                        value.to_string()
                    } else {
                        String::new()
                    }
                };
                row.extend([
                    cell(percentile.ns),
                    cell(percentile.low_ns),
                    cell(percentile.high_ns),
                ]);
            }
            row.extend([
                figures.max_ns.to_string(),
                figures.beyond.to_string(),
                u8::from(run.invalid.is_some()).to_string(),
            ]);
            out.write_record(&row).map_err(|error| failed(&error))?;
        }
    }
    let bytes = out.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
