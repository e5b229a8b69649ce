//! Imports, as whoever runs them meets them.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use khabar::domain::edition::Direction;
use khabar::import::{Report, wxr};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::TestApp;

/// A comment of an export: its number, and the number of the one it answers.
fn comment(id: u32, parent: u32) -> String {
    format!(
        "<wp:comment><wp:comment_id>{id}</wp:comment_id><wp:comment_author>قارئ</wp:comment_author>\
         <wp:comment_date_gmt>2024-03-01 1{}:00:00</wp:comment_date_gmt>\
         <wp:comment_content>c{id}</wp:comment_content><wp:comment_approved>1</wp:comment_approved>\
         <wp:comment_parent>{parent}</wp:comment_parent></wp:comment>",
        id % 10
    )
}

fn post(id: u32, inside: &str) -> String {
    format!(
        "<item><title>خبر {id}</title><wp:post_id>{id}</wp:post_id><wp:post_type>post</wp:post_type>\
         <wp:status>publish</wp:status><wp:post_date_gmt>2024-03-01 10:00:00</wp:post_date_gmt>\
         <content:encoded>نص</content:encoded><dc:creator>sara</dc:creator>\
         <category domain='category' nicename='iraq'>العراق</category>{inside}</item>"
    )
}

fn picture(id: u32) -> String {
    format!(
        "<item><title>p</title><wp:post_id>{id}</wp:post_id><wp:post_type>attachment</wp:post_type>\
         <wp:attachment_url>https://x.example/{id}.jpg</wp:attachment_url></item>"
    )
}

const THUMBNAIL: &str = "<wp:postmeta><wp:meta_key>_thumbnail_id</wp:meta_key>\
    <wp:meta_value>9</wp:meta_value></wp:postmeta>";

fn export(items: &str) -> String {
    format!(
        "<rss><channel><language>ar</language><wp:wxr_version>1.2</wp:wxr_version>\
         <wp:base_site_url>https://old.example</wp:base_site_url>{items}</channel></rss>"
    )
}

struct Desk {
    test: TestApp,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let test = TestApp::start().await;
        test.edition("ar-IQ", "خبر", Direction::Rtl).await;
        Self { test, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("export.xml");
        std::fs::write(&file, text).unwrap();
        file
    }

    async fn take(&self, text: &str) -> anyhow::Result<Report> {
        import(&self.test, &self.file(text), None).await
    }

    async fn articles(&self) -> Vec<Value> {
        let query = "{ articles(first: 9) { nodes { headline image { url } commentCount
            comments(first: 9) { nodes { body replies(first: 9) { nodes { body } } } } } } }";
        let articles = self.test.read(query, json!({})).await.at("/articles/nodes");
        articles.as_array().unwrap().clone()
    }
}

async fn import(test: &TestApp, file: &Path, edition: Option<&str>) -> anyhow::Result<Report> {
    wxr::run(&test.app, file, edition, &ProgressBar::hidden()).await
}

#[tokio::test]
async fn comments_that_came_later_are_added_once() {
    let desk = Desk::open().await;
    desk.take(&export(&post(1, &(comment(1, 0) + &comment(2, 1))))).await.unwrap();
    let later =
        export(&post(1, &[(1, 0), (2, 1), (3, 1), (4, 0)].map(|(a, b)| comment(a, b)).concat()));
    let report = desk.take(&later).await.unwrap();
    assert_eq!((report.articles.taken, report.articles.already), (0, 1));
    assert_eq!((report.comments.taken, report.comments.already), (2, 2), "{report}");
    let again = desk.take(&later).await.unwrap();
    assert_eq!((again.comments.taken, again.comments.already), (0, 4), "{again}");
    let article = &desk.articles().await[0];
    assert_eq!(article["commentCount"], 4);
    let replies = |bodies: &[&str]| json!({ "nodes": bodies.iter().map(|body| json!({ "body": body })).collect::<Vec<_>>() });
    let mut threads = article["comments"]["nodes"].as_array().unwrap().clone();
    threads.sort_by_key(|thread| thread["body"].to_string());
    assert_eq!(threads[0], json!({ "body": "c1", "replies": replies(&["c2", "c3"]) }));
    assert_eq!(threads[1], json!({ "body": "c4", "replies": replies(&[]) }));
}

