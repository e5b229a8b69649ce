//! Real input from elsewhere, too large or too foreign to be kept here.
//!
//! `KHABAR_SAMPLES` names the folder. Without it these tests do nothing, which `bin/test` says at its
//! end; with a folder that is none of samples they fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

mod seed_page;
#[allow(dead_code, unused_imports, reason = "shared with tests/api, which uses the rest")]
#[path = "../api/support/mod.rs"]
mod support;
mod wxr;

use std::path::PathBuf;

/// The folder of samples, or a word on how to name it.
fn samples() -> Option<PathBuf> {
    let folder = std::env::var_os("KHABAR_SAMPLES").map(PathBuf::from);
    match &folder {
        Some(folder) => assert!(
            folder.join("wxr").is_dir(),
            "KHABAR_SAMPLES: {} holds no samples such as wxr/*.xml",
            folder.display()
        ),
        None => eprintln!("not run: set KHABAR_SAMPLES to a folder with samples such as wxr/*.xml"),
    }
    folder
}
