//! Batching look-ups: whatever a list asks of each of its items is asked of the database once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::domain::alert::Ahead;
use crate::domain::article::{Article, Author, Tag};
use crate::domain::category::{Category, CategoryName};
use crate::domain::comment::Comment;
use crate::domain::edition::Edition;
use crate::domain::page::{Order, Page, PageRequest};
use crate::storage::article::Visibility;
use crate::storage::comment::Thread;
use crate::storage::{self, Database};

/// The loader of everything, by kinds of keys. It caches nothing: an answer is as old as the
/// request at most.
#[derive(Clone)]
pub struct Loaders(Arc<DataLoader<Reader>>);

/// Reads from the database, a statement or two for all keys of a batch.
pub struct Reader(Database);

impl Loaders {
    /// Loaders that read from the database.
    pub fn new(db: Database) -> Self {
        let loader = DataLoader::new(Reader(db), TokioSpawner::current(), TokioTimer::default());
        Self(Arc::new(loader))
    }

    /// What stands under the key.
    pub async fn load<K>(&self, key: K) -> Result<Option<<Reader as Loader<K>>::Value>, Arc<DbErr>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Reader: Loader<K, Error = Arc<DbErr>>,
    {
        self.0.load_one(key).await
    }

    /// What stands under the key, or nothing at all.
    pub async fn load_or_default<K>(
        &self,
        key: K,
    ) -> Result<<Reader as Loader<K>>::Value, Arc<DbErr>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Reader: Loader<K, Error = Arc<DbErr>>,
        <Reader as Loader<K>>::Value: Default,
    {
        Ok(self.load(key).await?.unwrap_or_default())
    }
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident($($field:ty),+);)+) => {
        $($(#[doc = $doc])+ #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)] pub struct $name($(pub $field),+);)+
    };
}

keys! {
    /// An article that a viewer may see.
    ArticleKey(Uuid, Visibility);
    /// The articles of a translation group that a viewer may see.
    TranslationsKey(Uuid, Visibility);
    /// The authors of an article.
    AuthorsKey(Uuid);
    /// The tags of an article.
    TagsKey(Uuid);
    /// An author.
    AuthorKey(Uuid);
    /// A tag.
    TagKey(Uuid);
    /// An edition.
    EditionKey(Uuid);
    /// Every edition, in the newsroom's order.
    EditionsKey(());
    /// A category.
    CategoryKey(Uuid);
    /// The names of a category.
    CategoryNamesKey(Uuid);
    /// The children of a category.
    CategoryChildrenKey(Uuid);
    /// The ancestors of a category, root first.
    CategoryAncestorsKey(Uuid);
    /// A comment.
    CommentKey(Uuid);
    /// Who is tried again for an alert, by what was answered last.
    RetryingKey(Uuid);
    /// Who was given up for an alert, by what was answered last.
    GivenUpKey(Uuid);
    /// What is open of an alert's delivery.
    AheadKey(Uuid);
    /// The first page of a thread.
    CommentPageKey(Thread, Order, u32);
}

fn ids<K: Copy>(keys: &[K], id: impl Fn(K) -> Uuid) -> Vec<Uuid> {
    keys.iter().map(|key| id(*key)).collect()
}

fn group<K: Hash + Eq, V>(pairs: impl IntoIterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}

/// Both kinds of viewers in one batch: one statement each.
fn by_visibility(keys: &[(Uuid, Visibility)]) -> impl Iterator<Item = (Visibility, Vec<Uuid>)> {
    group(keys.iter().map(|(id, visibility)| (*visibility, *id))).into_iter()
}

impl Loader<ArticleKey> for Reader {
    type Value = Article;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[ArticleKey]) -> Result<HashMap<ArticleKey, Article>, Arc<DbErr>> {
        let keys: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let mut found = HashMap::new();
        for (visibility, ids) in by_visibility(&keys) {
            let articles = storage::article::by_ids(self.0.connection(), &ids, visibility).await?;
            found.extend(
                articles.into_iter().map(|article| (ArticleKey(article.id, visibility), article)),
            );
        }
        Ok(found)
    }
}

