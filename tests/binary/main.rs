//! The binary itself: how it starts, what it says, and how it ends, on either database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, reason = "shared with tests/api, which uses the rest")]
#[path = "../api/support/database.rs"]
mod database;

#[allow(dead_code, reason = "shared with tests/api, which uses the rest")]
#[path = "../api/support/push_service.rs"]
mod push_service;

mod alert;
mod commands;
mod keys;
mod kill;
mod process;
mod start;
