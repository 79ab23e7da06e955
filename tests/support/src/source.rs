//! The source of a crate, module by module, for tests that check its structure. Code that
//! only tests see is left out.

use std::fs;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Meta, Token, Visibility};

/// A module and its items, without its submodules.
pub struct Module {
    /// The names from the root to the module: `["crate", "os", "clock"]`.
    pub path: Vec<String>,
    /// The file that contains the module.
    pub file: PathBuf,
    /// Whether it is declared `pub` and without `#[doc(hidden)]`.
    pub shown: bool,
    /// Its items.
    pub items: Vec<Item>,
}

/// All modules of the crate whose root is this file.
///
/// # Panics
///
/// If a file is missing or is not Rust.
pub fn modules(main: &Path) -> Vec<Module> {
    let folder = main.parent().expect("a file lies in a folder");
    let mut found = Vec::new();
    add_file(main, folder, vec!["crate".to_owned()], true, &mut found);
    found
}

fn add_file(file: &Path, folder: &Path, path: Vec<String>, shown: bool, found: &mut Vec<Module>) {
    let failed = |error: &dyn std::fmt::Display| -> ! { panic!("{}: {error}", file.display()) };
    let text = fs::read_to_string(file).unwrap_or_else(|error| failed(&error));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| failed(&error));
    add(parsed.items, file, folder, path, shown, found);
}

fn add(
    items: Vec<Item>,
    file: &Path,
    folder: &Path,
    path: Vec<String>,
    shown: bool,
    found: &mut Vec<Module>,
) {
    let place = found.len();
    found.push(Module {
        path: path.clone(),
        file: file.to_owned(),
        shown,
        items: Vec::new(),
    });
    for item in items {
        if only_in_tests(attributes(&item)) {
            continue;
        }
        let Item::Mod(module) = item else {
            found[place].items.push(item);
            continue;
        };
        let name = module.ident.to_string();
        let mut deeper = path.clone();
        deeper.push(name.clone());
        let shown = matches!(module.vis, Visibility::Public(_)) && !is_hidden(&module.attrs);
        let below = folder.join(&name);
        if let Some((_, items)) = module.content {
            add(items, file, &below, deeper, shown, found);
        } else {
            let flat = folder.join(format!("{name}.rs"));
            let file = if flat.is_file() {
                flat
            } else {
                below.join("mod.rs")
            };
            add_file(&file, &below, deeper, shown, found);
        }
    }
}

/// Whether an item has `#[doc(hidden)]`.
pub fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        list.path.is_ident("doc") && list.tokens.to_string() == "hidden"
    })
}

/// Whether a `cfg` restricts an item to tests.
fn only_in_tests(attributes: &[Attribute]) -> bool {
    fn asks_for_test(meta: &Meta) -> bool {
        let Meta::List(list) = meta else {
            return meta.path().is_ident("test");
        };
        // `any` and `not` can also hold without tests.
        if !list.path.is_ident("cfg") && !list.path.is_ident("all") {
            return false;
        }
        let inner = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
        inner.is_ok_and(|inner| inner.iter().any(asks_for_test))
    }
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") && asks_for_test(&attribute.meta))
}

/// An item's attributes.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
