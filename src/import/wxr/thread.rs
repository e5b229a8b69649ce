//! Comments of an export in the order and the threads that ours stand in.

use std::collections::{HashMap, VecDeque};

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::map::instant;
use super::record::Comment;
use crate::actions::import_comments::ImportedComment;
use crate::domain::clock::Timestamp;
use crate::domain::comment::{CommentState, MAX_BODY, MAX_NAME};
use crate::domain::{body_html, text};
use crate::import::report::Tally;

/// The name of a commenter who gave none.
const NAMELESS: &str = "—";

/// Comments to bring in, and what is said of the rest.
#[derive(Debug, Default)]
pub struct Thread {
    /// Those that are answered before those that answer.
    pub comments: Vec<ImportedComment>,
    /// Why others stay behind.
    pub left_out: Tally,
    /// What is not as it was.
    pub changed: Tally,
}

/// Maps an item's comments. `article_at` stands in for a date that is missing.
///
/// A reply to a comment that stays behind, or that the file does not hold, attaches to the nearest
/// one above that comes along, else to the article.
pub fn thread(comments: &[Comment], article_at: Timestamp, zone: Tz) -> Thread {
    let mut thread = Thread::default();
    let mut answers: HashMap<u64, Vec<usize>> = HashMap::new();
    let ids: HashMap<u64, usize> = comments.iter().enumerate().map(|(i, c)| (c.id, i)).collect();
    let mut waiting = VecDeque::new();
    for (index, comment) in comments.iter().enumerate() {
        let known = ids.get(&comment.parent).is_some_and(|parent| *parent != index);
        if comment.parent != 0 && known {
            answers.entry(comment.parent).or_default().push(index);
        } else {
            waiting.push_back((index, None));
        }
    }
    let keys = keys(comments);
    let mut seen = vec![false; comments.len()];
    // What answers itself in a circle is reached from no root: it begins anew at its first.
    for first in 0..=comments.len() {
        while let Some((index, above)) = waiting.pop_front() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            let comment = &comments[index];
            let named = (keys[index].as_str(), comment);
            let place = thread.take(named, above, article_at, zone).or(above);
            // Two comments of one id: the last speaks for both, and each is taken once.
            if ids.get(&comment.id) == Some(&index) {
                for answer in answers.remove(&comment.id).unwrap_or_default() {
                    waiting.push_back((answer, place));
                }
            }
        }
        if first < comments.len() && !seen[first] {
            waiting.push_back((first, None));
        }
    }
    thread
}

impl Thread {
    /// Takes a comment and answers its place, or counts why not.
    fn take(
        &mut self,
        (key, comment): (&str, &Comment),
        reply_to: Option<usize>,
        article_at: Timestamp,
        zone: Tz,
    ) -> Option<usize> {
        let state = match state(comment) {
            Ok(state) => state,
            Err(reason) => {
                self.left_out.add(reason);
                return None;
            }
        };
        let body = body_html::to_text(&comment.content);
        let Ok(body) = text::prose(&body, usize::MAX) else {
            self.left_out.add("comments without text");
            return None;
        };
        let cut = text::shorten(&body, MAX_BODY);
        if cut != body {
            self.changed.add("comments cut to the longest allowed");
        }
        let author = text::line(&body_html::to_text(&comment.author), usize::MAX)
            .unwrap_or_else(|_| NAMELESS.to_owned());
        self.comments.push(ImportedComment {
            key: key.to_owned(),
            reply_to,
            author_name: text::shorten(&author, MAX_NAME),
            body: cut,
            state,
            created_at: instant(comment.dates, zone).unwrap_or(article_at),
        });
        Some(self.comments.len() - 1)
    }
}

/// What the next run knows comments by: their numbers, or a digest where the file gives none; one
/// that comes again is counted.
fn keys(comments: &[Comment]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let key = |comment: &Comment| {
        let name: String = match comment.id {
            0 => {
                let said = (&comment.author, comment.dates, &comment.content);
                let digest = Sha256::digest(format!("{said:?}"));
                digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
            }
            id => id.to_string(),
        };
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}#{count}") }
    };
    comments.iter().map(key).collect()
}

fn state(comment: &Comment) -> Result<CommentState, &'static str> {
    match comment.kind.as_str() {
        "" | "comment" => {}
        "pingback" | "trackback" => return Err("pingbacks and trackbacks"),
        _ => return Err("notes that are no comments"),
    }
    match comment.approved.as_str() {
        "1" | "approve" | "approved" => Ok(CommentState::Approved),
        "spam" => Ok(CommentState::Spam),
        "trash" | "post-trashed" => Err("comments in the bin"),
        // Whatever else it says, nobody has let it through.
        _ => Ok(CommentState::Pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(id: u64, parent: u64, approved: &str, kind: &str) -> Comment {
        Comment {
            id,
            author: "قارئ".into(),
            content: format!("c{id}"),
            approved: approved.into(),
            kind: kind.into(),
            parent,
            ..Comment::default()
        }
    }

    fn threaded(comments: &[Comment]) -> Vec<(String, Option<String>)> {
        let taken = thread(comments, Timestamp::UNIX_EPOCH, Tz::UTC).comments;
        let name = |index: usize| taken[index].body.clone();
        taken.iter().map(|comment| (comment.body.clone(), comment.reply_to.map(name))).collect()
    }

    fn pair(body: &str, above: Option<&str>) -> (String, Option<String>) {
        (body.to_owned(), above.map(str::to_owned))
    }

    #[test]
    fn replies_attach_to_the_nearest_that_is_kept() {
        let comments = [
            comment(4, 3, "1", "comment"),
            comment(1, 0, "1", ""),
            comment(2, 1, "trash", "comment"),
            comment(3, 2, "1", "pingback"),
            comment(5, 99, "0", "comment"),
        ];
        assert_eq!(
            threaded(&comments),
            [pair("c1", None), pair("c5", None), pair("c4", Some("c1"))]
        );
        let left = thread(&comments, Timestamp::UNIX_EPOCH, Tz::UTC).left_out;
        assert_eq!(left.total(), 2);
    }

    #[test]
    fn circles_and_doubles_lose_nothing() {
        let circle = [comment(1, 2, "1", ""), comment(2, 1, "1", ""), comment(3, 3, "1", "")];
        assert_eq!(threaded(&circle).len(), 3);
        let double = [comment(1, 0, "1", ""), comment(1, 0, "1", ""), comment(2, 1, "1", "")];
        assert_eq!(threaded(&double).len(), 3);
        let keys = keys(&double);
        assert_eq!(keys, ["1", "1#2", "2"]);
        let nameless = [comment(0, 0, "1", ""), comment(0, 0, "1", "")];
        assert_eq!(threaded(&nameless).len(), 2);
    }

    #[test]
    fn states_are_carried_over() {
        let state = |approved| state(&comment(1, 0, approved, ""));
        assert_eq!(state("1"), Ok(CommentState::Approved));
        assert_eq!(state("0"), Ok(CommentState::Pending));
        assert_eq!(state("spam"), Ok(CommentState::Spam));
        assert!(state("trash").is_err());
        assert_eq!(state(""), Ok(CommentState::Pending));
    }
}
