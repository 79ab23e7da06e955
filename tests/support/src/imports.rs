//! What a crate's code imports: paths from its root and from other crates, anywhere in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use crate::source::{Module, modules};

/// What each file uses from elsewhere: the first two names of each path, such as `("crate",
/// "os")` or `("serde", "Deserialize")`. Comments and code that only tests see do not
/// count.
pub type Imports = BTreeMap<PathBuf, BTreeSet<(String, String)>>;

/// The imports of the crate whose root is `main`, from itself and from `crates`.
///
/// # Panics
///
/// If a file is missing or is not Rust.
pub fn imports(main: &Path, crates: &[&str]) -> Imports {
    let modules = modules(main);
    let mut found = Imports::new();
    for module in &modules {
        let known = |name: &str| {
            let own = module.path.iter().map(String::as_str).chain([name]);
            let is_own = modules.iter().any(|other| own.clone().eq(&other.path));
            crates.contains(&name) && !is_own
        };
        let found = found.entry(module.file.clone()).or_default();
        let mut note = |path: &[String]| found.extend(first_two(path, module, &known));
        for item in &module.items {
            // It could rename a crate, which would then not be recognised.
            assert!(
                !matches!(item, syn::Item::ExternCrate(_)),
                "{}: extern crate",
                module.file.display()
            );
            read(item.to_token_stream(), &mut note);
        }
    }
    found
}

fn first_two(
    path: &[String],
    module: &Module,
    known: &impl Fn(&str) -> bool,
) -> Option<(String, String)> {
    let mut whole: Vec<&String> = Vec::new();
    match path.first()?.as_str() {
        "super" | "self" => {
            whole.extend(&module.path);
            for name in path {
                match name.as_str() {
                    "self" => {}
                    "super" => drop(whole.pop()),
                    _ => whole.push(name),
                }
            }
        }
        first if first == "crate" || known(first) => whole.extend(path),
        _ => return None,
    }
    let second = whole.get(1).copied().cloned().unwrap_or_default();
    Some((whole[0].clone(), second))
}

/// Finds the paths in a piece of code, including those that are written as text.
fn read(code: TokenStream, note: &mut impl FnMut(&[String])) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut place = 0;
    while place < tokens.len() {
        match &tokens[place] {
            _ if is(tokens.get(place), '#') && is_aside(tokens.get(place + 1)) => place += 2,
            TokenTree::Group(group) => {
                read(group.stream(), note);
                place += 1;
            }
            TokenTree::Ident(first) if first == "use" => {
                let end = tokens[place..]
                    .iter()
                    .position(|token| is(Some(token), ';'));
                let end = end.map_or(tokens.len(), |length| place + length);
                branch(&tokens[place + 1..end], &[], note);
                place = end;
            }
            // An attribute may contain a path as text, such as serde's `with`.
            TokenTree::Literal(text) => {
                let text = text.to_string();
                let names = text.trim_matches('"').split("::");
                let path: Vec<String> = names.map(str::to_owned).collect();
                let is_path = |name: &String| {
                    name.chars()
                        .all(|sign| sign.is_alphanumeric() || sign == '_')
                };
                if path.len() > 1 && path.iter().all(is_path) {
                    note(&path);
                }
                place += 1;
            }
            TokenTree::Ident(first) if !continues(&tokens[..place]) => {
                let mut path = vec![first.to_string()];
                place += 1;
                while let [one, two, TokenTree::Ident(name), ..] = &tokens[place..]
                    && is(Some(one), ':')
                    && is(Some(two), ':')
                {
                    path.push(name.to_string());
                    place += 3;
                }
                if path.len() > 1 {
                    note(&path);
                }
            }
            _ => place += 1,
        }
    }
}

/// Follows the branches of a `use`.
fn branch(tokens: &[TokenTree], before: &[String], note: &mut impl FnMut(&[String])) {
    let mut path = before.to_vec();
    for token in tokens {
        match token {
            TokenTree::Ident(name) if name == "as" => break,
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for inner in inner.split(|token| is(Some(token), ',')) {
                    if !inner.is_empty() {
                        branch(inner, &path, note);
                    }
                }
                return;
            }
            _ => {}
        }
    }
    note(&path);
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Whether the next name belongs to the tokens before it: to a path, or to a value whose
/// field it is.
fn continues(before: &[TokenTree]) -> bool {
    match before {
        // `::libc` is a separate path; `other::libc` and `<T>::libc` are not.
        [before @ .., one, two] if is(Some(one), ':') && is(Some(two), ':') => {
            matches!(before.last(), Some(TokenTree::Ident(_))) || is(before.last(), '>')
        }
        // `..libc::N` is a range.
        [before @ .., one] => is(Some(one), '.') && !is(before.last(), '.'),
        [] => false,
    }
}

/// Whether an attribute's brackets hold documentation, or something only for tests.
fn is_aside(brackets: Option<&TokenTree>) -> bool {
    let Some(TokenTree::Group(brackets)) = brackets else {
        return false;
    };
    let text = brackets.stream().to_string().replace(' ', "");
    text.starts_with("doc=") || text.starts_with("cfg_attr(test,")
}
