//! Who wrote an article, and how it is tagged.

use async_graphql::{ID, Object};

use super::ids::{self, Kind};
use crate::domain::article as domain;

/// Whoever wrote a story, as the byline names them.
pub struct Author(pub domain::Author);

/// Whoever wrote a story, as the byline names them.
#[Object]
impl Author {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Author, self.0.id)
    }

    /// Unique.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// A word that articles of one edition have in common.
pub struct Tag(pub domain::Tag);

/// A word that articles of one edition have in common.
#[Object]
impl Tag {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Tag, self.0.id)
    }

    /// As readers see it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Unique in the edition.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
}
