//! The pages are short, their links have a target, and the table of keys agrees with the
//! configuration's schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::with_commas;

/// Each page and its maximum number of lines.
const PAGES: [(&str, usize); 13] = [
    ("README.md", 180),
    ("ARCHITECTURE.md", 150),
    ("CONTRIBUTING.md", 80),
    ("docs/configuration.md", 170),
    ("docs/hosts.md", 170),
    ("docs/factors.md", 170),
    ("docs/models.md", 170),
    ("docs/latency-reports.md", 170),
    ("docs/capture.md", 170),
    ("docs/tune.md", 170),
    ("docs/performance.md", 250),
    ("docs/cold.md", 170),
    ("benches/README.md", 250),
];

/// The maximum number of characters in a line of text on these pages. Tables and code may
/// be as wide as they need to be.
const WIDTH: usize = 120;

/// The words that a table uses as the default of a key without a value.
const NO_VALUE: [&str; 3] = ["none", "all", "chosen"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of the repository with one of these endings, and the scripts of `.ci`.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let is_hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&name.as_str());
            if !is_hidden && name != "target" {
                found.extend(files(&path, endings));
            }
        } else if endings.iter().any(|ending| name.ends_with(ending))
            || folder == root().join(".ci")
        {
            found.push(path);
        }
    }
    found
}

/// The lines outside code blocks, each with its number.
fn text_lines(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    let lines = page.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The targets of a line's links. Text in backticks is not a link.
fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect();
    let after = text.split("](").skip(1);
    let target = |rest: &str| rest.split(')').next().map(str::to_owned);
    after.filter_map(target).collect()
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in text_lines(page) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let keep = |letter: char| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter),
            _ => None,
        };
        let slug: String = heading.trim().chars().filter_map(keep).collect();
        let slug = slug.to_lowercase();
        let before = times.entry(slug.clone()).or_default();
        found.insert(match *before {
            0 => slug,
            _ => format!("{slug}-{before}"),
        });
        *before += 1;
    }
    found
}

