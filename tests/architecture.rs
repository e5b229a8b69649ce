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
        ("config", vec![]),
        ("telemetry", vec!["config"]),
        ("keys", vec!["domain", "push"]),
        ("actions", vec!["domain", "storage", "app"]),
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
    layer: String,
    text: String,
    syntax: syn::File,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(root.join("src")).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let syntax = syn::parse_file(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(Source {
                layer: first.trim_end_matches(".rs").to_owned(),
                path: inside.to_owned(),
                text,
                syntax,
            });
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Names that follow `crate::` anywhere in the file, grouped imports and macros included.
fn used_layers(tokens: proc_macro2::TokenStream, used: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => used_layers(group.stream(), used),
            TokenTree::Ident(ident) if ident == "crate" => match tokens.get(index + 3) {
                Some(TokenTree::Ident(layer)) => {
                    used.insert(layer.to_string());
                }
                Some(TokenTree::Group(group)) => {
                    let mut first = true;
                    for token in group.stream() {
                        match token {
                            TokenTree::Ident(layer) if first => {
                                used.insert(layer.to_string());
                                first = false;
                            }
                            TokenTree::Punct(punct) if punct.as_char() == ',' => first = true,
                            _ => first = false,
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}

#[test]
fn each_layer_uses_only_what_it_may() {
    let allowed = allowed();
    let mut broken = Vec::new();
    for source in sources() {
        if WIRING.contains(&source.layer.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(source.layer.as_str()) else {
            broken.push(format!(
                "{}: the layer {} has no rule",
                source.path.display(),
                source.layer
            ));
            continue;
        };
        let mut used = BTreeSet::new();
        used_layers(source.text.parse().unwrap(), &mut used);
        for layer in used {
            if layer != source.layer && !may.contains(&layer.as_str()) {
                broken.push(format!("{} uses {layer}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "against ARCHITECTURE.md:\n{}", broken.join("\n"));
}

#[test]
fn only_storage_knows_the_entities() {
    for source in sources().iter().filter(|source| source.layer != "storage") {
        assert!(
            !source.text.contains("storage::entities"),
            "{} reaches into the tables",
            source.path.display()
        );
    }
}

/// The reader's pages are a client like any other: what the API does not show, they cannot.
#[test]
fn pages_know_the_api_alone() {
    let pages: Vec<Source> =
        sources().into_iter().filter(|source| source.path.starts_with("http/site")).collect();
    assert!(pages.len() > 3, "the pages were not found");
    for source in pages {
        let mut used = BTreeSet::new();
        used_layers(source.text.parse().unwrap(), &mut used);
        used.retain(|layer| !["domain", "http"].contains(&layer.as_str()));
        assert!(used.is_empty(), "{} uses {used:?}", source.path.display());
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(source, lines)| *lines > if source.layer == "main" { MAX_MAIN } else { MAX_FILE })
        .map(|(source, lines)| format!("{} has {lines} lines", source.path.display()))
        .collect();
    assert!(long.is_empty(), "split by noun or verb:\n{}", long.join("\n"));
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
}

#[test]
fn functions_stay_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let mut functions = Functions::default();
        functions.visit_file(&source.syntax);
        broken.extend(
            functions.broken.iter().map(|what| format!("{}: {what}", source.path.display())),
        );
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
