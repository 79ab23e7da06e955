//! Paths that were written for a shell, or with more than the path around them.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::error::content::one_line;
use crate::os::environment::variable;

/// Refuses a path that begins with `~`: a shell puts a home folder there before a program sees it,
/// and nothing does where the path stands in a file, in a variable or behind `=`. Written to, it
/// would make a folder of that name.
///
/// # Errors
///
/// What to write instead.
pub fn check_expanded(path: &Path) -> Result<(), String> {
    let mut parts = path.components();
    if parts.next() != Some(Component::Normal("~".as_ref())) {
        return Ok(());
    }
    let rest = parts.as_path();
    let home = variable("HOME").filter(|home| !home.is_empty());
    let home = home.map_or_else(|| PathBuf::from("/home/NAME"), PathBuf::from);
    Err(format!(
        "~ is not expanded here, only a shell does that; expected {}, or {} for a folder named ~",
        home.join(rest).display(),
        Path::new("./~").join(rest).display()
    ))
}

/// As [`check_expanded`], for a path from a file or a variable: there, a blank, a line end or a
/// quote around it came with it by mistake. A shell's argument may mean a file with such a name.
///
/// # Errors
///
/// What to write instead.
pub fn check_written(path: &Path) -> Result<(), String> {
    // What is no UTF-8 is none of what is looked for.
    let text = path.to_string_lossy();
    let meant = bare(&text);
    if meant.len() == text.len() {
        return check_expanded(path);
    }
    let has = match text.trim_matches(is_blank).len() == text.len() {
        true => "is in quotes",
        false => "begins or ends with a blank or a line end",
    };
    let instead = match (meant.is_empty(), check_expanded(Path::new(meant))) {
        (true, _) => "expected a path".to_owned(),
        (false, Err(what)) => what,
        (false, Ok(())) => format!("expected {}", one_line(meant, usize::MAX)),
    };
    Err(format!("the path {text:?} {has}; {instead}"))
}

/// The path that is the value of an environment variable; none if that is not set, or empty.
///
/// # Errors
///
/// The variable, and what to write instead.
pub(crate) fn path_of(variable: &str, value: Option<OsString>) -> Result<Option<PathBuf>, String> {
    let path = value.filter(|value| !value.is_empty()).map(PathBuf::from);
    let written = path.as_deref().map_or(Ok(()), check_written);
    written.map_err(|what| format!("{variable}: {what}"))?;
    Ok(path)
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control()
}

/// The path without what is around it.
fn bare(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    match within('"').or_else(|| within('\'')) {
        Some(inner) => bare(inner),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_only_a_shell_understands_is_refused() {
        for (path, rest) in [
            ("~", ""),
            ("~/", ""),
            ("~/a/b.csv", "a/b.csv"),
            ("~//a", "a"),
        ] {
            for said in [check_expanded, check_written].map(|check| check(Path::new(path))) {
                let said = said.unwrap_err();
                assert!(said.contains("~ is not expanded here"), "{said}");
                assert!(
                    said.contains(&format!("/{rest}, or ./~/{rest} for")),
                    "{said}"
                );
            }
        }
        for path in ["", "a", "./~/a", "/~/a", "a/~", "~a", "~a/b", "a~"] {
            assert_eq!(check_expanded(Path::new(path)), Ok(()), "{path}");
            assert_eq!(check_written(Path::new(path)), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_path_with_quotes_or_blanks_around_it_is_refused() {
        for (path, part) in [
            (
                "\"/tmp/x\"",
                r#"path "\"/tmp/x\"" is in quotes; expected /tmp/x"#,
            ),
            (
                "'/tmp/a b'",
                r#"path "'/tmp/a b'" is in quotes; expected /tmp/a b"#,
            ),
            (" /tmp/x", r#"path " /tmp/x" begins or ends with a blank"#),
            (" /tmp/x", "; expected /tmp/x"),
            ("/tmp/x\r", r#"path "/tmp/x\r" begins or ends with"#),
            ("'/tmp/x' \r\n", r#"path "'/tmp/x' \r\n" begins"#),
            ("'/tmp/x' \r\n", "; expected /tmp/x"),
            ("\u{a0}/tmp/x\u{2009}", "expected /tmp/x"),
            ("\"~/x\"", "~ is not expanded here"),
            (" ", "; expected a path"),
            ("\"\"", "; expected a path"),
        ] {
            let said = check_written(Path::new(path)).unwrap_err();
            assert!(said.contains(part), "{part} is not in {said}");
            assert!(!said.contains(char::is_control), "{said:?}");
        }
        for path in ["/tmp/a b", "\"", "it's", "'a'/b", "a\"b\"", "'a\""] {
            assert_eq!(check_written(Path::new(path)), Ok(()), "{path}");
        }
        use std::os::unix::ffi::OsStrExt;
        let no_text = std::ffi::OsStr::from_bytes(b"/tmp/\xff");
        assert_eq!(check_written(Path::new(no_text)), Ok(()));
    }
}
