//! Comments: what readers reply, and whether other readers see it.

use uuid::Uuid;

use super::clock::Timestamp;

/// Characters (grapheme clusters) of a commenter's name.
pub const MAX_NAME: usize = 60;
/// Characters of a comment.
pub const MAX_BODY: usize = 5_000;
/// Replies nest this deep; a deeper one attaches to the last level.
pub const MAX_DEPTH: u32 = 5;
/// More links than this hold a comment back for a moderator.
const FREE_LINKS: usize = 2;

/// Whether others see a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommentState {
    /// Waits for a moderator.
    Pending,
    /// Everybody sees it.
    Approved,
    /// A moderator refused it.
    Rejected,
    /// Unwanted advertising.
    Spam,
}

impl CommentState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Rejected, Self::Spam];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Spam => "SPAM",
        }
    }

    /// The state behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A reader's reply to an article or to another comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: Uuid,
    /// The article it stands under.
    pub article_id: Uuid,
    /// The comment it answers; `None` when it answers the article.
    pub parent_id: Option<Uuid>,
    /// 0 under the article, one more for each level.
    pub depth: u32,
    /// The name the guest gave.
    pub author_name: String,
    /// Plain text, paragraphs separated by empty lines.
    pub body: String,
    /// Whether others see it.
    pub state: CommentState,
    /// Approved direct replies, exactly.
    pub reply_count: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// What becomes of a new comment before anybody has read it.
pub fn first_verdict(body: &str) -> CommentState {
    if count_links(body) > FREE_LINKS { CommentState::Pending } else { CommentState::Approved }
}

fn count_links(body: &str) -> usize {
    let lower = body.to_lowercase();
    lower.matches("http://").count()
        + lower.matches("https://").count()
        + lower.split_whitespace().filter(|word| word.starts_with("www.")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_word() {
        for state in CommentState::ALL {
            assert_eq!(CommentState::from_word(state.as_str()), Some(state));
        }
    }

    #[test]
    fn many_links_wait_for_a_moderator() {
        assert_eq!(first_verdict("شكراً https://a.example و www.b.example"), CommentState::Approved);
        assert_eq!(first_verdict("HTTP://a http://b www.c.example"), CommentState::Pending);
    }
}
