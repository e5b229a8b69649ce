//! Takes over the comments of an article from elsewhere, each of them once.

use std::collections::HashMap;

use sea_orm::DbErr;
use uuid::Uuid;

use crate::app::App;
use crate::domain::clock::Timestamp;
use crate::domain::comment::{Comment, CommentState, MAX_DEPTH};
use crate::storage;
use crate::storage::Change;
use crate::storage::import_key::Noun;

/// A comment as it was elsewhere. Its texts are parsed already.
#[derive(Debug, Clone)]
pub struct ImportedComment {
    /// Names it among the comments of its article there.
    pub key: String,
    /// The place in the list of the comment it answers.
    pub reply_to: Option<usize>,
    /// The name its writer gave.
    pub author_name: String,
    /// Plain text.
    pub body: String,
    /// Whether others see it.
    pub state: CommentState,
    /// When it was written.
    pub created_at: Timestamp,
}

/// The article that comments belong to: here, and by its source's name and its key there. Without
/// those two, nothing is remembered of where the comments come from.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// The article.
    pub article_id: Uuid,
    /// Source and key.
    pub story: Option<(&'a str, &'a str)>,
}

/// The key by which the next run knows a comment.
pub(super) fn full_key(story: &str, comment: &ImportedComment) -> String {
    format!("{story}/{}", comment.key)
}

/// Writes those comments that no earlier run brought in, into a change that the caller commits, and
/// answers how many they are. Those that are answered stand before those that answer.
pub async fn import_comments(
    app: &App,
    change: &Change,
    under: Under<'_>,
    imported: Vec<ImportedComment>,
) -> Result<u64, DbErr> {
    let tx = change.transaction();
    let known = known(change, under, &imported).await?;
    let mut placed: Vec<Placed> = Vec::with_capacity(imported.len());
    let mut replies: HashMap<Uuid, i32> = HashMap::new();
    for comment in imported {
        let above = above(&placed, comment.reply_to);
        let parent = above.and_then(|place| placed[place].comment.as_ref());
        let seen = above.is_none_or(|place| placed[place].visible);
        let key = under.story.map(|(_, story)| full_key(story, &comment));
        let (row, new) = match key.as_ref().and_then(|key| known.get(key)) {
            Some(row) => (row.clone(), false),
            None => (Some(fresh(app, under.article_id, parent, comment)), true),
        };
        let approved = row.as_ref().is_some_and(|row| row.state == CommentState::Approved);
        if let Some(parent) = parent.filter(|_| new && approved) {
            *replies.entry(parent.id).or_default() += 1;
        }
        // Readers see a reply where they see what it answers.
        placed.push(Placed { comment: row, above, visible: approved && seen, new, key });
    }
    for place in placed.iter().filter(|place| place.new) {
        let Some(comment) = &place.comment else { continue };
        storage::comment::insert(tx, comment, None).await?;
        if let (Some((source, _)), Some(key)) = (under.story, &place.key) {
            storage::import_key::insert(tx, Noun::Comment, (source, key), comment.id).await?;
        }
    }
    for (id, count) in replies {
        storage::comment::add_replies(tx, id, count).await?;
    }
    let visible = placed.iter().filter(|place| place.new && place.visible).count();
    let visible = i32::try_from(visible).unwrap_or(i32::MAX);
    if visible > 0 {
        storage::article_write::add_comments(tx, under.article_id, visible).await?;
    }
    Ok(placed.iter().filter(|place| place.new).count() as u64)
}

/// A comment of the list with where it stands.
struct Placed {
    /// `None` for one that an earlier run brought in and that is gone since.
    comment: Option<Comment>,
    /// The place in the list of the one it stands under.
    above: Option<usize>,
    visible: bool,
    new: bool,
    key: Option<String>,
}

/// The comments of the list that an earlier run brought in, by key.
async fn known(
    change: &Change,
    under: Under<'_>,
    imported: &[ImportedComment],
) -> Result<HashMap<String, Option<Comment>>, DbErr> {
    let Some((source, story)) = under.story else {
        return Ok(HashMap::new());
    };
    let tx = change.transaction();
    let keys: Vec<String> = imported.iter().map(|comment| full_key(story, comment)).collect();
    let targets = storage::import_key::targets(tx, Noun::Comment, source, &keys).await?;
    let ids: Vec<Uuid> = targets.values().copied().collect();
    let mut rows = HashMap::new();
    for ids in ids.chunks(500) {
        let found = storage::comment::by_ids(tx, ids).await?;
        rows.extend(found.into_iter().map(|comment| (comment.id, comment)));
    }
    Ok(targets.into_iter().map(|(key, id)| (key, rows.remove(&id))).collect())
}

/// The place of the nearest comment that a reply can stand under.
fn above(placed: &[Placed], reply_to: Option<usize>) -> Option<usize> {
    let mut place = reply_to.filter(|&place| place < placed.len());
    while let Some(at) = place {
        match &placed[at].comment {
            // As for readers: what would stand too deep stands beside the comment it answers.
            Some(comment) if comment.depth < MAX_DEPTH => return place,
            _ => place = placed[at].above,
        }
    }
    None
}

fn fresh(
    app: &App,
    article_id: Uuid,
    parent: Option<&Comment>,
    imported: ImportedComment,
) -> Comment {
    Comment {
        id: app.clock.new_id(),
        article_id,
        parent_id: parent.map(|parent| parent.id),
        depth: parent.map_or(0, |parent| parent.depth + 1),
        author_name: imported.author_name,
        body: imported.body,
        state: imported.state,
        reply_count: 0,
        created_at: imported.created_at,
    }
}
