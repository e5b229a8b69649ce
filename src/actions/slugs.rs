//! How an article comes by a slug that nothing else in its edition has.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::domain::slug;
use crate::storage;
use crate::storage::slug_redirect::{self, Noun};

/// How many numbers are tried behind a slug before the article's id is put there.
const NUMBERS: usize = 20;

/// The wanted slug, or the first one with a number behind it that is free: nothing goes by it, and it
/// leads nowhere. The caller holds [`storage::edition::lock_slugs`].
pub(super) async fn free_article_slug(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    wanted: &str,
    article_id: Uuid,
) -> Result<String, DbErr> {
    let numbered = (2..=NUMBERS).map(|number| slug::numbered(wanted, number));
    let candidates: Vec<String> = std::iter::once(wanted.to_owned()).chain(numbered).collect();
    let mut taken =
        storage::article::taken_slugs(connection, edition_id, &candidates, Some(article_id))
            .await?;
    taken.extend(slug_redirect::known(connection, Noun::Article, edition_id, &candidates).await?);
    let free = candidates.into_iter().find(|candidate| !taken.contains(candidate));
    Ok(free.unwrap_or_else(|| article_id.simple().to_string()))
}
