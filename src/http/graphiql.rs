//! Pages for people who build on it: the index, the schema, a place to try queries.

use async_graphql::http::GraphiQLSource;
use axum::http::header;
use axum::response::{Html, IntoResponse};

use crate::graphql;

/// Where everything is.
pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("../../web/developers.html"))
}

/// The schema in the definition language.
pub(super) async fn schema() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], graphql::sdl())
}

/// GraphiQL; where its scripts cannot be loaded, a plain form that works all the same.
pub(super) fn page() -> Html<String> {
    let page = GraphiQLSource::build()
        .title("Khabar")
        .endpoint("/graphql")
        .subscription_endpoint("/graphql")
        .finish();
    Html(page.replace("</body>", concat!(include_str!("../../web/plain-form.html"), "</body>")))
}
