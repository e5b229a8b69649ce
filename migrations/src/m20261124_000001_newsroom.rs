//! Editions, the category tree, authors, tags, articles and their revisions.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, drop_tables, index, references};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            editions(),
            categories(),
            category_names(),
            category_ancestry(),
            authors(),
            tags(),
            articles(),
            revisions(),
            article_authors(),
            article_tags(),
            slug_redirects(),
            import_keys(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "import_keys",
                "slug_redirects",
                "article_tags",
                "article_authors",
                "revisions",
                "articles",
                "tags",
                "authors",
                "category_ancestry",
                "category_names",
                "categories",
                "editions",
            ],
        )
        .await
    }
}

fn editions() -> TableCreateStatement {
    Table::create()
        .table("editions")
        .col(pk_uuid("id"))
        .col(text_uniq("locale"))
        .col(text("name"))
        .col(text("direction"))
        .col(text("time_zone"))
        .col(text_null("place_name"))
        .col(double_null("latitude"))
        .col(double_null("longitude"))
        .col(integer("position"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

fn categories() -> TableCreateStatement {
    Table::create()
        .table("categories")
        .col(pk_uuid("id"))
        .col(uuid_null("parent_id"))
        .col(integer("position"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .foreign_key(&mut references(
            "categories",
            "parent_id",
            "categories",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}

fn category_names() -> TableCreateStatement {
    Table::create()
        .table("category_names")
        .col(uuid("category_id"))
        .col(uuid("edition_id"))
        .col(text("name"))
        .col(text("slug"))
        .primary_key(Index::create().col("category_id").col("edition_id"))
        .foreign_key(&mut references(
            "category_names",
            "category_id",
            "categories",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "category_names",
            "edition_id",
            "editions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

/// The tree as a closure: one row for each (ancestor, descendant), itself included at depth 0.
fn category_ancestry() -> TableCreateStatement {
    Table::create()
        .table("category_ancestry")
        .col(uuid("ancestor_id"))
        .col(uuid("descendant_id"))
        .col(integer("depth"))
        .primary_key(Index::create().col("ancestor_id").col("descendant_id"))
        .foreign_key(&mut references(
            "category_ancestry",
            "ancestor_id",
            "categories",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "category_ancestry",
            "descendant_id",
            "categories",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

fn authors() -> TableCreateStatement {
    Table::create()
        .table("authors")
        .col(pk_uuid("id"))
        .col(text("name"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

fn tags() -> TableCreateStatement {
    Table::create()
        .table("tags")
        .col(pk_uuid("id"))
        .col(uuid("edition_id"))
        .col(text("name"))
        .col(text("slug"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut references("tags", "edition_id", "editions", ForeignKeyAction::Cascade))
        .to_owned()
}

/// What an article *is* and where it stands; its text lives in `revisions`. Readers see the
/// revision in `published_revision_id` and no other.
fn articles() -> TableCreateStatement {
    Table::create()
        .table("articles")
        .col(pk_uuid("id"))
        .col(uuid("edition_id"))
        .col(uuid("category_id"))
        .col(uuid("translation_group_id"))
        .col(text("slug"))
        .col(text("state"))
        .col(boolean("breaking"))
        .col(uuid("latest_revision_id"))
        .col(uuid_null("published_revision_id"))
        .col(integer("comment_count"))
        .col(integer("lock_version"))
        .col(uuid_null("created_by"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(timestamp_with_time_zone_null("published_at"))
        .foreign_key(&mut references(
            "articles",
            "edition_id",
            "editions",
            ForeignKeyAction::Restrict,
        ))
        .foreign_key(&mut references(
            "articles",
            "category_id",
            "categories",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}

fn revisions() -> TableCreateStatement {
    Table::create()
        .table("revisions")
        .col(pk_uuid("id"))
        .col(uuid("article_id"))
        .col(integer("number"))
        .col(text("headline"))
        .col(text_null("subheadline"))
        .col(text_null("dateline_source"))
        .col(text_null("dateline_place"))
        .col(text("body"))
        .col(text("excerpt"))
        .col(text_null("image_url"))
        .col(text_null("image_alt"))
        .col(integer("word_count"))
        .col(uuid_null("created_by"))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(&mut references(
            "revisions",
            "article_id",
            "articles",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

fn article_authors() -> TableCreateStatement {
    Table::create()
        .table("article_authors")
        .col(uuid("article_id"))
        .col(uuid("author_id"))
        .col(integer("position"))
        .primary_key(Index::create().col("article_id").col("author_id"))
        .foreign_key(&mut references(
            "article_authors",
            "article_id",
            "articles",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "article_authors",
            "author_id",
            "authors",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

fn article_tags() -> TableCreateStatement {
    Table::create()
        .table("article_tags")
        .col(uuid("article_id"))
        .col(uuid("tag_id"))
        .col(integer("position"))
        .primary_key(Index::create().col("article_id").col("tag_id"))
        .foreign_key(&mut references(
            "article_tags",
            "article_id",
            "articles",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references("article_tags", "tag_id", "tags", ForeignKeyAction::Cascade))
        .to_owned()
}

/// Slugs that once were, and what stands behind them now. `noun` is `article` or `category`.
fn slug_redirects() -> TableCreateStatement {
    Table::create()
        .table("slug_redirects")
        .col(text("noun"))
        .col(uuid("edition_id"))
        .col(text("slug"))
        .col(uuid("target_id"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("noun").col("edition_id").col("slug"))
        .foreign_key(&mut references(
            "slug_redirects",
            "edition_id",
            "editions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

/// What an import has already brought in: the key at its source, and the row it became.
fn import_keys() -> TableCreateStatement {
    Table::create()
        .table("import_keys")
        .col(text("source"))
        .col(text("noun"))
        .col(text("key"))
        .col(uuid("target_id"))
        .primary_key(Index::create().col("source").col("noun").col("key"))
        .to_owned()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("categories", "tree", &["parent_id", "position"], false),
        index("category_names", "slug", &["edition_id", "slug"], true),
        index("category_ancestry", "up", &["descendant_id", "depth"], false),
        index("authors", "name", &["name"], true),
        index("tags", "slug", &["edition_id", "slug"], true),
        index("articles", "slug", &["edition_id", "slug"], true),
        index("articles", "newest", &["edition_id", "state", "published_at", "id"], false),
        index("articles", "changed", &["edition_id", "state", "updated_at", "id"], false),
        index("articles", "category", &["category_id", "state", "published_at", "id"], false),
        index("articles", "translations", &["translation_group_id", "edition_id"], true),
        index("revisions", "number", &["article_id", "number"], true),
        index("article_authors", "articles", &["author_id", "article_id"], false),
        index("article_tags", "articles", &["tag_id", "article_id"], false),
        index("slug_redirects", "target", &["target_id"], false),
    ]
}
