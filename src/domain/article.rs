//! Articles: what a story is, and which states it goes through.

use url::Url;
use uuid::Uuid;

use super::body::Body;
use super::clock::Timestamp;
use super::edition::Edition;

/// Characters (grapheme clusters) a headline may have.
pub const MAX_HEADLINE: usize = 300;
/// Characters a sub-headline may have.
pub const MAX_SUBHEADLINE: usize = 500;
/// Characters a dateline's source or place may have.
pub const MAX_DATELINE: usize = 100;
/// Characters an excerpt may have.
pub const MAX_EXCERPT: usize = 1_000;
/// How many authors and tags an article may have, each.
pub const MAX_CREDITS: usize = 20;
/// Words a minute that a reader of news manages, rounded down.
const WORDS_A_MINUTE: u32 = 200;

/// Where an article stands. Readers see `Published` and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArticleState {
    /// Being written.
    Draft,
    /// Waiting for an editor.
    InReview,
    /// Will be published at a set time.
    Scheduled,
    /// Readers see it.
    Published,
    /// Was published and was taken back.
    Unpublished,
    /// Kept, and out of everybody's way.
    Archived,
}

impl ArticleState {
    /// Every state, in the order of an article's life.
    pub const ALL: [Self; 6] = [
        Self::Draft,
        Self::InReview,
        Self::Scheduled,
        Self::Published,
        Self::Unpublished,
        Self::Archived,
    ];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::InReview => "IN_REVIEW",
            Self::Scheduled => "SCHEDULED",
            Self::Published => "PUBLISHED",
            Self::Unpublished => "UNPUBLISHED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// The state behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether an article in this state may be published. A published one may be published again:
    /// that is how an edited text reaches readers.
    pub fn may_publish(self) -> bool {
        !matches!(self, Self::Archived)
    }

    /// Whether it can be taken back from readers.
    pub fn may_unpublish(self) -> bool {
        self == Self::Published
    }

    /// Whether its text may be edited.
    pub fn may_edit(self) -> bool {
        !matches!(self, Self::Archived)
    }
}

/// Where a story was filed from: `زاكروس عربية – أربيل`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dateline {
    /// Who filed it, such as an agency.
    pub source: Option<String>,
    /// From where.
    pub place: Option<String>,
}

/// Whoever wrote a story, as the byline names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Its id.
    pub id: Uuid,
    /// Unique.
    pub name: String,
}

/// A word that articles of one edition have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its id.
    pub id: Uuid,
    /// As readers see it.
    pub name: String,
    /// Unique in the edition.
    pub slug: String,
}

/// A picture by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// An absolute `http(s)` address.
    pub url: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
}

/// The words of an article, as a revision keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleText {
    /// One line.
    pub headline: String,
    /// The line under it.
    pub subheadline: Option<String>,
    /// Source and place.
    pub dateline: Dateline,
    /// The story.
    pub body: Body,
    /// For lists: written by an editor, or the beginning of the body.
    pub excerpt: String,
    /// The picture that stands for the story.
    pub image: Option<Image>,
}

/// An article as a viewer may see it, with the text that is meant for that viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Its id, the same for ever.
    pub id: Uuid,
    /// The language edition it belongs to.
    pub edition_id: Uuid,
    /// Its node in the category tree.
    pub category_id: Uuid,
    /// Shared by the articles that tell the same story in other editions.
    pub translation_group_id: Uuid,
    /// Unique in its edition.
    pub slug: String,
    /// Where it stands.
    pub state: ArticleState,
    /// Breaking news?
    pub breaking: bool,
    /// Which revision the text is.
    pub revision_id: Uuid,
    /// The newest revision; another than `revision_id` when edits wait to be published.
    pub latest_revision_id: Uuid,
    /// The text itself.
    pub text: ArticleText,
    /// Words in the body.
    pub word_count: u32,
    /// Approved comments, exactly.
    pub comment_count: u32,
    /// Counts the changes, for optimistic locking.
    pub lock_version: i32,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When readers' view of it last changed.
    pub updated_at: Timestamp,
    /// When it was first published; `None` before.
    pub published_at: Option<Timestamp>,
}

impl Article {
    /// Whole minutes it takes to read, at least one.
    pub fn reading_minutes(&self) -> u32 {
        self.word_count.div_ceil(WORDS_A_MINUTE).max(1)
    }

    /// Where readers find it: the site, the locale, the slug.
    pub fn canonical_url(&self, site: &Url, edition: &Edition) -> String {
        let mut url = site.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&edition.locale).push(&self.slug);
        }
        url.into()
    }

    /// Whether edits wait to be published.
    pub fn has_unpublished_changes(&self) -> bool {
        self.latest_revision_id != self.revision_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_word() {
        for state in ArticleState::ALL {
            assert_eq!(ArticleState::from_word(state.as_str()), Some(state));
        }
        assert_eq!(ArticleState::from_word("published"), None);
    }

    #[test]
    fn only_a_published_article_can_be_taken_back() {
        let takers = ArticleState::ALL.into_iter().filter(|state| state.may_unpublish());
        assert_eq!(takers.collect::<Vec<_>>(), [ArticleState::Published]);
    }
}
