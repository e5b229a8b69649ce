//! Relay's look-up of anything by its global id.

use async_graphql::{Context, Error, ID, Interface, Object};

use super::alert::{self, Alert};
use super::article::Article;
use super::category::{self, Category};
use super::comment::{self, Comment};
use super::context::KhabarContext;
use super::credit::{Author, Tag};
use super::edition::Edition;
use super::errors::error;
use super::ids::{self, Kind};
use super::loaders::{ArticleKey, AuthorKey, EditionKey, TagKey};

/// How many things can be looked up at once.
const MAX_NODES: usize = 100;

/// Anything with a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Opaque, and the same for ever."))]
pub enum Node {
    /// The decision to notify readers.
    Alert(Alert),
    /// A story.
    Article(Article),
    /// Whoever wrote one.
    Author(Author),
    /// A topic.
    Category(Category),
    /// A reader's reply.
    Comment(Comment),
    /// A language edition.
    Edition(Edition),
    /// A word that articles have in common.
    Tag(Tag),
}

/// Looks anything up.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Whatever has this id; null when nothing has, or nothing that the viewer may see.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>, Error> {
        find(ctx, &id).await
    }

    /// Whatever has these ids, in their order, null where nothing has; at most 100.
    async fn nodes(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Result<Vec<Option<Node>>, Error> {
        if ids.len() > MAX_NODES {
            let message = format!("{} ids were given; at most {MAX_NODES} are allowed", ids.len());
            return Err(error("BAD_USER_INPUT", message));
        }
        futures_util::future::try_join_all(ids.iter().map(|id| find(ctx, id))).await
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, Error> {
    let Some((kind, id)) = ids::decode(id) else {
        return Ok(None);
    };
    let loaders = ctx.loaders()?;
    Ok(match kind {
        Kind::Article => {
            let article = loaders.load(ArticleKey(id, ctx.visibility())).await?;
            article.map(|article| Node::Article(article.into()))
        }
        Kind::Author => {
            loaders.load(AuthorKey(id)).await?.map(|author| Node::Author(Author(author)))
        }
        Kind::Tag => loaders.load(TagKey(id)).await?.map(|tag| Node::Tag(Tag(tag))),
        Kind::Edition => {
            loaders.load(EditionKey(id)).await?.map(|edition| Node::Edition(Edition(edition)))
        }
        Kind::Category => category::by_id(ctx, id).await?.map(Node::Category),
        Kind::Comment => comment::by_id(ctx, id).await?.map(Node::Comment),
        Kind::Alert => alert::by_id(ctx, id).await?.map(Node::Alert),
        Kind::User => None,
    })
}
