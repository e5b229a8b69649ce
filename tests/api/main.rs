//! The API as its clients meet it, one file a noun. Runs on SQLite, and on PostgreSQL when
//! `KHABAR_TEST_DATABASE` names a server; `bin/test` does both.

mod support;

mod alert;
mod alert_retry;
mod article;
mod article_mutation;
mod category;
mod comment;
mod edition;
mod live;
mod push_subscription;
mod statements;
