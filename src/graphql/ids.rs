//! Global ids: opaque to clients, one name space for everything that is a `Node`.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// What an id can be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Article`
    Article,
    /// `Author`
    Author,
    /// `Category`
    Category,
    /// `Comment`
    Comment,
    /// `Edition`
    Edition,
    /// `Tag`
    Tag,
    /// `Alert`
    Alert,
    /// `User`
    User,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Article,
        Self::Author,
        Self::Category,
        Self::Comment,
        Self::Edition,
        Self::Tag,
        Self::Alert,
        Self::User,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Article => "Article",
            Self::Author => "Author",
            Self::Category => "Category",
            Self::Comment => "Comment",
            Self::Edition => "Edition",
            Self::Tag => "Tag",
            Self::Alert => "Alert",
            Self::User => "User",
        }
    }
}

/// The global id of a thing.
pub fn encode(kind: Kind, id: Uuid) -> ID {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", kind.name(), id.simple())).into()
}

/// What a global id is of, if it is one.
pub fn decode(id: &ID) -> Option<(Kind, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?).ok()?;
    let (name, uuid) = text.split_once(':')?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
    Some((kind, Uuid::try_parse(uuid).ok()?))
}

/// The id of a thing of this kind. Any other text gives the nil id, which nothing has: an id that
/// is malformed and one of something that does not exist are answered alike.
pub fn of(kind: Kind, id: &ID) -> Uuid {
    decode(id).filter(|(found, _)| *found == kind).map_or(Uuid::nil(), |(_, uuid)| uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_others_are_of_nothing() {
        let uuid = Uuid::from_u128(7);
        let id = encode(Kind::Article, uuid);
        assert_eq!(decode(&id), Some((Kind::Article, uuid)));
        assert_eq!(of(Kind::Article, &id), uuid);
        assert_eq!(of(Kind::Comment, &id), Uuid::nil());
        for bad in ["", "7", "Article:7", "QXJ0aWNsZTo3"] {
            assert_eq!(decode(&bad.into()), None, "{bad}");
        }
    }
}
