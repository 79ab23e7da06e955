//! The report as one HTML page that needs nothing else: no network, no other file.

use std::path::Path;

use super::document::Document;
use signal::os::files::read;

use crate::failure::{Failure, Result};
use crate::outputs::write_whole;

/// The largest page that is known again, bytes.
const LARGEST: u64 = 1 << 30;
/// By which a page of this command is known.
const MARK: &str = "<!-- signal report -->";
const TEMPLATE: &str = include_str!("page/page.html");
/// What takes the place of each mark in the template.
const PARTS: [(&str, &str); 4] = [
    ("/*uplot.css*/", include_str!("page/uplot/uPlot.min.css")),
    ("/*page.css*/", include_str!("page/page.css")),
    ("/*uplot.js*/", include_str!("page/uplot/uPlot.iife.min.js")),
    ("/*page.js*/", include_str!("page/page.js")),
];
const LICENCE: (&str, &str) = ("<!--uplot licence-->", include_str!("page/uplot/LICENSE"));
const DATA: &str = "/*data*/";

/// Writes the page. A file that is not such a page is overwritten only with `force`.
///
/// # Errors
///
/// A file that is something else, or cannot be written.
pub fn write(document: &Document, file: &Path, force: bool) -> Result<()> {
    let named = |what: String| Failure::said(format!("{}: {what}", file.display()));
    if !force && !is_replaceable(file) {
        return Err(named(
            "exists and is not a page of this command; expected another --output, or --force to overwrite it".into(),
        ));
    }
    let text = text(document).map_err(named)?;
    write_whole(file, &text).map_err(Failure::said)
}

/// Whether there is no such file, or one that this command wrote.
fn is_replaceable(file: &Path) -> bool {
    let Ok(about) = file.metadata() else {
        return true;
    };
    // A device or a pipe keeps nothing, and opening it says what else is wrong.
    if !about.is_file() || about.len() == 0 {
        return true;
    }
    let head = TEMPLATE.find(MARK).unwrap_or(0) + MARK.len();
    read(file, LARGEST).is_ok_and(|bytes| bytes.get(..head) == TEMPLATE.as_bytes().get(..head))
}

/// The page.
fn text(document: &Document) -> std::result::Result<String, String> {
    let data = serde_json::to_string(document).map_err(|error| error.to_string())?;
    // In a script element, only these could end it, or begin a comment in it.
    let data = data.replace('<', "\\u003c");
    let licence = LICENCE.1.replace("--", "- -");
    let mut parts: Vec<(&str, &str)> = PARTS.to_vec();
    parts.push((DATA, &data));
    parts.push((LICENCE.0, &licence));
    Ok(fill(TEMPLATE, &parts))
}

/// Puts each part in its mark's place. What a part contains is left as it is.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    loop {
        let next = parts
            .iter()
            .filter_map(|(mark, part)| Some((rest.find(mark)?, mark, part)));
        let Some((at, mark, part)) = next.min_by_key(|(at, ..)| *at) else {
            text.push_str(rest);
            return text;
        };
        text.push_str(&rest[..at]);
        text.push_str(part);
        rest = &rest[at + mark.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_contain_marks() {
        let parts = [("<a>", "1<b>"), ("<b>", "2")];
        assert_eq!(fill("x<a>y<b>z<a>", &parts), "x1<b>y2z1<b>");
    }

    #[test]
    fn the_template_has_each_mark_once() {
        let marks = PARTS.iter().map(|(mark, _)| *mark);
        for mark in marks.chain([DATA, LICENCE.0, MARK]) {
            assert_eq!(TEMPLATE.matches(mark).count(), 1, "{mark}");
        }
    }
}
