//! Line charts as SVG: a figure against a size that grows, on a logarithmic axis.

use std::path::Path;

use plotters::prelude::*;

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 97, 168),
    RGBColor(214, 96, 22),
    RGBColor(33, 135, 68),
    RGBColor(172, 40, 60),
    RGBColor(116, 82, 168),
    RGBColor(110, 110, 110),
];
const SIZE: (u32, u32) = (760, 460);

/// One line: its name and a point a step.
#[derive(Clone, Debug)]
pub struct Line {
    /// For the legend.
    pub name: String,
    /// Size and figure.
    pub points: Vec<(f64, f64)>,
}

/// A chart's words.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Below the horizontal axis.
    pub x: &'a str,
    /// Beside the vertical one.
    pub y: &'a str,
}

/// Writes a chart: the horizontal axis is logarithmic, the vertical one begins at 0.
///
/// # Errors
///
/// The file, and why it cannot be written; lines without a point.
pub fn write(path: &Path, words: Words, lines: &[Line]) -> Result<(), String> {
    let text = draw(words, lines).map_err(|error| format!("{}: {error}", path.display()))?;
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn draw(words: Words, lines: &[Line]) -> Result<String, Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(0.0, f64::max);
    let top = points().map(|point| point.1).fold(0.0, f64::max);
    if least > most {
        return Err("there is no point to draw".into());
    }
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        // A little room at both ends, so that points do not lie on the frame.
        let x = (least / 1.15..most * 1.15).log_scale();
        let mut chart = ChartBuilder::on(&root)
            .caption(words.title, ("sans-serif", 18))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(66)
            // Room for the legend above the highest line.
            .build_cartesian_2d(x, 0.0..top * 1.5)?;
        chart
            .configure_mesh()
            .x_desc(words.x)
            .y_desc(words.y)
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(line.name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            let dots = line.points.iter();
            chart.draw_series(dots.map(|&point| Circle::new(point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(free_corner(lines))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(190, 190, 190))
            .draw()?;
        root.present()?;
    }
    Ok(text)
}

/// The upper corner that the first line, the highest, leaves free.
fn free_corner(lines: &[Line]) -> SeriesLabelPosition {
    let points = lines.first().map_or(&[][..], |line| &line.points);
    match (points.first(), points.last()) {
        (Some(first), Some(last)) if first.1 > last.1 => SeriesLabelPosition::UpperRight,
        _ => SeriesLabelPosition::UpperLeft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        title: "Title",
        x: "size",
        y: "ns",
    };

    #[test]
    fn every_line_and_its_name_are_drawn() {
        let line = |name: &str, height: f64| Line {
            name: name.to_owned(),
            points: vec![(1.0, height), (10.0, 2.0 * height), (100.0, height)],
        };
        let text = draw(WORDS, &[line("first", 100.0), line("second", 200.0)]).unwrap();
        for word in ["<svg", "Title", "first", "second", "size"] {
            assert!(text.contains(word), "{word}");
        }
        assert_eq!(text.matches("<circle").count(), 6);
    }

    #[test]
    fn the_legend_keeps_out_of_the_way() {
        let corner = |points: [(f64, f64); 2]| {
            let name = String::new();
            let points = points.to_vec();
            match free_corner(&[Line { name, points }]) {
                SeriesLabelPosition::UpperRight => "right",
                _ => "left",
            }
        };
        assert_eq!(corner([(1.0, 9.0), (2.0, 1.0)]), "right");
        assert_eq!(corner([(1.0, 1.0), (2.0, 9.0)]), "left");
    }

    #[test]
    fn a_chart_of_nothing_is_refused() {
        let error = draw(WORDS, &[]).unwrap_err().to_string();
        assert!(error.contains("no point"), "{error}");
    }
}
