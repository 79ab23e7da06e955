//! The Rust API that a crate promises, as lines of text.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Fields, ImplItem, Item, ItemImpl, TraitItem, Type, UseTree, Visibility};

use crate::source::{Module, attributes, is_hidden, modules};

/// One line for each public name of the crate, and for each of its public methods, fields,
/// variants and constants.
///
/// # Panics
///
/// If a file is missing or is not Rust, or the definition of a name is not found.
pub fn api(main: &Path) -> BTreeSet<String> {
    let modules = modules(main);
    let mut lines = BTreeSet::new();
    show(&modules, &["crate".to_owned()], "signal", &mut lines);
    lines
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Adds everything that a module makes public, under `name`.
fn show(modules: &[Module], path: &[String], name: &str, lines: &mut BTreeSet<String>) {
    let module = find(modules, path);
    for item in &module.items {
        if is_hidden(attributes(item)) {
            continue;
        }
        if let Item::Use(import) = item {
            if is_public(&import.vis) {
                for (target, shown) in leaves(&import.tree, &module.path) {
                    show_target(modules, &target, &format!("{name}::{shown}"), lines);
                }
            }
        } else if let Some(own) = public_name(item) {
            define(modules, module, item, &format!("{name}::{own}"), lines);
        } else if let Some(made) = made_by_macro(item) {
            lines.insert(format!("macro {name}: {made}"));
        }
    }
    for inner in modules {
        if inner.shown && inner.path.len() == path.len() + 1 && inner.path.starts_with(path) {
            let own = inner.path.last().expect("a module has a name");
            show(modules, &inner.path, &format!("{name}::{own}"), lines);
        }
    }
}

fn find<'a>(modules: &'a [Module], path: &[String]) -> &'a Module {
    let found = modules.iter().find(|module| module.path == path);
    found.unwrap_or_else(|| panic!("there is no module {}", path.join("::")))
}

/// Adds the target of a re-export, followed to its definition.
fn show_target(modules: &[Module], target: &[String], name: &str, lines: &mut BTreeSet<String>) {
    if modules.iter().any(|module| module.path == target) {
        show(modules, target, name, lines);
        return;
    }
    let (leaf, path) = target.split_last().expect("a path has a name");
    let module = find(modules, path);
    let own = |item: &&Item| public_name(item).is_some_and(|own| own == *leaf);
    if let Some(item) = module.items.iter().find(own) {
        define(modules, module, item, name, lines);
        return;
    }
    let further = module.items.iter().find_map(|item| {
        let Item::Use(import) = item else { return None };
        let mut leaves = leaves(&import.tree, path).into_iter();
        leaves.find_map(|(target, shown)| (shown == *leaf).then_some(target))
    });
    match further {
        Some(further) => show_target(modules, &further, name, lines),
        None => {
            let made: Vec<String> = module.items.iter().filter_map(made_by_macro).collect();
            assert!(!made.is_empty(), "there is no {}", target.join("::"));
            let made = made.into_iter().map(|made| format!("macro {name}: {made}"));
            lines.extend(made);
        }
    }
}

/// The leaves of a `use`: absolute paths, and the names under which they are public.
fn leaves(tree: &UseTree, module: &[String]) -> Vec<(Vec<String>, String)> {
    fn walk(tree: &UseTree, before: &[String], out: &mut Vec<(Vec<String>, String)>) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => walk(&path.tree, &with(&path.ident), out),
            UseTree::Name(name) => out.push((with(&name.ident), name.ident.to_string())),
            UseTree::Rename(name) => out.push((with(&name.ident), name.rename.to_string())),
            UseTree::Glob(_) => panic!("a promised API names what it has, not all of a module"),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, before, out)),
        }
    }
    let mut relative = Vec::new();
    walk(tree, &[], &mut relative);
    let absolute = |path: Vec<String>| match path[0].as_str() {
        "crate" => path,
        "self" => [module, &path[1..]].concat(),
        "super" => [&module[..module.len() - 1], &path[1..]].concat(),
        _ => [module, &path[..]].concat(),
    };
    let leaves = relative.into_iter();
    leaves
        .map(|(path, shown)| (absolute(path), shown))
        .collect()
}

fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// A call of a macro that makes items, without its documentation.
fn made_by_macro(item: &Item) -> Option<String> {
    let Item::Macro(call) = item else { return None };
    // A macro with a name is a definition, not a call.
    if call.ident.is_some() {
        return None;
    }
    let name = text(&call.mac.path);
    Some(format!(
        "{name}! {}",
        text(&without_docs(call.mac.tokens.clone()))
    ))
}

fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut bare = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                let is_doc = matches!(tokens.peek(), Some(TokenTree::Group(brackets))
                    if brackets.stream().to_string().starts_with("doc"));
                if is_doc {
                    tokens.next();
                } else {
                    bare.push(TokenTree::Punct(sign));
                }
            }
            TokenTree::Group(group) => {
                let inner = without_docs(group.stream());
                bare.push(TokenTree::Group(Group::new(group.delimiter(), inner)));
            }
            token => bare.push(token),
        }
    }
    bare.into_iter().collect()
}

/// Adds the lines of an item and of its members.
fn define(modules: &[Module], at: &Module, item: &Item, name: &str, lines: &mut BTreeSet<String>) {
    let mut add = |line: String| {
        lines.insert(line);
    };
    match item {
        Item::Const(item) => add(format!("const {name}: {}", text(&item.ty))),
        Item::Type(item) => add(format!("type {name} = {}", text(&item.ty))),
        Item::Fn(item) => add(format!("{name}: {}", text(&item.sig))),
        Item::Trait(item) => {
            add(format!(
                "trait {name}{}: {}",
                text(&item.generics),
                text(&item.supertraits)
            ));
            for item in &item.items {
                match item {
                    TraitItem::Fn(item) => {
                        let own = format!("{name}::{}: {}", item.sig.ident, text(&item.sig));
                        let has_default = item.default.is_some();
                        add(own + if has_default { " by default" } else { "" });
                    }
                    TraitItem::Const(item) => {
                        add(format!("const {name}::{}: {}", item.ident, text(&item.ty)));
                    }
                    TraitItem::Type(item) => add(format!("type {name}::{}", item.ident)),
                    _ => {}
                }
            }
        }
        Item::Enum(item) => {
            add(format!("enum {name}{}", text(&item.generics)));
            for variant in &item.variants {
                add(format!("variant {name}::{}", text(&variant_of(variant))));
            }
        }
        Item::Struct(item) => {
            add(format!("struct {name}{}", text(&item.generics)));
            for (place, field) in item.fields.iter().enumerate() {
                let own = field
                    .ident
                    .as_ref()
                    .map_or(place.to_string(), ToString::to_string);
                if is_public(&field.vis) && !is_hidden(&field.attrs) {
                    add(format!("field {name}.{own}: {}", text(&field.ty)));
                }
            }
        }
        _ => {}
    }
    for attribute in attributes(item) {
        if attribute.path().is_ident("derive") || attribute.path().is_ident("non_exhaustive") {
            lines.insert(format!("{} on {name}", text(&attribute.meta)));
        }
    }
    let own = public_name(item).expect("only public items are defined");
    // The item's `impl`s are in its own top-level module.
    let room = &at.path[..at.path.len().min(2)];
    let room = modules
        .iter()
        .filter(|module| module.path.starts_with(room));
    for item in room.flat_map(|module| &module.items) {
        match item {
            Item::Impl(item) if is_of(item, &own) => members(item, name, lines),
            _ => {}
        }
    }
}

/// A variant without its documentation.
fn variant_of(variant: &syn::Variant) -> syn::Variant {
    let mut bare = variant.clone();
    bare.attrs.clear();
    match &mut bare.fields {
        Fields::Named(fields) => fields
            .named
            .iter_mut()
            .for_each(|field| field.attrs.clear()),
        Fields::Unnamed(fields) => fields
            .unnamed
            .iter_mut()
            .for_each(|field| field.attrs.clear()),
        Fields::Unit => {}
    }
    bare
}

fn is_of(item: &ItemImpl, name: &str) -> bool {
    let Type::Path(path) = &*item.self_ty else {
        return false;
    };
    path.path
        .segments
        .last()
        .is_some_and(|last| last.ident == name)
}

/// Adds the public methods and constants of an `impl`, or the trait.
fn members(item: &ItemImpl, name: &str, lines: &mut BTreeSet<String>) {
    if let Some((of, _)) = &item.trait_ {
        lines.insert(format!("impl {} for {name}", text(of)));
        return;
    }
    for item in &item.items {
        match item {
            ImplItem::Fn(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                lines.insert(format!("{name}::{}: {}", item.sig.ident, text(&item.sig)));
            }
            ImplItem::Const(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                lines.insert(format!("const {name}::{}: {}", item.ident, text(&item.ty)));
            }
            _ => {}
        }
    }
}

/// Code as text, with no more spaces than a reader needs.
fn text(code: &impl ToTokens) -> String {
    let spaced = code.to_token_stream().to_string();
    let mut tight = spaced;
    for (from, to) in [
        (" :: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" :", ":"),
        ("< ", "<"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("' ", "'"),
    ] {
        tight = tight.replace(from, to);
    }
    tight
}