#[tokio::test]
async fn a_reply_to_what_a_moderator_hid_is_not_counted() {
    let desk = Desk::open().await;
    desk.take(&export(&post(1, &comment(1, 0)))).await.unwrap();
    let db = desk.test.app.db.connection();
    db.execute_unprepared("UPDATE comments SET state = 'REJECTED'").await.unwrap();
    db.execute_unprepared("UPDATE articles SET comment_count = 0").await.unwrap();
    desk.take(&export(&post(1, &(comment(1, 0) + &comment(2, 1))))).await.unwrap();
    assert_eq!(desk.articles().await[0]["commentCount"], 0);
}

#[tokio::test]
async fn a_story_keeps_its_picture_when_the_file_was_cut_before_it() {
    let desk = Desk::open().await;
    let whole = export(&(post(1, "") + &post(2, THUMBNAIL) + &picture(9)));
    let cut = &whole[..whole.find("<title>p</title>").unwrap()];
    let error = format!("{:#}", desk.take(cut).await.unwrap_err());
    assert!(error.contains("the file ends inside <item>"), "{error}");
    assert!(error.contains("1 taken") && error.contains("held back"), "{error}");
    let report = desk.take(&whole).await.unwrap();
    assert_eq!((report.articles.taken, report.articles.already), (1, 1), "{report}");
    let pictures: Vec<Value> =
        desk.articles().await.iter().map(|article| article["image"]["url"].clone()).collect();
    assert!(pictures.contains(&json!("https://x.example/9.jpg")), "{pictures:?}");
}

#[tokio::test]
async fn a_picture_that_is_nowhere_in_the_file_is_reported() {
    let desk = Desk::open().await;
    let report = desk.take(&export(&post(1, THUMBNAIL))).await.unwrap().to_string();
    assert!(report.contains("pictures that are not in the file: 1"), "{report}");
    assert!(report.contains("categories 1, tags 0, authors 1"), "{report}");
}

#[tokio::test]
async fn what_is_no_export_is_refused() {
    let desk = Desk::open().await;
    for other in ["", "hello", "{\"a\": 1}", "<rss></rss>", "<rss><channel></channel></rss>"] {
        assert!(desk.take(other).await.is_err(), "{other}");
    }
    let error = import(&desk.test, desk.folder.path(), None).await.unwrap_err().to_string();
    assert!(error.contains("is no file"), "{error}");
}

#[tokio::test]
async fn a_story_of_another_edition_says_which() {
    let desk = Desk::open().await;
    desk.test.edition("en", "Khabar", Direction::Ltr).await;
    let file = desk.file(&export(&post(1, "")));
    import(&desk.test, &file, None).await.unwrap();
    let report = import(&desk.test, &file, Some("en")).await.unwrap().to_string();
    assert!(report.contains("already there, in the edition ar-IQ: 1"), "{report}");
    let report = import(&desk.test, &file, Some("ar-IQ")).await.unwrap().to_string();
    assert!(!report.contains("in the edition"), "{report}");
}

#[tokio::test]
async fn a_fault_of_the_database_does_not_hide_what_was_taken() {
    let desk = Desk::open().await;
    let db = desk.test.app.db.connection();
    db.execute_unprepared("ALTER TABLE comments RENAME TO away").await.unwrap();
    let items = post(1, "") + &post(2, &comment(1, 0)) + &post(3, "");
    let error = format!("{:#}", desk.take(&export(&items)).await.unwrap_err());
    assert!(error.contains("item 2 (خبر 2) could not be written"), "{error}");
    assert!(error.contains("Articles: 1 taken"), "{error}");
}

#[tokio::test]
async fn without_an_edition_the_message_says_how_to_make_one() {
    let test = TestApp::start().await;
    let desk = Desk { test, folder: tempfile::tempdir().unwrap() };
    let error = desk.take(&export(&post(1, ""))).await.unwrap_err().to_string();
    assert!(error.contains("khabar edition create"), "{error}");
}
