//! Authors, and which articles they wrote.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set};
use uuid::Uuid;

use super::entities::{article_author, author};
use crate::domain::article::Author;
use crate::domain::clock::{Clock, Timestamp};

/// The authors with these ids, in no order.
pub async fn by_ids(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Author>, DbErr> {
    let find = author::Entity::find().filter(author::COLUMN.id.is_in(ids.iter().copied()));
    Ok(find.all(connection).await?.into_iter().map(from_row).collect())
}

/// Pairs (article, author) for these articles, each article's authors in order.
pub async fn of_articles(
    connection: &impl ConnectionTrait,
    articles: &[Uuid],
) -> Result<Vec<(Uuid, Author)>, DbErr> {
    let rows = article_author::Entity::find()
        .filter(article_author::COLUMN.article_id.is_in(articles.iter().copied()))
        .order_by_asc(article_author::COLUMN.position)
        .find_also_related(author::Entity)
        .all(connection)
        .await?;
    let known =
        rows.into_iter().filter_map(|(link, author)| Some((link.article_id, from_row(author?))));
    Ok(known.collect())
}

/// Credits an article to these names, in order; names not known yet become authors.
pub async fn credit(
    connection: &impl ConnectionTrait,
    article_id: Uuid,
    names: &[String],
    clock: &dyn Clock,
) -> Result<(), DbErr> {
    article_author::Entity::delete_many()
        .filter(article_author::COLUMN.article_id.eq(article_id))
        .exec(connection)
        .await?;
    let now = clock.now();
    // New names in one order, whatever the byline's: two who add the same ones wait for each other
    // one way only.
    let mut ids = BTreeMap::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        ids.insert(name, find_or_insert(connection, name, clock.new_id(), now).await?);
    }
    for (position, name) in (0..).zip(names) {
        let link = article_author::ActiveModel {
            article_id: Set(article_id),
            author_id: Set(ids[name]),
            position: Set(position),
        };
        article_author::Entity::insert(link).exec_without_returning(connection).await?;
    }
    Ok(())
}

async fn find_or_insert(
    connection: &impl ConnectionTrait,
    name: &str,
    new_id: Uuid,
    now: Timestamp,
) -> Result<Uuid, DbErr> {
    let row =
        author::ActiveModel { id: Set(new_id), name: Set(name.to_owned()), created_at: Set(now) };
    author::Entity::insert(row)
        .on_conflict(OnConflict::column(author::Column::Name).do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    let found = author::Entity::find().filter(author::COLUMN.name.eq(name)).one(connection).await?;
    found
        .map(|row| row.id)
        .ok_or_else(|| DbErr::RecordNotFound("an author just written".to_owned()))
}

fn from_row(row: author::Model) -> Author {
    Author { id: row.id, name: row.name }
}
