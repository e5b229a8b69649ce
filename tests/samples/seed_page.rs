//! The page that Khabar exists for, entered as an editor would and read back line by line.

use serde_json::{Value, json};

use crate::samples;
use crate::support::fixtures::category_id;
use crate::support::{Newsroom, operation};
use khabar::domain::viewer::Role;

/// The page as its lines: what stands above the story, the story, what stands below it.
struct Page {
    header: String,
    headline: String,
    subheadline: String,
    source: String,
    place: String,
    body: Vec<String>,
    category: String,
    count: String,
    question: String,
}

fn read_page(text: &str) -> Page {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let category = lines.iter().position(|line| *line == "العراق").expect("the category's line");
    let (source, place) = lines[3].split_once(" – ").expect("a dateline");
    Page {
        // The page keeps the two words of the month together; CLDR leaves that to the layout.
        header: lines[0].replace('\u{A0}', " "),
        headline: lines[1].to_owned(),
        subheadline: lines[2].to_owned(),
        source: source.to_owned(),
        place: place.to_owned(),
        body: lines[4..category].iter().map(|line| (*line).to_owned()).collect(),
        category: lines[category].to_owned(),
        count: lines[category + 1].to_owned(),
        question: lines[category + 4].to_owned(),
    }
}

#[tokio::test]
async fn every_line_of_the_page_comes_out_of_the_api() {
    let Some(folder) = samples() else { return };
    let page = read_page(&std::fs::read_to_string(folder.join("seed-page.txt")).unwrap());
    let (newsroom, push) = Newsroom::with_push().await;
    let test = &newsroom.test;

    // The reader opts in: هل ترغب في تلقي إشعارات؟
    assert!(page.question.ends_with('؟'));
    let reader = push.browser("reader");
    let topics = json!({ "categories": [category_id(newsroom.iraq.id)] });
    assert!(test.opt_in(&reader, topics).await.starts_with("khp_"));
    let mut open_page =
        test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    open_page.hears_nothing().await;

    let id = enter(&newsroom, &page).await;
    let published = json!({ "id": id, "input": { "alert": {} } });
    test.as_role(Role::Editor, &operation("ArticlePublish"), published).await.data();
    assert_eq!(open_page.next().await.text("/articlePublished/article/headline"), page.headline);
    test.run_jobs().await;
    let alerts = push.received(&reader);
    assert_eq!(alerts.len(), 1);
    let notification = &alerts[0].payload["notification"];
    assert_eq!(notification["title"], page.headline.as_str());
    assert_eq!(notification["body"], page.subheadline.as_str());

    compare(&newsroom, &page, &id).await;
    reply(&newsroom, &id).await;
}

/// As an editor would: one form, paragraph by paragraph.
async fn enter(newsroom: &Newsroom, page: &Page) -> Value {
    let input = json!({
        "locale": "ar-IQ",
        "category": category_id(newsroom.iraq.id),
        "headline": page.headline,
        "subheadline": page.subheadline,
        "dateline": { "source": page.source, "place": page.place },
        "body": { "text": page.body.join("\n\n") },
    });
    let created = newsroom
        .test
        .as_role(Role::Editor, &operation("ArticleCreate"), json!({ "input": input }))
        .await;
    assert_eq!(created.at("/articleCreate/userErrors"), json!([]));
    created.at("/articleCreate/article/id")
}

async fn compare(newsroom: &Newsroom, page: &Page, id: &Value) {
    let header = newsroom.test.read(&operation("SiteHeader"), json!({ "locale": "ar-IQ" })).await;
    let place = header.text("/edition/place/name");
    let time = header.text("/edition/localTime/formatted");
    // `Erbil 6°C السبت …`: the town, its weather (which tests do not ask for), the local time.
    assert!(
        page.header.starts_with(&place) && page.header.ends_with(&time),
        "{} / {place} / {time}",
        page.header
    );
    assert_eq!(header.at("/edition/place/temperatureCelsius"), json!(null));

    let document = "query($id: ID!) { article(id: $id) {
        headline subheadline dateline { source place } slug direction readingTimeMinutes commentCount
        body { text html blocks { __typename } }
        category { name slug ancestors { name } }
        comments(first: 20) { nodes { id } }
    } }";
    let article = newsroom.test.read(document, json!({ "id": id })).await.at("/article");
    assert_eq!(article["headline"], page.headline.as_str());
    assert_eq!(article["subheadline"], page.subheadline.as_str());
    assert_eq!(article["dateline"], json!({ "source": page.source, "place": page.place }));
    assert_eq!(article["direction"], "RTL");
    assert_eq!(article["body"]["blocks"].as_array().unwrap().len(), page.body.len());
    let text = article["body"]["text"].as_str().unwrap();
    let html = article["body"]["html"].as_str().unwrap();
    assert_eq!(html.matches("<p>").count(), page.body.len());
    for paragraph in &page.body {
        assert!(text.contains(paragraph.as_str()), "lost: {paragraph}");
    }
    assert_eq!(article["category"]["name"], page.category.as_str());
    assert_eq!(article["category"]["ancestors"], json!([{ "name": "العالم" }]));
    assert_eq!(format!("التعليقات ({})", article["commentCount"]), page.count);
    assert_eq!(article["comments"]["nodes"], json!([]), "the empty state is data");
    let by_slug = json!({ "slug": article["slug"], "locale": "ar-IQ" });
    let found = newsroom.test.read(&operation("ArticlePage"), by_slug).await;
    assert_eq!(found.at("/article/headline"), page.headline.as_str());
}

/// الرد كضيف: a name, no account.
async fn reply(newsroom: &Newsroom, id: &Value) {
    let input = json!({ "article": id, "authorName": "قارئ", "body": "شكراً على الخبر" });
    let answer = newsroom.test.read(&operation("CommentCreate"), json!({ "input": input })).await;
    assert_eq!(answer.at("/commentCreate/comment/state"), "APPROVED");
    let count = "query($id: ID!) { article(id: $id) { commentCount } }";
    assert_eq!(newsroom.test.read(count, json!({ "id": id })).await.at("/article/commentCount"), 1);
}
