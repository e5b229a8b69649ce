//! The API as its clients meet it, one file a noun. Runs on SQLite, and on PostgreSQL when
//! `KHABAR_TEST_DATABASE` names a server; `bin/test` does both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, reason = "shared with tests/survival, which uses the rest")]
mod support;

mod alert;
mod alert_again;
mod alert_control;
mod alert_neighbours;
mod alert_retry;
mod alert_rounds;
mod article;
mod article_mutation;
mod audience;
mod category;
mod comment;
mod concurrency;
mod demo;
mod edition;
mod extremes;
mod first_start;
mod import;
mod live;
mod prepared_keys;
mod push_subscription;
mod sealing;
mod statements;
mod tail;
