//! Khabar, a newsroom backend in one binary. This page is its table of contents.

pub mod actions;
pub mod app;
pub mod config;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod import;
pub mod live;
pub mod passwords;
pub mod rate_limit;
pub mod storage;
