//! Pure types and rules of the newsroom: no database, no network, no clock of its own.

pub mod alert;
pub mod alert_message;
pub mod article;
pub mod article_input;
pub mod audience;
pub mod body;
pub mod body_html;
pub mod category;
pub mod clock;
pub mod comment;
pub mod edition;
pub mod event;
pub mod failure;
pub mod job;
pub mod local_time;
pub mod opt_out;
pub mod page;
pub mod push_subscription;
pub mod quiet_hours;
pub mod sealing;
pub mod slug;
pub mod text;
pub mod token;
pub mod user;
pub mod vapid_keys;
pub mod viewer;
