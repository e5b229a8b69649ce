//! What an alert must survive: processes that are killed at any moment, databases that go away, push
//! services that misbehave on purpose, and strangers who hand over what no browser ever would.
//!
//! Everything has a short form, for each run of the tests, and a long one: see [`soak`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, reason = "shared with tests/binary, which uses the rest")]
#[path = "../binary/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with tests/api, which uses the rest")]
#[path = "../api/support/mod.rs"]
mod support;

mod answers;
mod bad_service;
mod dice;
mod fleet;
mod hostile;
mod hostile_input;
mod kill;
mod misbehave;
mod newsroom;
mod postgres;
mod publish;
mod soak;

use support::database;
