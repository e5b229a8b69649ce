//! Real input from elsewhere, too large or too foreign to be kept here.
//!
//! `KHABAR_SAMPLES` names the folder; without it these tests say so and pass.

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
    if folder.is_none() {
        eprintln!("not run: set KHABAR_SAMPLES to a folder with samples such as wxr/*.xml");
    }
    folder
}
