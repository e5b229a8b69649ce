//! The committed schema is the schema that is served, and the committed operations fit it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

use std::path::{Path, PathBuf};

use futures_util::StreamExt;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_schema_is_current() {
    let path = root().join("schema/schema.graphql");
    let current = khabar::graphql::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "schema/schema.graphql is not what the code serves; run UPDATE_SCHEMA=1 cargo test --test schema and read the difference"
    );
}

#[test]
fn every_type_and_field_is_described() {
    let sdl = khabar::graphql::sdl();
    let mut described = false;
    let mut bare = Vec::new();
    let mut inside_text = false;
    for line in sdl.lines().map(str::trim) {
        if line.starts_with("\"\"\"") {
            inside_text = !inside_text && line.matches("\"\"\"").count() == 1;
            described = true;
            continue;
        }
        if inside_text || line.is_empty() || line == "}" || line.starts_with(['#', '@']) {
            continue;
        }
        let ours = !GENERATED.iter().any(|prefix| line.starts_with(prefix))
            && !line.ends_with("Connection {");
        if !described && ours {
            bare.push(line.to_owned());
        }
        described = false;
    }
    assert_eq!(bare, Vec::<String>::new(), "described nowhere");
}

/// Lines that async-graphql writes without a description, or that need none.
const GENERATED: [&str; 9] = [
    "schema {",
    "query:",
    "mutation:",
    "subscription:",
    "directive",
    "input: ",
    "id: ID!",
    "first:",
    ")",
];

#[tokio::test]
async fn every_committed_operation_fits_the_schema() {
    let operations: Vec<PathBuf> = std::fs::read_dir(root().join("schema/operations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(operations.len() >= 10, "{operations:?}");
    for path in operations {
        let document = std::fs::read_to_string(&path).unwrap();
        let mut answers = khabar::graphql::bare().execute_stream(document.as_str());
        while let Some(answer) = answers.next().await {
            for error in answer.errors {
                // It is run without variables and without a database: only its shape is looked at.
                let of_shape = !error.message.contains("is not provided") && error.path.is_empty();
                assert!(!of_shape, "{}: {}", path.display(), error.message);
            }
        }
    }
}

/// Scripts carry their documents, so that pages need no request to learn them.
#[test]
fn every_document_in_a_script_is_a_committed_operation() {
    let folded = |document: &str| {
        let bare: Vec<&str> = document
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(str::split_whitespace)
            .collect();
        bare.join(" ")
    };
    let mut found = 0;
    for name in ["alerts.js", "site.js", "worker.js"] {
        let script = std::fs::read_to_string(root().join("web/assets").join(name)).unwrap();
        let documents = script.split('`').filter(|part| {
            ["query ", "mutation ", "subscription "].iter().any(|word| part.starts_with(word))
        });
        for document in documents {
            found += 1;
            let operation = document.split([' ', '(']).nth(1).unwrap();
            let path = root().join(format!("schema/operations/{operation}.graphql"));
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(folded(document), folded(&committed), "{name}: {}", path.display());
        }
    }
    assert_eq!(found, 7, "documents in scripts");
}

#[test]
fn the_script_and_the_worker_of_alerts_are_small() {
    let size = |name| std::fs::metadata(root().join("web/assets").join(name)).unwrap().len();
    let both = size("alerts.js") + size("worker.js");
    assert!(both < 10_000, "{both} bytes");
}
