//! Comments to read and to write.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};

use super::article::Article;
use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use super::loaders::{ArticleKey, CommentKey, CommentPageKey};
use super::paging::{PageArgs, connection};
use crate::actions::create_comment::{self, create_comment};
use crate::actions::moderate_comment::{self, moderate_comment};
use crate::domain::clock::Timestamp;
use crate::domain::comment as domain;
use crate::domain::page::{Cursor, Order, PageRequest};
use crate::domain::viewer::Permission;
use crate::rate_limit::Limited;
use crate::storage;
use crate::storage::comment::Thread;

/// A comment.
pub struct Comment(pub domain::Comment);

/// Whether others see a comment.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::CommentState")]
pub enum CommentState {
    /// Waits for a moderator.
    Pending,
    /// Everybody sees it.
    Approved,
    /// A moderator refused it.
    Rejected,
    /// Unwanted advertising.
    Spam,
}

/// Which comments come first.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentOrder {
    /// Those written last.
    Newest,
    /// Those written first.
    Oldest,
}

impl From<CommentOrder> for Order {
    fn from(order: CommentOrder) -> Self {
        match order {
            CommentOrder::Newest => Self::Descending,
            CommentOrder::Oldest => Self::Ascending,
        }
    }
}

/// A reader's reply to an article or to another comment.
#[Object]
impl Comment {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Comment, self.0.id)
    }

    /// The article it stands under; null when that is no longer published.
    async fn article(&self, ctx: &Context<'_>) -> Result<Option<Article>, Error> {
        let key = ArticleKey(self.0.article_id, ctx.visibility());
        Ok(ctx.loaders()?.load(key).await?.map(Article::from))
    }

    /// The comment it answers; null when it answers the article, or when readers do not see that
    /// comment any more.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Comment>, Error> {
        let Some(parent) = self.0.parent_id else {
            return Ok(None);
        };
        Ok(ctx
            .loaders()?
            .load(CommentKey(parent))
            .await?
            .filter(|parent| is_visible(ctx, parent))
            .map(Comment))
    }

    /// 0 right under the article, one more for each level, at most 5.
    async fn depth(&self) -> u32 {
        self.0.depth
    }

    /// The name the guest gave, at most 60 characters of plain text.
    async fn author_name(&self) -> &str {
        &self.0.author_name
    }

    /// Plain text, at most 5000 characters, paragraphs separated by an empty line. Escape it before
    /// you put it into a page.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// Whether others see it.
    async fn state(&self) -> CommentState {
        self.0.state.into()
    }

    /// When it was written.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// Approved direct replies, exactly.
    async fn reply_count(&self) -> u32 {
        self.0.reply_count
    }

    /// Approved direct replies.
    async fn replies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From the beginning, 1 to 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "Which come first.", default_with = "CommentOrder::Oldest")]
        order_by: CommentOrder,
    ) -> Result<Connection<Cursor, Comment>, Error> {
        let page = PageArgs { first, after, ..PageArgs::default() };
        comments(ctx, Thread::Comment(self.0.id), order_by, page).await
    }
}

/// A page of a thread. First pages of many threads are read together.
pub(super) async fn comments(
    ctx: &Context<'_>,
    thread: Thread,
    order: CommentOrder,
    page: PageArgs,
) -> Result<Connection<Cursor, Comment>, Error> {
    let request = page.parse()?;
    let found = if request == PageRequest::first(request.limit) {
        let key = CommentPageKey(thread, order.into(), request.limit);
        ctx.loaders()?.load_or_default(key).await?
    } else {
        storage::comment::page(ctx.app()?.db.connection(), thread, order.into(), &request).await?
    };
    Ok(connection(found, |comment| Cursor { at: comment.created_at, id: comment.id }, Comment))
}

/// Whether the viewer may see a comment.
pub(super) fn is_visible(ctx: &Context<'_>, comment: &domain::Comment) -> bool {
    comment.state == domain::CommentState::Approved
        || ctx.viewer().may(Permission::ModerateComments)
}

