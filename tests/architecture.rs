//! The rules of the house, as ARCHITECTURE.md states them: who may use whom, and how long things
//! may be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::TokenTree;
use syn::visit::Visit;

const MAX_FILE: usize = 400;
const MAX_MAIN: usize = 60;
const MAX_FUNCTION: usize = 60;
const MAX_ARGUMENTS: usize = 5;

/// Each layer with the layers it may use. `app` and `config` are handed to everything that acts.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("domain", vec![]),
        ("storage", vec!["domain"]),
        ("push", vec!["domain", "config"]),
        ("live", vec!["domain", "storage"]),
        ("weather", vec!["domain", "config"]),
        ("passwords", vec!["domain"]),
        ("clicks", vec![]),
        ("rate_limit", vec!["config"]),
        ("config", vec!["domain"]),
        ("data_folder", vec![]),
        ("telemetry", vec!["config"]),
        ("keys", vec!["domain", "push", "data_folder"]),
        ("actions", vec!["domain", "storage", "app", "keys"]),
        ("jobs", vec!["domain", "storage", "actions", "push", "app"]),
        ("graphql", vec!["domain", "actions", "storage", "live", "rate_limit", "push", "app"]),
        ("import", vec!["domain", "actions", "app"]),
        ("demo", vec!["domain", "actions", "storage", "app"]),
        ("http", vec!["domain", "graphql", "live", "storage", "actions", "rate_limit", "app"]),
    ])
}

/// These wire everything together.
const WIRING: [&str; 5] = ["app", "cli", "lib", "main", "serve"];

struct Source {
    path: PathBuf,
    text: String,
    syntax: syn::File,
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let syntax =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Source { path: path.strip_prefix(&root).unwrap().to_owned(), text, syntax }
    };
    let found: Vec<Source> = rust_files(&root).into_iter().map(read).collect();
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Paths into the crate that a file names, from its root: `storage`, `storage::entities`, ….
///
/// `crate::…` counts wherever it stands, groups and macros included; `super::…` counts from the
/// module that it is written in.
fn used_paths(tokens: proc_macro2::TokenStream, module: &[String]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    collect(&tokens.into_iter().collect::<Vec<_>>(), module, &mut used);
    used
}

fn collect(tokens: &[TokenTree], module: &[String], used: &mut BTreeSet<String>) {
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            TokenTree::Group(group) => collect(&list(group), module, used),
            TokenTree::Ident(ident) if ident == "mod" => {
                // A module within the file: what it calls `super` is the file itself.
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(group))) =
                    (tokens.get(index + 1), tokens.get(index + 2))
                {
                    let inner: Vec<String> =
                        module.iter().cloned().chain([name.to_string()]).collect();
                    collect(&list(group), &inner, used);
                    index += 2;
                }
            }
            TokenTree::Ident(ident) if ident == "crate" => {
                follow(&tokens[index + 1..], Vec::new(), used);
            }
            TokenTree::Ident(ident) if ident == "super" => {
                let above = module.len().saturating_sub(1);
                index += follow(&tokens[index + 1..], module[..above].to_vec(), used);
            }
            _ => {}
        }
        index += 1;
    }
}

/// Follows `::a::b` or `::{a, b::c}` behind a path; answers how many tokens it took for `super`s.
fn follow(tokens: &[TokenTree], mut path: Vec<String>, used: &mut BTreeSet<String>) -> usize {
    let mut at = 0;
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    while is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1)) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(name)) if name == "super" => drop(path.pop()),
            Some(TokenTree::Ident(name)) => {
                path.push(name.to_string());
                used.insert(path.join("::"));
            }
            Some(TokenTree::Group(group)) => {
                let inside = list(group);
                for part in
                    inside.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))
                {
                    follow_first(part, &path, used);
                }
                return at + 2;
            }
            _ => return at,
        }
        at += 3;
    }
    at
}

/// A part of a group, whose first name has no `::` before it.
fn follow_first(tokens: &[TokenTree], path: &[String], used: &mut BTreeSet<String>) {
    let Some(TokenTree::Ident(name)) = tokens.first() else { return };
    let mut path = path.to_vec();
    match name.to_string().as_str() {
        "super" => drop(path.pop()),
        "self" => {}
        name => {
            path.push(name.to_owned());
            used.insert(path.join("::"));
        }
    }
    follow(&tokens[1..], path, used);
}

