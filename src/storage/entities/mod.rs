//! One table a file. Nothing outside `storage` knows these.
#![expect(missing_docs, reason = "the migrations say what a column is for")]

pub mod alert;
pub mod alert_dead_letter;
pub mod alert_retry;
pub mod alert_shard;
pub mod alert_tag;
pub mod alert_text;
pub mod article;
pub mod article_author;
pub mod article_tag;
pub mod author;
pub mod category;
pub mod category_ancestry;
pub mod category_name;
pub mod category_successor;
pub mod comment;
pub mod data_key;
pub mod edition;
pub mod event;
pub mod import_key;
pub mod job;
pub mod prepared_keys;
pub mod push_service;
pub mod push_subscription;
pub mod push_subscription_category;
pub mod push_subscription_tag;
pub mod revision;
pub mod session;
pub mod setting;
pub mod slug_redirect;
pub mod tag;
pub mod unsealed_push_subscription;
pub mod user;
pub mod vapid_key;
