//! What imports brought in: a source's own keys and the ids they became here.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entities::import_key::{ActiveModel, COLUMN, Entity};

/// Keys in one statement; databases limit its parameters.
const AT_ONCE: usize = 500;

/// What kind of thing a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An article.
    Article,
    /// A category.
    Category,
    /// A comment.
    Comment,
}

impl Noun {
    fn as_str(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Category => "category",
            Self::Comment => "comment",
        }
    }
}

/// What a source's key became.
pub async fn target(
    connection: &impl ConnectionTrait,
    noun: Noun,
    (source, key): (&str, &str),
) -> Result<Option<Uuid>, DbErr> {
    let id = (source.to_owned(), noun.as_str().to_owned(), key.to_owned());
    let row = Entity::find_by_id(id).one(connection).await?;
    Ok(row.map(|row| row.target_id))
}

/// What several of a source's keys became; those that are not known are left out.
pub async fn targets(
    connection: &impl ConnectionTrait,
    noun: Noun,
    source: &str,
    keys: &[String],
) -> Result<HashMap<String, Uuid>, DbErr> {
    let mut found = HashMap::new();
    for keys in keys.chunks(AT_ONCE) {
        let rows = Entity::find()
            .filter(COLUMN.source.eq(source))
            .filter(COLUMN.noun.eq(noun.as_str()))
            .filter(COLUMN.key.is_in(keys.iter().map(String::as_str)))
            .all(connection)
            .await?;
        found.extend(rows.into_iter().map(|row| (row.key, row.target_id)));
    }
    Ok(found)
}

/// Remembers what a source's key became. Fails when the key is known already.
pub async fn insert(
    connection: &impl ConnectionTrait,
    noun: Noun,
    (source, key): (&str, &str),
    target_id: Uuid,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        source: Set(source.to_owned()),
        noun: Set(noun.as_str().to_owned()),
        key: Set(key.to_owned()),
        target_id: Set(target_id),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Forgets a key whose target is gone.
pub async fn remove(
    connection: &impl ConnectionTrait,
    noun: Noun,
    (source, key): (&str, &str),
) -> Result<(), DbErr> {
    let id = (source.to_owned(), noun.as_str().to_owned(), key.to_owned());
    Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}