impl Loader<TranslationsKey> for Reader {
    type Value = Vec<Article>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[TranslationsKey],
    ) -> Result<HashMap<TranslationsKey, Vec<Article>>, Arc<DbErr>> {
        let keys: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let mut found = HashMap::new();
        for (visibility, ids) in by_visibility(&keys) {
            let articles =
                storage::article::by_translation_groups(self.0.connection(), &ids, visibility)
                    .await?;
            let pairs = articles
                .into_iter()
                .map(|a| (TranslationsKey(a.translation_group_id, visibility), a));
            found.extend(group(pairs));
        }
        Ok(found)
    }
}

impl Loader<AuthorsKey> for Reader {
    type Value = Vec<Author>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[AuthorsKey],
    ) -> Result<HashMap<AuthorsKey, Vec<Author>>, Arc<DbErr>> {
        let pairs =
            storage::author::of_articles(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(group(pairs.into_iter().map(|(article, author)| (AuthorsKey(article), author))))
    }
}

impl Loader<TagsKey> for Reader {
    type Value = Vec<Tag>;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[TagsKey]) -> Result<HashMap<TagsKey, Vec<Tag>>, Arc<DbErr>> {
        let pairs = storage::tag::of_articles(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(group(pairs.into_iter().map(|(article, tag)| (TagsKey(article), tag))))
    }
}

impl Loader<AuthorKey> for Reader {
    type Value = Author;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[AuthorKey]) -> Result<HashMap<AuthorKey, Author>, Arc<DbErr>> {
        let found = storage::author::by_ids(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(found.into_iter().map(|author| (AuthorKey(author.id), author)).collect())
    }
}

impl Loader<TagKey> for Reader {
    type Value = Tag;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[TagKey]) -> Result<HashMap<TagKey, Tag>, Arc<DbErr>> {
        let found = storage::tag::by_ids(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(found.into_iter().map(|tag| (TagKey(tag.id), tag)).collect())
    }
}

impl Loader<EditionKey> for Reader {
    type Value = Edition;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[EditionKey]) -> Result<HashMap<EditionKey, Edition>, Arc<DbErr>> {
        let found = storage::edition::by_ids(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(found.into_iter().map(|edition| (EditionKey(edition.id), edition)).collect())
    }
}

impl Loader<EditionsKey> for Reader {
    type Value = Vec<Edition>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        _: &[EditionsKey],
    ) -> Result<HashMap<EditionsKey, Vec<Edition>>, Arc<DbErr>> {
        let editions = storage::edition::all(self.0.connection()).await?;
        Ok(HashMap::from([(EditionsKey(()), editions)]))
    }
}

impl Loader<CategoryKey> for Reader {
    type Value = Category;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[CategoryKey],
    ) -> Result<HashMap<CategoryKey, Category>, Arc<DbErr>> {
        let found = storage::category::by_ids(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(found.into_iter().map(|category| (CategoryKey(category.id), category)).collect())
    }
}

impl Loader<CategoryNamesKey> for Reader {
    type Value = Vec<CategoryName>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[CategoryNamesKey],
    ) -> Result<HashMap<CategoryNamesKey, Vec<CategoryName>>, Arc<DbErr>> {
        let names = storage::category::names(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(group(names.into_iter().map(|name| (CategoryNamesKey(name.category_id), name))))
    }
}

impl Loader<CategoryChildrenKey> for Reader {
    type Value = Vec<Category>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[CategoryChildrenKey],
    ) -> Result<HashMap<CategoryChildrenKey, Vec<Category>>, Arc<DbErr>> {
        let children =
            storage::category::children(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(group(
            children
                .into_iter()
                .filter_map(|child| Some((CategoryChildrenKey(child.parent_id?), child))),
        ))
    }
}

