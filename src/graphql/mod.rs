//! The GraphQL schema: one file a noun, reads through loaders, writes through actions.

mod alert;
mod alert_mutation;
mod alert_preview;
pub mod article;
mod article_mutation;
mod article_query;
mod body;
mod category;
mod category_mutation;
mod comment;
mod context;
mod credit;
mod edition;
pub mod errors;
pub mod ids;
mod instant;
pub mod limits;
mod live;
mod loaders;
mod node;
mod paging;
mod push_subscription;
mod push_subscription_mutation;
mod staff;

use async_graphql::{MaybeUndefined, MergedObject, Schema as GraphqlSchema};

use crate::app::App;
use crate::live::Live;

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    alert::AlertQuery,
    article_query::ArticleQuery,
    category::CategoryQuery,
    edition::EditionQuery,
    live::LiveQuery,
    node::NodeQuery,
    push_subscription::PushSubscriptionQuery,
    staff::StaffQuery,
);

/// What can be changed. Each field answers with a payload whose `userErrors` say what is wrong with
/// the input; a top-level error means that the viewer may not, or that we failed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    alert_mutation::AlertMutation,
    article_mutation::ArticleMutation,
    category_mutation::CategoryMutation,
    comment::CommentMutation,
    edition::EditionMutation,
    push_subscription_mutation::PushSubscriptionMutation,
    staff::StaffMutation,
);

/// The schema with everything resolvers need.
pub type Schema = GraphqlSchema<Query, Mutation, live::LiveSubscription>;

/// Builds the schema over an application and its event feed.
pub fn build(app: &App, live: Live) -> Schema {
    GraphqlSchema::build(Query::default(), Mutation::default(), live::LiveSubscription)
        .data(loaders::Loaders::new(app.db.clone()))
        .data(app.clone())
        .data(live)
        .extension(limits::Budget)
        .extension(errors::Boundary)
        .finish()
}

/// The schema in the definition language, as it is committed in `schema/schema.graphql`.
pub fn sdl() -> String {
    bare().sdl()
}

/// The schema without an application behind it: enough to describe itself and to refuse documents.
pub fn bare() -> Schema {
    GraphqlSchema::build(Query::default(), Mutation::default(), live::LiveSubscription).finish()
}

/// Absent: stays. Null: emptied. A value: replaced.
fn patch<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}
