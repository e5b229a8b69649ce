//! The category tree to read.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, ID, Object, SimpleObject};
use uuid::Uuid;

use super::article::{Article, vanished};
use super::article_query::{ArticleOrderBy, articles};
use super::context::KhabarContext;
use super::edition;
use super::ids::{self, Kind};
use super::loaders::{
    CategoryAncestorsKey, CategoryChildrenKey, CategoryKey, CategoryNamesKey, EditionKey,
    EditionsKey,
};
use super::paging::PageArgs;
use crate::domain::article::ArticleState;
use crate::domain::category as domain;
use crate::domain::page::Cursor;
use crate::domain::slug;
use crate::storage;
use crate::storage::article::ArticleFilter;
use crate::storage::slug_redirect::{self, Noun};

/// A category as one edition calls it.
pub struct Category {
    category: domain::Category,
    edition_id: Uuid,
    moved_from: Option<String>,
}

impl Category {
    /// The category in the words of an edition.
    pub fn new(category: domain::Category, edition_id: Uuid) -> Self {
        Self { category, edition_id, moved_from: None }
    }

    /// The name in this edition; in another one where this has none.
    async fn named(&self, ctx: &Context<'_>) -> Result<domain::CategoryName, Error> {
        let mut names = ctx.loaders()?.load_or_default(CategoryNamesKey(self.category.id)).await?;
        names.sort_by_key(|name| (name.edition_id != self.edition_id, name.edition_id));
        names.into_iter().next().ok_or_else(|| vanished("category's name"))
    }

    async fn above(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        let ancestors =
            ctx.loaders()?.load_or_default(CategoryAncestorsKey(self.category.id)).await?;
        Ok(ancestors.into_iter().map(|category| Self::new(category, self.edition_id)).collect())
    }
}

/// What a category is called in one edition.
#[derive(SimpleObject)]
pub struct CategoryName {
    /// The edition's locale.
    locale: String,
    /// Shown to readers.
    name: String,
    /// Unique in the edition.
    slug: String,
}

/// A node of the category tree, such as العراق: a topic that readers browse and subscribe to.
#[Object]
impl Category {
    /// The global id, the same in every edition.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Category, self.category.id)
    }

    /// What this edition calls it; another edition's name where this has none.
    async fn name(&self, ctx: &Context<'_>) -> Result<String, Error> {
        Ok(self.named(ctx).await?.name)
    }

    /// Unique in the edition.
    async fn slug(&self, ctx: &Context<'_>) -> Result<String, Error> {
        Ok(self.named(ctx).await?.slug)
    }

    /// The old slug that this look-up found the category by, when it is called otherwise now.
    async fn moved_from(&self) -> Option<&str> {
        self.moved_from.as_deref()
    }

    /// Its names in every edition that has one.
    async fn names(&self, ctx: &Context<'_>) -> Result<Vec<CategoryName>, Error> {
        let names = ctx.loaders()?.load_or_default(CategoryNamesKey(self.category.id)).await?;
        let mut listed = Vec::with_capacity(names.len());
        for name in names {
            let edition = ctx.loaders()?.load(EditionKey(name.edition_id)).await?;
            let locale = edition.ok_or_else(|| vanished("edition"))?.locale;
            listed.push(CategoryName { locale, name: name.name, slug: name.slug });
        }
        listed.sort_by(|a, b| a.locale.cmp(&b.locale));
        Ok(listed)
    }

    /// Its place among its siblings, smallest first.
    async fn position(&self) -> i32 {
        self.category.position
    }

    /// The node above; null at a root.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Category>, Error> {
        let Some(parent) = self.category.parent_id else {
            return Ok(None);
        };
        let parent = ctx.loaders()?.load(CategoryKey(parent)).await?;
        Ok(parent.map(|parent| Self::new(parent, self.edition_id)))
    }

    /// The nodes right below, in their order.
    async fn children(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        let children =
            ctx.loaders()?.load_or_default(CategoryChildrenKey(self.category.id)).await?;
        Ok(children.into_iter().map(|child| Self::new(child, self.edition_id)).collect())
    }

    /// The nodes above, root first.
    async fn ancestors(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        self.above(ctx).await
    }

    /// The slugs from the root to this node, separated by `/`.
    async fn path(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let mut slugs = Vec::new();
        for category in self.above(ctx).await? {
            slugs.push(category.named(ctx).await?.slug);
        }
        slugs.push(self.named(ctx).await?.slug);
        Ok(slugs.join("/"))
    }

    /// Published articles of this edition in this category and below it.
    async fn articles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "PUBLISHED_AT_DESC when absent.")] order_by: Option<ArticleOrderBy>,
        #[graphql(desc = "From the beginning, 1 to 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "From the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor, Article>, Error> {
        let filter = ArticleFilter {
            states: vec![ArticleState::Published],
            edition_id: Some(self.edition_id),
            category_id: Some(self.category.id),
            ..ArticleFilter::default()
        };
        articles(ctx, filter, order_by.map(Into::into), PageArgs { first, after, last, before })
            .await
    }
}

/// Looks categories up.
#[derive(Default)]
pub struct CategoryQuery;

#[Object]
impl CategoryQuery {
    /// The roots of the category tree in the words of an edition, in their order; empty when there
    /// is no such edition. Ask for `children` to go down.
    async fn categories(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The edition's locale.")] locale: String,
    ) -> Result<Vec<Category>, Error> {
        let Some(edition) = edition::by_locale(ctx, &locale).await? else {
            return Ok(Vec::new());
        };
        let all = storage::category::all(ctx.app()?.db.connection()).await?;
        let roots = all.into_iter().filter(|category| category.parent_id.is_none());
        Ok(roots.map(|category| Category::new(category, edition.id)).collect())
    }

    /// The category of a slug in an edition; null when there is none. A slug that it once had, or
    /// that a category it replaced had, finds it too: see `movedFrom`.
    async fn category(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The slug, percent-decoded.")] slug: String,
        #[graphql(desc = "The edition's locale.")] locale: String,
    ) -> Result<Option<Category>, Error> {
        let Some(edition) = edition::by_locale(ctx, &locale).await? else {
            return Ok(None);
        };
        let Some(slug) = slug::from_address(&slug) else {
            return Ok(None);
        };
        let connection = ctx.app()?.db.connection();
        let (id, moved_from) =
            match storage::category::id_by_slug(connection, edition.id, &slug).await? {
                Some(id) => (id, None),
                None => match slug_redirect::target(connection, Noun::Category, edition.id, &slug)
                    .await?
                {
                    Some(id) => (id, Some(slug)),
                    None => return Ok(None),
                },
            };
        let category = ctx.loaders()?.load(CategoryKey(id)).await?;
        Ok(category.map(|category| Category { category, edition_id: edition.id, moved_from }))
    }
}

/// A category by its id, in the words of the first edition that names it.
pub(super) async fn by_id(ctx: &Context<'_>, id: Uuid) -> Result<Option<Category>, Error> {
    let category = ctx.loaders()?.load(CategoryKey(id)).await?;
    let editions = ctx.loaders()?.load_or_default(EditionsKey(())).await?;
    let first = editions.first().map_or(Uuid::nil(), |edition| edition.id);
    Ok(category.map(|category| Category::new(category, first)))
}
