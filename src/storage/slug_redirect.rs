//! Slugs that once were: where they lead now.

use sea_orm::sea_query::{ExprTrait, OnConflict};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entities::slug_redirect::{ActiveModel, COLUMN, Column, Entity};
use crate::domain::clock::Timestamp;

/// What kind of thing a slug belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An article.
    Article,
    /// A category.
    Category,
}

impl Noun {
    fn as_str(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Category => "category",
        }
    }
}

/// Where an old slug leads.
pub async fn target(
    connection: &impl ConnectionTrait,
    noun: Noun,
    edition_id: Uuid,
    slug: &str,
) -> Result<Option<Uuid>, DbErr> {
    let row = Entity::find_by_id((noun.as_str().to_owned(), edition_id, slug.to_owned()))
        .one(connection)
        .await?;
    Ok(row.map(|row| row.target_id))
}

/// Which of these slugs lead somewhere.
pub async fn known(
    connection: &impl ConnectionTrait,
    noun: Noun,
    edition_id: Uuid,
    slugs: &[String],
) -> Result<Vec<String>, DbErr> {
    let find = Entity::find()
        .filter(COLUMN.noun.eq(noun.as_str()))
        .filter(COLUMN.edition_id.eq(edition_id))
        .filter(COLUMN.slug.is_in(slugs.iter().cloned()));
    Ok(find.all(connection).await?.into_iter().map(|row| row.slug).collect())
}

/// Makes an old slug lead to the target, wherever it led before.
pub async fn put(
    connection: &impl ConnectionTrait,
    noun: Noun,
    (edition_id, slug): (Uuid, &str),
    target_id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        noun: Set(noun.as_str().to_owned()),
        edition_id: Set(edition_id),
        slug: Set(slug.to_owned()),
        target_id: Set(target_id),
        created_at: Set(now),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::columns([Column::Noun, Column::EditionId, Column::Slug])
                .update_columns([Column::TargetId, Column::CreatedAt])
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Forgets an old slug, because something new is called that.
pub async fn remove(
    connection: &impl ConnectionTrait,
    noun: Noun,
    edition_id: Uuid,
    slug: &str,
) -> Result<(), DbErr> {
    Entity::delete_by_id((noun.as_str().to_owned(), edition_id, slug.to_owned()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Makes all slugs that lead to one thing lead to another, or nowhere.
pub async fn retarget(
    connection: &impl ConnectionTrait,
    noun: Noun,
    from: Uuid,
    to: Option<Uuid>,
) -> Result<(), DbErr> {
    let of_noun = COLUMN.noun.eq(noun.as_str()).and(COLUMN.target_id.eq(from));
    match to {
        Some(to) => {
            let update = Entity::update_many().col_expr(Column::TargetId, to.into());
            update.filter(of_noun).exec(connection).await?;
        }
        None => {
            Entity::delete_many().filter(of_noun).exec(connection).await?;
        }
    }
    Ok(())
}