impl Loader<CategoryAncestorsKey> for Reader {
    type Value = Vec<Category>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[CategoryAncestorsKey],
    ) -> Result<HashMap<CategoryAncestorsKey, Vec<Category>>, Arc<DbErr>> {
        let paths = storage::category::paths(self.0.connection(), &ids(keys, |key| key.0)).await?;
        let above: Vec<Uuid> = paths.values().flatten().copied().collect();
        let found = storage::category::by_ids(self.0.connection(), &above).await?;
        let found: HashMap<Uuid, Category> =
            found.into_iter().map(|category| (category.id, category)).collect();
        let above = |(id, path): (Uuid, Vec<Uuid>)| {
            let ancestors = path.iter().filter(|ancestor| **ancestor != id);
            let known = ancestors.filter_map(|ancestor| found.get(ancestor).cloned()).collect();
            (CategoryAncestorsKey(id), known)
        };
        Ok(paths.into_iter().map(above).collect())
    }
}

impl Loader<CommentKey> for Reader {
    type Value = Comment;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[CommentKey]) -> Result<HashMap<CommentKey, Comment>, Arc<DbErr>> {
        let found = storage::comment::by_ids(self.0.connection(), &ids(keys, |key| key.0)).await?;
        Ok(found.into_iter().map(|comment| (CommentKey(comment.id), comment)).collect())
    }
}

impl Loader<CommentPageKey> for Reader {
    type Value = Page<Comment>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[CommentPageKey],
    ) -> Result<HashMap<CommentPageKey, Page<Comment>>, Arc<DbErr>> {
        let mut found = HashMap::new();
        let alike = group(
            keys.iter().map(|CommentPageKey(thread, order, limit)| ((*order, *limit), *thread)),
        );
        for ((order, limit), threads) in alike {
            let rows =
                storage::comment::first_pages(self.0.connection(), &threads, order, limit).await?;
            let mut by_thread = group(rows.into_iter().map(|comment| {
                let thread =
                    comment.parent_id.map_or(Thread::Article(comment.article_id), Thread::Comment);
                (thread, comment)
            }));
            for thread in threads {
                let rows = by_thread.remove(&thread).unwrap_or_default();
                let page = Page::from_rows(rows, &PageRequest::first(limit));
                found.insert(CommentPageKey(thread, order, limit), page);
            }
        }
        Ok(found)
    }
}

impl Loader<RetryingKey> for Reader {
    type Value = Vec<(Option<i32>, i64)>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[RetryingKey],
    ) -> Result<HashMap<RetryingKey, Self::Value>, Arc<DbErr>> {
        let ids = ids(keys, |key| key.0);
        let found = storage::alert_retry::waiting(self.0.connection(), &ids).await?;
        Ok(found.into_iter().map(|(id, answers)| (RetryingKey(id), answers)).collect())
    }
}

impl Loader<AheadKey> for Reader {
    type Value = Ahead;
    type Error = Arc<DbErr>;

    async fn load(&self, keys: &[AheadKey]) -> Result<HashMap<AheadKey, Ahead>, Arc<DbErr>> {
        let ids = ids(keys, |key| key.0);
        let found = storage::alert_wave::ahead(self.0.connection(), &ids).await?;
        Ok(found.into_iter().map(|(id, ahead)| (AheadKey(id), ahead)).collect())
    }
}

impl Loader<GivenUpKey> for Reader {
    type Value = Vec<(Option<i32>, i64)>;
    type Error = Arc<DbErr>;

    async fn load(
        &self,
        keys: &[GivenUpKey],
    ) -> Result<HashMap<GivenUpKey, Self::Value>, Arc<DbErr>> {
        let ids = ids(keys, |key| key.0);
        let found = storage::alert_dead_letter::buried(self.0.connection(), &ids).await?;
        Ok(found.into_iter().map(|(id, answers)| (GivenUpKey(id), answers)).collect())
    }
}
