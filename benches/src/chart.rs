//! Line charts as SVG: a figure against a size that grows, on a logarithmic axis.

use plotters::prelude::*;
use signal_command::number;

const COLOURS: [RGBColor; 4] = [
    RGBColor(214, 96, 22),
    RGBColor(31, 97, 168),
    RGBColor(244, 190, 150),
    RGBColor(160, 196, 232),
];
const SIZE: (u32, u32) = (760, 460);

/// What `scale` measures: what grows, and the title of its chart.
pub const SCALE: [(&str, &str); 4] = [
    (
        "instruments",
        "Tick to callback, one Depth under way, market + linear",
    ),
    (
        "factors",
        "Tick to callback, one Depth under way, a set of N means, linear",
    ),
    (
        "burst",
        "Time of a burst, first on_data to last callback, per Depth",
    ),
    (
        "model",
        "Tick to callback, one Depth under way, factor set market",
    ),
];

/// One line: its name, and size and figure of each step.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A chart of times in ns, as the text of a file: the horizontal axis is logarithmic, the
/// vertical one begins at 0.
pub fn draw(title: &str, x: &str, lines: &[Line]) -> Result<String, String> {
    let mut text = String::new();
    match draw_into(&mut text, title, x, lines) {
        Ok(()) => Ok(text),
        Err(error) => Err(format!("{title}: {error}")),
    }
}

fn draw_into(
    text: &mut String,
    title: &str,
    x: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(0.0, f64::max);
    let top = points().map(|point| point.1).fold(0.0, f64::max);
    if least > most {
        return Err("there is no point to draw".into());
    }
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    // A little room at both ends, so that points do not lie on the frame.
    let sizes = (least / 1.15..most * 1.15).log_scale();
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(66)
        // Room for the legend above the highest line.
        .build_cartesian_2d(sizes, 0.0..top * 1.5)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc("ns")
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_label_formatter(&|value| size_label(*value))
        .y_label_formatter(&|value| number(value.round() as u64))
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
    // The upper corner that the first line, the highest, leaves free.
    let first = lines.first().map_or(&[][..], |line| &line.points);
    let corner = match (first.first(), first.last()) {
        (Some(first), Some(last)) if first.1 > last.1 => SeriesLabelPosition::UpperRight,
        _ => SeriesLabelPosition::UpperLeft,
    };
    chart
        .configure_series_labels()
        .position(corner)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(190, 190, 190))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Sizes of 1, 2 and 5 and their decades. Those in between would run into each other.
fn size_label(size: f64) -> String {
    let label = number(size.round() as u64);
    let has_room = label.starts_with(['1', '2', '5']);
    if has_room { label } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_and_its_name_are_drawn() {
        let line = |name: &str, height: f64| Line {
            name: name.to_owned(),
            points: vec![(1.0, height), (10.0, 2.0 * height), (100.0, height)],
        };
        let lines = [line("first", 100.0), line("second", 200.0)];
        let text = draw("Title", "size", &lines).unwrap();
        for word in ["<svg", "Title", "first", "second", "size", "</svg>"] {
            assert!(text.contains(word), "{word}");
        }
        assert_eq!(text.matches("<circle").count(), 6);
        let error = draw("Title", "size", &[]).unwrap_err();
        assert!(error.contains("no point"), "{error}");
    }
}