#[test]
fn pages_are_short() {
    let mut wrong = Vec::new();
    for (name, most) in PAGES {
        let page = read(&root().join(name));
        let lines = page.lines().count();
        if lines > most {
            wrong.push(format!("{name} has {lines} lines, expected at most {most}"));
        }
        for (at, line) in text_lines(&page) {
            if !line.starts_with('|') && line.chars().count() > WIDTH {
                wrong.push(format!("{name}:{at} is wider than {WIDTH} characters"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_names_every_page() {
    let readme = read(&root().join("README.md"));
    let named: Vec<String> = text_lines(&readme)
        .flat_map(|(_, line)| links(line))
        .collect();
    let pages = PAGES.iter().map(|(name, _)| (*name).to_owned());
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let mut wanted = pages.chain(docs.filter(|name| name.ends_with(".md")));
    let missing = wanted.find(|name| name != "README.md" && !named.contains(name));
    assert_eq!(missing, None, "the README has no link to it");
}

#[test]
fn links_lead_somewhere() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for file in files(root(), &[".md"]) {
        let page = read(&file);
        for (at, line) in text_lines(&page) {
            for link in links(line) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                checked += 1;
                let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
                let target = match path {
                    "" => file.clone(),
                    _ => file.parent().unwrap().join(path),
                };
                let leads = target.exists()
                    && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
                if !leads {
                    let name = file.strip_prefix(root()).unwrap().display();
                    wrong.push(format!("{name}:{at} {link}"));
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} links were found");
    assert!(wrong.is_empty(), "links that lead nowhere: {wrong:#?}");
}

#[test]
fn pages_that_sources_name_exist() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    let endings = [".md", ".rs", ".toml", ".h", ".hpp", ".cpp", ".py", ".sh"];
    for file in files(root(), &endings) {
        let text = read(&file);
        for (at, _) in text.match_indices("docs/") {
            let is_of_a_path = |letter: char| letter.is_alphanumeric() || "-_/.".contains(letter);
            let end = text[at..].find(|letter| !is_of_a_path(letter));
            let name = end.map_or(&text[at..], |end| &text[at..at + end]);
            let name = name.trim_end_matches('.');
            if name.ends_with(".md") {
                checked += 1;
                if !root().join(name).exists() {
                    wrong.push(format!("{} names {name}", file.display()));
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} names were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A schema, or the definition that it refers to.
fn resolved<'a>(schema: &'a Value, part: &'a Value) -> &'a Value {
    let Some(name) = part["$ref"].as_str() else {
        return part;
    };
    let definition = schema.pointer(name.trim_start_matches('#'));
    definition.unwrap_or_else(|| panic!("no definition {name}"))
}

/// Collects all keys of a part of the schema, by path.
fn add_keys<'a>(
    schema: &'a Value,
    part: &'a Value,
    prefix: &str,
    found: &mut BTreeMap<String, &'a Value>,
) {
    let part = resolved(schema, part);
    for choice in ["anyOf", "oneOf"] {
        for part in part[choice].as_array().into_iter().flatten() {
            add_keys(schema, part, prefix, found);
        }
    }
    if part["items"].is_object() {
        add_keys(schema, &part["items"], prefix, found);
    }
    for (name, property) in part["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        // Other names of `models` and `scheduler`.
        if path != "model" && path != "policy" {
            add_keys(schema, property, &format!("{path}."), found);
        }
        // The page lists a section's keys, not the section itself.
        if !property["default"].is_object() {
            found.insert(path, property);
        }
    }
}

/// Whether a table's cell states this default.
fn says(cell: &str, default: &Value) -> bool {
    let default = match default.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        Some([]) => &Value::Null,
        _ => default,
    };
    let said: Result<Value, _> = serde_json::from_str(cell.trim_matches('`'));
    match (default, said) {
        (Value::Null, _) => NO_VALUE.contains(&cell),
        (Value::Number(number), Ok(said)) => said.as_f64() == number.as_f64(),
        (_, Ok(said)) => said == *default,
        (_, Err(_)) => false,
    }
}

#[test]
fn every_key_stands_with_its_default_and_bounds() {
    let schema = read(&root().join("src/config/schema.json"));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut keys = BTreeMap::new();
    add_keys(&schema, &schema, "", &mut keys);
    assert!(keys.len() > 45, "only {} keys were found", keys.len());

    let page = read(&root().join("docs/configuration.md"));
    let table = page.split("\n## Keys\n").nth(1).expect("a table of keys");
    let table = table.split("\n## ").next().unwrap();
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, default, ..] = cells[..] else {
            panic!("too few cells: {row}");
        };
        for name in names.split('`').skip(1).step_by(2) {
            named.insert(name.to_owned());
            let Some(property) = keys.get(name) else {
                wrong.push(format!("{name} is no key"));
                continue;
            };
            let wanted = property.get("default");
            if let Some(wanted) = wanted.filter(|wanted| !says(default, wanted)) {
                wrong.push(format!("{name}: {default}, and the default is {wanted}"));
            }
            let property = resolved(&schema, property);
            let bounds = (property["minimum"].as_u64(), property["maximum"].as_u64());
            if let (Some(least), Some(most)) = bounds {
                let bounds = format!("{} to {}", with_commas(least), with_commas(most));
                if !row.contains(&bounds) {
                    wrong.push(format!("{name}: {bounds} is not said"));
                }
            }
            for value in property["oneOf"].as_array().into_iter().flatten() {
                let value = value["const"].as_str().unwrap_or_default();
                if !row.contains(&format!("`{value}`")) {
                    wrong.push(format!("{name}: {value} is not said"));
                }
            }
        }
    }
    let missing = keys.keys().filter(|key| !named.contains(*key));
    wrong.extend(missing.map(|key| format!("{key} is missing")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
