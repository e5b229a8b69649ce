//! Tags, and which articles carry them.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set};
use uuid::Uuid;

use super::entities::{article_tag, tag};
use crate::domain::article::Tag;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::slug;

/// The tags with these ids, in no order.
pub async fn by_ids(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Tag>, DbErr> {
    let find = tag::Entity::find().filter(tag::COLUMN.id.is_in(ids.iter().copied()));
    Ok(find.all(connection).await?.into_iter().map(from_row).collect())
}

/// The tag of this slug in an edition.
pub async fn by_slug(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    slug: &str,
) -> Result<Option<Tag>, DbErr> {
    let find = tag::Entity::find()
        .filter(tag::COLUMN.edition_id.eq(edition_id))
        .filter(tag::COLUMN.slug.eq(slug));
    Ok(find.one(connection).await?.map(from_row))
}

/// Pairs (article, tag) for these articles, each article's tags in order.
pub async fn of_articles(
    connection: &impl ConnectionTrait,
    articles: &[Uuid],
) -> Result<Vec<(Uuid, Tag)>, DbErr> {
    let rows = article_tag::Entity::find()
        .filter(article_tag::COLUMN.article_id.is_in(articles.iter().copied()))
        .order_by_asc(article_tag::COLUMN.position)
        .find_also_related(tag::Entity)
        .all(connection)
        .await?;
    Ok(rows.into_iter().filter_map(|(link, tag)| Some((link.article_id, from_row(tag?)))).collect())
}

/// Tags an article of an edition with these names, in order; two names of one slug are one tag.
pub async fn attach(
    connection: &impl ConnectionTrait,
    (article_id, edition_id): (Uuid, Uuid),
    names: &[String],
    clock: &dyn Clock,
) -> Result<(), DbErr> {
    article_tag::Entity::delete_many()
        .filter(article_tag::COLUMN.article_id.eq(article_id))
        .exec(connection)
        .await?;
    let now = clock.now();
    // New names in one order, whatever the article's: two who add the same ones wait for each other
    // one way only.
    let mut ids = BTreeMap::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let tag_id = find_or_insert(connection, (edition_id, name), clock.new_id(), now).await?;
        ids.insert(name, tag_id);
    }
    let mut attached = Vec::new();
    for name in names {
        let tag_id = ids[name];
        if attached.contains(&tag_id) {
            continue;
        }
        let position = i32::try_from(attached.len()).unwrap_or(i32::MAX);
        attached.push(tag_id);
        let link = article_tag::ActiveModel {
            article_id: Set(article_id),
            tag_id: Set(tag_id),
            position: Set(position),
        };
        article_tag::Entity::insert(link).exec_without_returning(connection).await?;
    }
    Ok(())
}

async fn find_or_insert(
    connection: &impl ConnectionTrait,
    (edition_id, name): (Uuid, &str),
    new_id: Uuid,
    now: Timestamp,
) -> Result<Uuid, DbErr> {
    let slug = slug::from_text_or(name, &new_id.simple().to_string());
    let row = tag::ActiveModel {
        id: Set(new_id),
        edition_id: Set(edition_id),
        name: Set(name.to_owned()),
        slug: Set(slug.clone()),
        created_at: Set(now),
    };
    tag::Entity::insert(row)
        .on_conflict(
            OnConflict::columns([tag::Column::EditionId, tag::Column::Slug])
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await?;
    let found = by_slug(connection, edition_id, &slug).await?;
    found.map(|tag| tag.id).ok_or_else(|| DbErr::RecordNotFound("a tag just written".to_owned()))
}

fn from_row(row: tag::Model) -> Tag {
    Tag { id: row.id, name: row.name, slug: row.slug }
}