fn list(group: &proc_macro2::Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

/// The module that a file under `src/` is.
fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// What a source uses against the rules.
fn forbidden(path: &Path, text: &str) -> Vec<String> {
    let module = module_of(path);
    let layer = module.first().map(String::as_str).unwrap_or("lib");
    let used = used_paths(text.parse().unwrap(), &module);
    let mut broken = Vec::new();
    if layer != "storage" && used.iter().any(|path| path.starts_with("storage::entities")) {
        broken.push(format!("{} reaches into the tables", path.display()));
    }
    if WIRING.contains(&layer) || path == Path::new("main.rs") {
        return broken;
    }
    let Some(may) = allowed().remove(layer) else {
        broken.push(format!("{}: the layer {layer} has no rule", path.display()));
        return broken;
    };
    // A file right under src/ calls its own children by `super` of theirs; names that are no layer
    // are items of the crate's root.
    for used in used.iter().filter(|path| !path.contains("::")) {
        let is_layer = allowed().contains_key(used.as_str()) || WIRING.contains(&used.as_str());
        if is_layer && used != layer && !may.contains(&used.as_str()) {
            broken.push(format!("{} uses {used}", path.display()));
        }
    }
    broken
}

#[test]
fn each_layer_uses_only_what_it_may() {
    let broken: Vec<String> =
        sources().iter().flat_map(|source| forbidden(&source.path, &source.text)).collect();
    assert!(broken.is_empty(), "against ARCHITECTURE.md:\n{}", broken.join("\n"));
}

#[test]
fn the_checker_sees_every_way_to_use_a_layer() {
    for (path, text) in [
        ("domain/article.rs", "use crate::storage;"),
        ("domain/article.rs", "use crate::storage::article;"),
        ("domain/article.rs", "use crate::{config, storage};"),
        ("domain/article.rs", "use crate::{domain::{text, slug}, storage::{self, article}};"),
        ("domain/article.rs", "use super::super::storage;"),
        ("domain/article.rs", "use super::super::{storage::article};"),
        ("domain/mod.rs", "use super::storage;"),
        ("domain/body/html.rs", "fn f() { super::super::super::storage::open() }"),
        ("domain/article.rs", "fn f() { print!(\"{}\", crate::storage::open()) }"),
        ("domain/article.rs", "mod tests { use super::super::super::storage; }"),
        ("unheard_of/article.rs", ""),
    ] {
        assert!(!forbidden(Path::new(path), text).is_empty(), "{path}: {text}");
    }
    for text in [
        "use crate::storage::entities::article;",
        "use crate::storage::{self, entities::article};",
        "use crate::{storage::{entities, article}};",
        "use super::super::storage::entities;",
    ] {
        let broken = forbidden(Path::new("actions/x.rs"), text);
        assert_eq!(broken, ["actions/x.rs reaches into the tables"], "{text}");
    }
    for (path, text) in [
        (
            "domain/article.rs",
            "use super::text; mod tests { use super::*; use super::super::slug; }",
        ),
        ("actions/x.rs", "use crate::storage::{self, article}; use crate::domain::clock;"),
        ("config/settings.rs", "use super::without_secrets; use crate::domain::user::MIN;"),
    ] {
        assert_eq!(forbidden(Path::new(path), text), [""; 0], "{path}: {text}");
    }
}

/// The reader's pages are a client like any other: what the API does not show, they cannot.
#[test]
fn pages_know_the_api_alone() {
    let mut pages = 0;
    for source in sources().iter().filter(|source| source.path.starts_with("http/site")) {
        pages += 1;
        let used = used_paths(source.text.parse().unwrap(), &module_of(&source.path));
        for layer in ["actions", "live", "rate_limit", "storage"] {
            assert!(!used.contains(layer), "{} uses {layer}", source.path.display());
        }
    }
    assert!(pages > 3, "the pages were not found");
}

#[test]
fn files_stay_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "migrations/src", "tests", "examples", "benches"];
    let long: Vec<String> = folders
        .iter()
        .flat_map(|folder| rust_files(&root.join(folder)))
        .map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, path)| *lines > most_lines(path.strip_prefix(root).unwrap()))
        .map(|(lines, path)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split by noun or verb:\n{}", long.join("\n"));
}

fn most_lines(path: &Path) -> usize {
    if path == Path::new("src/main.rs") { MAX_MAIN } else { MAX_FILE }
}

#[derive(Default)]
struct Functions {
    broken: Vec<String>,
    /// Inside an impl whose arguments are the schema's, not ours.
    resolvers: bool,
}

impl Functions {
    fn check(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let braces = block.brace_token.span;
        let lines = braces.close().end().line - braces.open().start().line + 1;
        if lines > MAX_FUNCTION {
            self.broken.push(format!("{} has {lines} lines", signature.ident));
        }
        let arguments =
            signature.inputs.iter().filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        if arguments > MAX_ARGUMENTS && !self.resolvers {
            self.broken.push(format!("{} has {arguments} arguments", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let schema = ["Object", "Subscription"];
        self.resolvers =
            item.attrs.iter().any(|attr| schema.iter().any(|name| attr.path().is_ident(name)));
        syn::visit::visit_item_impl(self, item);
        self.resolvers = false;
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.check(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

fn too_much(syntax: &syn::File) -> Vec<String> {
    let mut functions = Functions::default();
    functions.visit_file(syntax);
    functions.broken
}

#[test]
fn the_checker_measures_every_kind_of_function() {
    let long = format!("{{{}}}", "\n".repeat(MAX_FUNCTION));
    let many = "(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8)";
    let measured = |text: &str| too_much(&syn::parse_file(text).unwrap()).len();
    for around in ["NAME", "impl X { NAME }", "trait X { NAME }", "mod x { mod y { NAME } }"] {
        let with = |function: &str| measured(&around.replace("NAME", function));
        assert_eq!(with(&format!("fn f() {long}")), 1, "{around}");
        assert_eq!(with(&format!("fn f{many} {{}}")), 1, "{around}");
        assert_eq!(with("fn f(a: u8) {}"), 0, "{around}");
    }
    assert_eq!(measured(&format!("#[Object] impl X {{ fn f{many} {{}} }}")), 0, "the schema's");
}

#[test]
fn functions_stay_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let broken_here = too_much(&source.syntax);
        broken.extend(broken_here.iter().map(|what| format!("{}: {what}", source.path.display())));
    }
    assert!(broken.is_empty(), "do one thing each:\n{}", broken.join("\n"));
}

#[test]
fn nothing_can_stop_the_server_on_purpose() {
    for source in sources() {
        let product = source.text.split("#[cfg(test)]").next().unwrap();
        for macro_name in ["todo!(", "unimplemented!(", "panic!(", ".unwrap()"] {
            let line = product
                .lines()
                .find(|line| line.contains(macro_name) && !line.trim_start().starts_with("//"));
            assert_eq!(line, None, "{}", source.path.display());
        }
    }
}
