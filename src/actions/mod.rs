//! What the newsroom does: one file a verb. Each checks who may, parses its input collecting every
//! fault, and makes the change with all that follows from it in one transaction.

pub mod agree_on_keys;
pub mod agree_on_opt_out_key;
pub mod alert_input;
pub mod cancel_alert;
pub mod choose_edition;
pub mod choose_topics;
pub mod count_clicks;
pub mod create_alert;
pub mod create_article;
pub mod create_category;
pub mod create_comment;
pub mod create_edition;
pub mod create_push_subscription;
pub mod create_user;
pub mod delete_category;
pub mod delete_push_subscription;
pub mod import_article;
pub mod import_category;
pub mod import_comments;
pub mod import_story;
mod lock_alert;
pub mod moderate_comment;
pub mod move_category;
pub mod opt_out;
pub mod publish_article;
mod queue_alert;
pub mod replay_alert;
pub mod rotate_data_key;
pub mod rotate_master_key;
pub mod sign_in;
pub mod sign_out;
mod slugs;
pub mod test_alert;
pub mod unpublish_article;
pub mod update_alert;
pub mod update_article;
pub mod update_category;
pub mod update_edition;
pub mod update_push_subscription;

/// Takes the faults of typed fields into an action's own code.
macro_rules! takes_field_codes {
    ($code:ty) => {
        impl From<crate::domain::failure::FieldCode> for $code {
            fn from(code: crate::domain::failure::FieldCode) -> Self {
                use crate::domain::failure::FieldCode;
                match code {
                    FieldCode::Blank => Self::Blank,
                    FieldCode::TooLong => Self::TooLong,
                    FieldCode::Invalid => Self::Invalid,
                }
            }
        }
    };
}
use takes_field_codes;