/// A comment by its id, if the viewer may see it and its article.
pub(super) async fn by_id(ctx: &Context<'_>, id: uuid::Uuid) -> Result<Option<Comment>, Error> {
    let Some(comment) = ctx.loaders()?.load(CommentKey(id)).await? else {
        return Ok(None);
    };
    let article = ctx.loaders()?.load(ArticleKey(comment.article_id, ctx.visibility())).await?;
    let may_read = article.is_some() || ctx.viewer().may(Permission::ModerateComments);
    Ok(Some(comment).filter(|comment| may_read && is_visible(ctx, comment)).map(Comment))
}

/// What a guest writes.
#[derive(InputObject)]
pub struct CommentCreateInput {
    /// The article to reply to.
    article: ID,
    /// The comment to answer; replies that would nest deeper than 5 attach to the last level.
    parent: Option<ID>,
    /// The name to go by, 1 to 60 characters.
    author_name: String,
    /// Plain text, 1 to 5000 characters.
    body: String,
}

user_errors!(
    CommentCreateUserError,
    CommentCreateUserErrorCode = create_comment::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such article, or none that readers see.
        ArticleNotFound,
        /// There is no such comment under the article, or none that readers see.
        ParentNotFound,
    }
);

/// What came of `commentCreate`.
#[derive(SimpleObject)]
pub struct CommentCreatePayload {
    /// The comment: APPROVED when everybody sees it, PENDING when it waits for a moderator. Null
    /// when there are userErrors.
    comment: Option<Comment>,
    /// Keep it: with it, and only with it, the guest can be recognised as the writer. Shown once.
    edit_token: Option<String>,
    /// What is wrong with the input; empty when the comment was kept.
    user_errors: Vec<CommentCreateUserError>,
}

user_errors!(
    CommentModerateUserError,
    CommentModerateUserErrorCode = moderate_comment::Code {
        /// There is no such comment.
        CommentNotFound,
    }
);

/// What came of `commentModerate`.
#[derive(SimpleObject)]
pub struct CommentModeratePayload {
    /// The comment; null when there are userErrors.
    comment: Option<Comment>,
    /// What is wrong with the input; empty when the ruling stands.
    user_errors: Vec<CommentModerateUserError>,
}

/// Changes comments.
#[derive(Default)]
pub struct CommentMutation;

#[Object]
impl CommentMutation {
    /// Replies as a guest: a name, no account. RATE_LIMITED when one address writes too often.
    async fn comment_create(
        &self,
        ctx: &Context<'_>,
        input: CommentCreateInput,
    ) -> Result<Option<CommentCreatePayload>, Error> {
        let input = create_comment::Input {
            article: ids::of(Kind::Article, &input.article),
            parent: input.parent.map(|id| ids::of(Kind::Comment, &id)),
            author_name: input.author_name,
            body: input.body,
        };
        ctx.limit(Limited::Comment)?;
        let (created, user_errors) = settle(create_comment(ctx.app()?, input).await)?;
        let (comment, edit_token) = match created {
            Some(created) => {
                (Some(Comment(created.comment)), Some(created.edit_token.reveal().to_owned()))
            }
            None => (None, None),
        };
        Ok(Some(CommentCreatePayload { comment, edit_token, user_errors }))
    }

    /// Rules on a comment: APPROVED shows it, any other state hides it. For moderators.
    async fn comment_moderate(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Whether others are to see it.")] state: CommentState,
    ) -> Result<Option<CommentModeratePayload>, Error> {
        let id = ids::of(Kind::Comment, &id);
        let ruled = moderate_comment(ctx.app()?, ctx.viewer(), id, state.into()).await;
        let (comment, user_errors) = settle(ruled)?;
        Ok(Some(CommentModeratePayload { comment: comment.map(Comment), user_errors }))
    }
}
