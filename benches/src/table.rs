//! Columns of figures: medians over the repetitions, and ratios to a row of the
//! same repetition.

use crate::series::{Figures, median};

/// One row: its title, its figures and its ratio to the line, one of each a repetition.
pub struct Row<'a> {
    /// First column.
    pub title: &'a str,
    /// One a repetition.
    pub figures: Vec<Figures>,
    /// To the line round trip of the same repetition.
    pub ratios: Vec<f64>,
}

/// Prints the columns' names; the first column is `width` wide.
pub fn head(width: usize) {
    println!(
        "{:<width$} {:>9}  {:>17} {:>8} {:>9} {:>9} {:>9}",
        "", "median ns", "min .. max", "x line", "p99", "p99.9", "count"
    );
}

impl Row<'_> {
    /// Prints the row.
    pub fn print(&self, width: usize) {
        let tail = |read: fn(&Figures) -> Option<f64>| {
            let mut values: Vec<f64> = self.figures.iter().filter_map(read).collect();
            match values.len() {
                0 => "-".to_owned(),
                _ => format!("{:.0}", median(&mut values)),
            }
        };
        let mut medians: Vec<f64> = self.figures.iter().map(|figures| figures.p50).collect();
        let p50 = median(&mut medians);
        let (low, high) = (medians.first(), medians.last());
        println!(
            "{:<width$} {:>9.1}  {:>17} {:>8.2} {:>9} {:>9} {:>9}",
            self.title,
            p50,
            format!("{:.1} .. {:.1}", low.unwrap_or(&0.0), high.unwrap_or(&0.0)),
            median(&mut self.ratios.clone()),
            tail(|figures| figures.p99),
            tail(|figures| figures.p999),
            self.figures
                .iter()
                .map(|figures| figures.count)
                .sum::<u64>(),
        );
    }
}
