//! Paths that were written for a shell.

use std::path::{Component, Path, PathBuf};

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
            let said = check_expanded(Path::new(path)).unwrap_err();
            assert!(said.contains("~ is not expanded here"), "{said}");
            assert!(
                said.contains(&format!("/{rest}, or ./~/{rest} for")),
                "{said}"
            );
        }
        for path in ["", "a", "./~/a", "/~/a", "a/~", "~a", "~a/b", "a~"] {
            assert_eq!(check_expanded(Path::new(path)), Ok(()), "{path}");
        }
    }
}
