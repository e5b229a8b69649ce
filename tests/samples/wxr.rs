//! WordPress exports, whole.

use std::collections::HashMap;
use std::path::Path;

use indicatif::ProgressBar;
use khabar::domain::article::{Article, ArticleState};
use khabar::domain::body::Block;
use khabar::domain::clock::Timestamp;
use khabar::domain::comment::CommentState;
use khabar::domain::edition::Direction;
use khabar::domain::text;
use khabar::import::{Report, wxr};
use khabar::storage::article::Visibility;
use khabar::storage::entities::{article, comment};
use khabar::storage::import_key::Noun;
use khabar::storage::{self, slug_redirect};
use sea_orm::{EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::Deserialize;
use uuid::Uuid;

use crate::samples;
use crate::support::TestApp;

/// A line of the file that says what the export holds.
#[derive(Debug, Deserialize)]
struct Expected {
    wp_post_id: u64,
    wp_slug: String,
    title: String,
    subtitle: Option<String>,
    excerpt: String,
    status: String,
    published_utc: Option<Timestamp>,
    author_display: String,
    categories: Vec<String>,
    tags: Vec<String>,
    password: Option<String>,
    has_featured_image: bool,
    body_source_paragraphs: Vec<String>,
    comments: Vec<ExpectedComment>,
}

#[derive(Debug, Deserialize)]
struct ExpectedComment {
    index: usize,
    #[serde(rename = "type")]
    kind: String,
    approved: String,
    text: String,
    reply_to_index: Option<usize>,
}

async fn newsroom() -> TestApp {
    let test = TestApp::start().await;
    test.edition("ar-IQ", "خبر", Direction::Rtl).await;
    test.edition("en", "Khabar", Direction::Ltr).await;
    // The samples hold stories dated later than most tests' present.
    test.advance(chrono::TimeDelta::days(2 * 365));
    test
}

async fn import(test: &TestApp, file: &Path) -> anyhow::Result<Report> {
    wxr::run(&test.app, file, None, &ProgressBar::hidden()).await
}

/// Everything an import may change, counted.
async fn counts(test: &TestApp) -> Vec<u64> {
    use khabar::storage::entities::{
        alert, author, category, event, import_key, job, revision, tag,
    };
    let db = test.app.db.connection();
    vec![
        article::Entity::find().count(db).await.unwrap(),
        revision::Entity::find().count(db).await.unwrap(),
        comment::Entity::find().count(db).await.unwrap(),
        category::Entity::find().count(db).await.unwrap(),
        tag::Entity::find().count(db).await.unwrap(),
        author::Entity::find().count(db).await.unwrap(),
        import_key::Entity::find().count(db).await.unwrap(),
        event::Entity::find().count(db).await.unwrap(),
        job::Entity::find().count(db).await.unwrap(),
        alert::Entity::find().count(db).await.unwrap(),
    ]
}

#[tokio::test]
async fn an_arabic_site_arrives_as_it_was() {
    let Some(folder) = samples() else { return };
    let test = newsroom().await;
    let report = import(&test, &folder.join("wxr/wp65-arabic-a.xml")).await.unwrap();
    assert_eq!((report.articles.taken, report.articles.total()), (30, 37), "{report}");
    assert_eq!(report.comments.total(), 79, "{report}");

    let truth = std::fs::read_to_string(folder.join("wxr/wp65-arabic-a.expected.jsonl")).unwrap();
    let mut compared = 0;
    for line in truth.lines() {
        let expected: Expected = serde_json::from_str(line).unwrap();
        compare(&test, &expected).await;
        compared += 1;
    }
    assert_eq!(compared, 30);

    let before = counts(&test).await;
    assert_eq!(before[7..], [0, 0, 0], "old news makes no event, job or alert");
    let again = import(&test, &folder.join("wxr/wp65-arabic-a.xml")).await.unwrap();
    assert_eq!((again.articles.taken, again.articles.already), (0, 30), "{again}");
    assert_eq!(counts(&test).await, before);
}

async fn compare(test: &TestApp, expected: &Expected) {
    let db = test.app.db.connection();
    let name = ("wxr https://news.example.org", &*expected.wp_post_id.to_string());
    let id = storage::import_key::target(db, Noun::Article, name).await.unwrap().unwrap();
    let article = storage::article::by_id(db, id, Visibility::Everything).await.unwrap().unwrap();
    let at = expected.wp_post_id;

    assert_eq!(article.text.headline, line(&expected.title), "{at}");
    assert_eq!(article.text.subheadline, expected.subtitle.as_deref().map(line), "{at}");
    assert_eq!(article.text.image.is_some(), expected.has_featured_image, "{at}");
    if !expected.excerpt.is_empty() {
        assert_eq!(article.text.excerpt, line(&expected.excerpt), "{at}");
    }
    // Pictures and films were put between the paragraphs of the source, other texts behind them.
    let is_text = |b: &&Block| !matches!(b, Block::Image { .. } | Block::Embed { .. });
    let texts = article.text.body.blocks.iter().filter(is_text).map(Block::to_text);
    let mut rest = line(&texts.collect::<Vec<_>>().join("\n").replace("• ", ""));
    for paragraph in &expected.body_source_paragraphs {
        let found = rest.find(&line(paragraph));
        let start = found.unwrap_or_else(|| panic!("{at}: {paragraph} is missing in {rest}"));
        assert_eq!(rest[..start].trim(), "", "{at}: before {paragraph}");
        rest.drain(..start + line(paragraph).len());
    }

    let state = match (&expected.password, expected.status.as_str()) {
        (None, "publish") => ArticleState::Published,
        (None, "pending") => ArticleState::InReview,
        _ => ArticleState::Draft,
    };
    assert_eq!(article.state, state, "{at}");
    let public = storage::article::by_id(db, id, Visibility::Published).await.unwrap();
    assert_eq!(public.is_some(), state == ArticleState::Published, "{at}");
    let published_at = expected.published_utc.filter(|_| state == ArticleState::Published);
    assert_eq!(article.published_at, published_at, "{at}");

    compare_links(test, expected, &article).await;
    compare_comments(test, expected, &article).await;
}

async fn compare_links(test: &TestApp, expected: &Expected, article: &Article) {
    let db = test.app.db.connection();
    let at = expected.wp_post_id;
    let authors = storage::author::of_articles(db, &[article.id]).await.unwrap();
    let authors: Vec<_> = authors.into_iter().map(|(_, author)| author.name).collect();
    assert_eq!(authors, std::slice::from_ref(&expected.author_display), "{at}");

    let names = storage::category::names(db, &[article.category_id]).await.unwrap();
    let tags = storage::tag::of_articles(db, &[article.id]).await.unwrap();
    let mut found: Vec<_> = tags.into_iter().map(|(_, tag)| tag.slug).collect();
    found.extend(names.iter().map(|name| name.slug.clone()));
    let mut wanted: Vec<_> = expected.tags.iter().chain(&expected.categories).collect::<Vec<_>>();
    wanted.dedup();
    let mut wanted: Vec<_> =
        wanted.iter().filter_map(|name| khabar::domain::slug::from_text(name)).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{at}: tags, with the categories beyond the first");
    assert!(expected.categories.contains(&names[0].name), "{at}");

    let old = percent_encoding::percent_decode_str(&expected.wp_slug).decode_utf8_lossy();
    let old = khabar::domain::slug::from_address(old.trim_end_matches('\u{FFFD}'));
    if let Some(old) = old.filter(|old| *old != article.slug) {
        let leads =
            slug_redirect::target(db, slug_redirect::Noun::Article, article.edition_id, &old);
        assert_eq!(leads.await.unwrap(), Some(article.id), "{at}: {old} leads nowhere");
    }
}

async fn compare_comments(test: &TestApp, expected: &Expected, article: &Article) {
    let at = expected.wp_post_id;
    let rows = comment::Entity::find()
        .filter(comment::COLUMN.article_id.eq(article.id))
        .order_by_asc(comment::COLUMN.created_at)
        .all(test.app.db.connection())
        .await
        .unwrap();
    let is_kept = |c: &&ExpectedComment| {
        c.kind == "comment" && !matches!(c.approved.as_str(), "trash" | "post-trashed")
    };
    let by_index: HashMap<usize, &ExpectedComment> =
        expected.comments.iter().map(|comment| (comment.index, comment)).collect();
    let kept: Vec<_> = expected.comments.iter().filter(is_kept).collect();
    assert_eq!(rows.len(), kept.len(), "{at}");

    let mut ids: HashMap<usize, Uuid> = HashMap::new();
    for comment in &kept {
        let row = rows
            .iter()
            .find(|row| line(&row.body) == line(&comment.text.replace("&quot;", "\"")))
            .unwrap_or_else(|| panic!("{at}: comment {} is missing", comment.index));
        ids.insert(comment.index, row.id);
        let state = match comment.approved.as_str() {
            "1" => CommentState::Approved,
            "spam" => CommentState::Spam,
            _ => CommentState::Pending,
        };
        assert_eq!(row.state, state.as_str(), "{at}: comment {}", comment.index);
    }
    for comment in &kept {
        let mut above = comment.reply_to_index;
        while let Some(index) = above.filter(|index| !ids.contains_key(index)) {
            above = by_index.get(&index).and_then(|parent| parent.reply_to_index);
        }
        let row = rows.iter().find(|row| row.id == ids[&comment.index]).unwrap();
        assert_eq!(row.parent_id, above.map(|index| ids[&index]), "{at}: {}", comment.index);
        let approved = |r: &&comment::Model| r.parent_id == Some(row.id) && r.state == "APPROVED";
        let replies = rows.iter().filter(approved).count();
        assert_eq!(usize::try_from(row.reply_count).unwrap(), replies, "{at}");
    }
    // Readers see a reply where they see what it answers.
    let is_seen = |row: &&comment::Model| {
        let mut above = Some(*row);
        while let Some(row) = above {
            if row.state != "APPROVED" {
                return false;
            }
            above = rows.iter().find(|other| Some(other.id) == row.parent_id);
        }
        true
    };
    let seen = rows.iter().filter(is_seen).count();
    assert_eq!(usize::try_from(article.comment_count).unwrap(), seen, "{at}");
}

#[tokio::test]
async fn the_theme_unit_test_is_accounted_for() {
    let Some(folder) = samples() else { return };
    let file = folder.join("wxr/theme-unit-test-data.xml");
    let test = newsroom().await;
    let report = import(&test, &file).await.unwrap();
    assert_eq!((report.articles.taken, report.comments.taken), (57, 23), "{report}");
    assert_eq!((report.categories.len(), report.tags.len()), (5, 79), "{report}");
    let xml = std::fs::read_to_string(&file).unwrap();
    let items = xml.matches("<item>").count();
    assert_eq!(report.articles.total(), u64::try_from(items).unwrap());
    let comments = xml.matches("<wp:comment>").count();
    assert_eq!(report.comments.total(), u64::try_from(comments).unwrap());
    let before = counts(&test).await;
    assert_eq!(before[0], report.articles.taken);
    assert_eq!(before[2], report.comments.taken);

    let again = import(&test, &file).await.unwrap();
    assert_eq!(again.articles.taken, 0);
    assert_eq!(again.articles.already, report.articles.taken);
    assert_eq!(again.comments.already, report.comments.taken);
    assert_eq!(counts(&test).await, before);
}

/// Of each export: articles taken, all items, comments taken, all comments; or a word of the reason
/// why it is refused.
const EXPORTS: [(&str, Result<[u64; 4], &str>); 21] = [
    ("authors-multiline.xml", Ok([1, 1, 0, 0])),
    ("backslashes.xml", Ok([1, 1, 0, 0])),
    ("blank-lines.xml", Ok([1, 1, 0, 0])),
    ("cdata-edge.xml", Ok([1, 1, 0, 0])),
    ("chunked-meta.xml", Ok([1, 1, 0, 0])),
    ("invalid-version-tag.xml", Ok([0; 4])),
    ("large-authors.xml", Ok([0; 4])),
    ("malformed-simple.xml", Err("line 14: the file ends inside <item>")),
    ("malformed.xml", Err("line 27: expected <channel>")),
    ("missing-tags.xml", Ok([1, 1, 0, 0])),
    ("missing-version-tag.xml", Ok([0; 4])),
    ("multiple-cdata.xml", Ok([1, 1, 0, 0])),
    ("post-content-blank-lines.xml", Ok([1, 1, 0, 0])),
    ("small-export.xml", Ok([6, 11, 1, 1])),
    ("term-meta.xml", Ok([0; 4])),
    ("theme-unit-test-data.xml", Ok([57, 186, 23, 33])),
    ("valid-wxr-1.1.xml", Ok([1, 2, 1, 1])),
    ("wp65-arabic-a.xml", Ok([30, 37, 63, 79])),
    ("wxr-comprehensive.xml", Ok([1, 2, 1, 1])),
    ("wxr-simple.xml", Ok([1, 1, 0, 0])),
    ("wxr-with-sub-data.xml", Ok([0, 1, 0, 1])),
];

#[tokio::test]
async fn every_export_is_taken_whole_or_refused_with_its_line() {
    let Some(folder) = samples() else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder.join("wxr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".xml"))
        .collect();
    names.sort();
    let mut expected: Vec<_> = EXPORTS.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected, "an export without figures");
    let mut wrong = Vec::new();
    for (name, expected) in EXPORTS {
        let test = newsroom().await;
        let file = folder.join("wxr").join(name);
        match (wxr::run(&test.app, &file, Some("en"), &ProgressBar::hidden()).await, expected) {
            (Ok(report), Ok(expected)) => {
                let (articles, comments) = (&report.articles, &report.comments);
                let found = [articles.taken, articles.total(), comments.taken, comments.total()];
                if found != expected {
                    wrong.push(format!("{name}: {found:?}, not {expected:?}\n{report}"));
                }
            }
            (Err(error), Err(reason)) if format!("{error:#}").contains(reason) => {}
            (found, _) => wrong.push(format!("{name}: {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_file_that_breaks_off_leaves_what_came_before_and_goes_on_later() {
    let Some(folder) = samples() else { return };
    let whole = std::fs::read_to_string(folder.join("wxr/wp65-arabic-a.xml")).unwrap();
    let ends: Vec<_> = whole.match_indices("</item>").map(|(at, _)| at).collect();
    let scratch = tempfile::tempdir().unwrap();
    let broken = scratch.path().join("broken.xml");
    std::fs::write(&broken, &whole[..ends[20]]).unwrap();

    let test = newsroom().await;
    let error = format!("{:#}", import(&test, &broken).await.unwrap_err());
    let lines = whole[..ends[20]].matches('\n').count() + 1;
    assert!(error.contains(&format!("line {lines}: the file ends inside <item>")), "{error}");
    let before = counts(&test).await;
    assert!(before[0] > 10, "{before:?}");

    let report = import(&test, &folder.join("wxr/wp65-arabic-a.xml")).await.unwrap();
    assert_eq!(report.articles.already, before[0]);
    assert_eq!(report.articles.taken + report.articles.already, 30);
}

/// The text as one line, as the newsroom normalises it.
fn line(text: &str) -> String {
    text::line(text, usize::MAX).unwrap_or_default()
}
