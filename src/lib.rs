//! Khabar, a newsroom backend in one binary. This page is its table of contents.

pub mod actions;
pub mod app;
pub mod cli;
pub mod clicks;
pub mod config;
pub mod data_folder;
pub mod demo;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod import;
pub mod jobs;
pub mod keys;
pub mod live;
pub mod passwords;
pub mod push;
pub mod rate_limit;
pub mod serve;
pub mod storage;
pub mod telemetry;
pub mod weather;
