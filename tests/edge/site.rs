//! The reader's pages: where they are, what they show and what they never show.

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::support::TestApp;
use crate::support::fixtures::comment_id;
use crate::{Server, serve};

use khabar::actions::moderate_comment::moderate_comment;
use khabar::actions::unpublish_article::unpublish_article;
use khabar::actions::update_article::{self, update_article};
use khabar::domain::comment::CommentState;
use khabar::domain::viewer::Viewer;

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn shows(&self, part: &str) {
        assert!(self.text.contains(part), "no {part} in {}", self.text);
    }

    #[track_caller]
    fn hides(&self, part: &str) {
        assert!(!self.text.contains(part), "{part} in {}", self.text);
    }
}

/// A browser that follows no redirect by itself.
async fn send(request: reqwest::RequestBuilder) -> Page {
    let response = request.header("accept", "text/html").send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Page { status, headers, text: response.text().await.unwrap() }
}

pub(crate) async fn get(server: &Server, path: &str) -> Page {
    get_in(server, path, "").await
}

/// As a browser does whose reader prefers these languages.
pub(crate) async fn get_in(server: &Server, path: &str, languages: &str) -> Page {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    send(client.get(server.url(path)).header("accept-language", languages)).await
}

pub(crate) async fn post(server: &Server, path: &str, fields: &[(&str, &str)]) -> Page {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    send(form(client.post(server.url(path)), fields)).await
}

fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    let body = body.extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Where an Arabic story is.
fn at(slug: &str) -> String {
    let mut url = url::Url::parse("http://x/").unwrap();
    url.path_segments_mut().unwrap().clear().push("ar-IQ").push(slug);
    url.path().to_owned()
}

#[tokio::test]
async fn the_front_page_is_that_of_the_first_edition_and_links_to_the_others() {
    let server = Server::start().await;
    server.newsroom.published("خبر أول").await;
    for path in ["/", "/ar-IQ"] {
        let page = get(&server, path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-cache");
        page.shows("<html lang=\"ar-IQ\" dir=\"rtl\">");
        page.shows("<link rel=\"canonical\" href=\"/ar-IQ\">");
        page.shows("Erbil السبت 23 تشرين الثاني 07:39");
        page.shows(&format!("<a href=\"{}\">خبر أول</a>", at("خبر-أول")));
        page.shows("<a href=\"/en\" lang=\"en\" hreflang=\"en\">Khabar</a>");
        page.shows(" id=\"stories\" data-after=\"");
        page.shows("<khabar-alerts data-locale=\"ar-IQ\" hidden>");
        page.shows("<a href=\"/developers\">");
    }
    let english = get(&server, "/en").await;
    english.shows("<html lang=\"en\" dir=\"ltr\">");
    english.shows("There is no news yet");
    let other_case = get(&server, "/AR-iq").await;
    let moved = (other_case.status, other_case.header("location"));
    assert_eq!(moved, (StatusCode::MOVED_PERMANENTLY, "/ar-IQ"));
    let developers = get(&server, "/developers").await;
    developers.shows("graphql-transport-ws");
}

#[tokio::test]
async fn stories_go_on_page_by_page_and_by_category() {
    let server = Server::start().await;
    for number in 1..=21 {
        server.newsroom.published(&format!("خبر رقم {number}")).await;
        server.newsroom.test.advance(chrono::TimeDelta::minutes(1));
    }
    let first = get(&server, "/ar-IQ").await;
    first.shows("خبر رقم 21<");
    first.hides("خبر رقم 1<");
    let older = first.text.split("href=\"/ar-IQ?after=").nth(1).unwrap().split('"').next().unwrap();
    let second = get(&server, &format!("/ar-IQ?after={older}")).await;
    second.shows("خبر رقم 1<");
    second.hides("خبر رقم 2<");
    second.hides("rel=\"next\"");

    let section = get(&server, "/ar-IQ?category=العراق").await;
    assert_eq!(section.status, StatusCode::OK);
    section.shows("<h1 class=\"title\" id=\"title\">العراق</h1>");
    section.shows(">العالم</a>");
    section.shows("خبر رقم 21<");
    for nowhere in ["/ar-IQ?category=x", "/ar-IQ?after=x", "/ar-IQ?category=العراق&after=x"] {
        assert_eq!(get(&server, nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
}

#[tokio::test]
async fn a_story_is_a_page_with_all_that_the_api_tells_of_it() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let article = newsroom.published("روحاني يؤكد للكاظمي").await;
    let path = at(&article.slug);
    let empty = get(&server, &path).await;
    assert_eq!(empty.status, StatusCode::OK);
    empty.shows("<h1>روحاني يؤكد للكاظمي</h1>");
    empty.shows("<p>الفقرة الأولى.</p>");
    empty.shows("<p>سارة كريم</p>");
    empty.shows("<li>تجربة</li>");
    empty.shows(">العالم</a></li><li><a href=\"/ar-IQ?category=");
    empty.shows("التعليقات (<span id=\"count\">0</span>)");
    empty.shows("لا توجد تعليقات حتى الآن");
    empty.shows("الرد كضيف");
    let canonical = format!("<link rel=\"canonical\" href=\"https://news.example{path}\">");
    empty.shows(&canonical);

    let comment = newsroom.comment(article.id, None, "رأي").await;
    let mut parent = comment.id;
    for depth in 1..=5 {
        parent = newsroom.comment(article.id, Some(parent), &format!("رد {depth}")).await.id;
    }
    let page = get(&server, &path).await;
    page.shows("<span id=\"count\">6</span>");
    page.hides("لا توجد تعليقات");
    page.shows("<p class=\"text\">رأي</p>");
    page.shows("<p class=\"text\">رد 5</p>");
    let id = comment_id(comment.id);
    page.shows(&format!("id=\"comment-{id}\""));
    let answering = get(&server, &format!("{path}?reply={id}")).await;
    answering.shows(&format!("<input type=\"hidden\" name=\"parent\" value=\"{id}\">"));
    get(&server, &format!("{path}?reply=x")).await.hides("name=\"parent\"");
}

#[tokio::test]
async fn what_readers_may_not_see_is_nowhere() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let draft = newsroom.draft("مسودة سرية").await;
    let taken_back = newsroom.published("خبر مسحوب").await;
    unpublish_article(&newsroom.test.app, &Viewer::System, taken_back.id).await.unwrap();
    let open = newsroom.published("خبر ظاهر").await;
    let hidden = newsroom.comment(open.id, None, "كلام مرفوض").await;
    let app = &newsroom.test.app;
    moderate_comment(app, &Viewer::System, hidden.id, CommentState::Rejected).await.unwrap();

    for path in [at(&draft.slug), at(&taken_back.slug), "/xx/y".to_owned(), "/a/b/c".to_owned()] {
        let page = get(&server, &path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.shows("الصفحة غير موجودة");
        page.hides("مسودة");
        page.hides("مسحوب");
    }
    get(&server, "/en/x").await.shows("This page does not exist");
    for path in ["/ar-IQ".to_owned(), "/ar-IQ?category=العراق".to_owned(), at(&open.slug)] {
        let page = get(&server, &path).await;
        page.shows("خبر ظاهر");
        page.hides("مسودة");
        page.hides("مسحوب");
        page.hides("مرفوض");
    }
    let answered = post(&server, &at(&draft.slug), &[("name", "x"), ("text", "y")]).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
    // Programs are told as programs are told.
    let program = server.client.get(server.url("/a/b/c")).send().await.unwrap();
    assert_eq!(program.status(), StatusCode::NOT_FOUND);
    assert!(program.text().await.unwrap().contains("\"NOT_FOUND\""));
}

#[tokio::test]
async fn an_old_slug_leads_to_the_new_one_for_good() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let article = newsroom.published("عنوان قديم").await;
    let input = update_article::Input {
        slug: Some("عنوان-جديد".to_owned()), ..Default::default()
    };
    update_article(&newsroom.test.app, &Viewer::System, article.id, input).await.unwrap();
    let old = get(&server, &at(&article.slug)).await;
    assert_eq!(old.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(old.header("location"), at("عنوان-جديد"));
    assert_eq!(get(&server, &at("عنوان-جديد")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn hostile_texts_are_texts() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let evil = "</title><script>alert('x')</script>\"><img src=x onerror=alert(1)>";
    let mut story = newsroom.story(evil);
    story.text.subheadline = Some(evil.to_owned());
    story.text.excerpt = Some(evil.to_owned());
    story.text.dateline.source = Some(evil.to_owned());
    story.authors = vec![evil.to_owned()];
    story.tags = vec![evil.to_owned()];
    let app = &newsroom.test.app;
    let create = khabar::actions::create_article::create_article(app, &Viewer::System, story);
    let article = newsroom.publish(create.await.unwrap().id).await;
    let path = at(&article.slug);
    let too_long = evil.repeat(200);
    let kept = post(&server, &path, &[("name", evil), ("text", &too_long)]).await;
    assert_eq!(kept.status, StatusCode::UNPROCESSABLE_ENTITY);
    let short = post(&server, &path, &[("name", "<b>x</b>"), ("text", evil)]).await;
    assert_eq!(short.status, StatusCode::SEE_OTHER);

    let category = format!(
        "/ar-IQ?category={}",
        url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>()
    );
    let reply = format!("{path}?reply=%22%3E%3Cscript%3E&comment=%3Cscript%3E");
    let pages = ["/ar-IQ", &path, &category, &reply];
    let mut seen = vec![kept];
    for page in pages {
        seen.push(get(&server, page).await);
    }
    for page in seen {
        page.hides("<script>");
        page.hides("<img src=x");
        page.hides("<b>x");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        // Scripts come from files alone, and no element carries one.
        for script in page.text.split("<script").skip(1) {
            assert!(script.starts_with(" type=\"module\" src=\"/assets/"), "{script}");
        }
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="));
    }
}

#[tokio::test]
async fn a_guest_replies_without_a_script() {
    let server = Server::start().await;
    let newsroom = &server.newsroom;
    let article = newsroom.published("خبر").await;
    let path = at(&article.slug);
    let send = async |fields: &[(&str, &str)]| post(&server, &path, fields).await;
    let fields = |name, text| [("name", name), ("text", text)];

    let sent = send(&fields("ليلى", "شكراً\r\n\r\nلكم")).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    let location = sent.header("location").to_owned();
    assert!(location.starts_with(&format!("{path}?comment=shown#comment-")), "{location}");
    let page = get(&server, location.split('#').next().unwrap()).await;
    page.shows("شكراً، نُشر تعليقك.");
    page.shows("<p class=\"text\">شكراً\n\nلكم</p>");

    let spam = send(&fields("بائع", "http://a http://b http://c")).await;
    assert_eq!(spam.header("location"), format!("{path}?comment=pending#reply"));
    get(&server, &format!("{path}?comment=pending")).await.shows("يراجعه المشرفون");

    let blank = send(&fields(" ", " \u{200B}")).await;
    assert_eq!(blank.status, StatusCode::UNPROCESSABLE_ENTITY);
    blank.shows("اكتب اسماً.");
    blank.shows("اكتب تعليقك.");
    let nothing = comment_id(article.id);
    let gone = send(&[("name", "ليلى"), ("text", "رد"), ("parent", &nothing)]).await;
    assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY);
    gone.shows("لم يعد التعليق الذي ترد عليه موجوداً");
    gone.shows(">رد</textarea>");

    // Six a minute: three were counted, and blank ones count as well.
    send(&fields("ليلى", "خامس")).await;
    send(&fields("ليلى", "سادس")).await;
    let often = send(&fields("ليلى", "سابع")).await;
    assert_eq!(often.status, StatusCode::TOO_MANY_REQUESTS);
    often.shows("انتظر دقيقة");
    often.shows(">سابع</textarea>");
}

#[tokio::test]
async fn forms_of_other_sites_are_not_taken() {
    let server = Server::start().await;
    let article = server.newsroom.published("خبر").await;
    let fields = [("name", "x"), ("text", "y")];
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 303)] {
        let request = client.post(server.url(&at(&article.slug))).header("sec-fetch-site", site);
        assert_eq!(send(form(request, &fields)).await.status.as_u16(), status, "{site}");
    }
}

#[tokio::test]
async fn scripts_and_styles_are_kept_for_ever_under_their_hash() {
    let server = Server::start().await;
    server.newsroom.published("خبر").await;
    let page = get(&server, "/ar-IQ").await;
    let mut scripts = 0;
    for part in page.text.split("\"/assets/").skip(1) {
        let name = part.split('"').next().unwrap();
        let asset = get(&server, &format!("/assets/{name}")).await;
        assert_eq!(asset.status, StatusCode::OK, "{name}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        let media = match name.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(asset.header("content-type"), media);
        scripts += usize::from(media.starts_with("text/javascript"));
        let (stem, rest) = name.split_once('.').unwrap();
        let (_, extension) = rest.split_once('.').unwrap();
        let other = get(&server, &format!("/assets/{stem}.0000000000000000.{extension}")).await;
        assert_eq!(
            other.status,
            StatusCode::NOT_FOUND,
            "an old hash is not answered with new text"
        );
        let plain = get(&server, &format!("/assets/{stem}.{extension}")).await;
        assert_eq!((plain.status, &plain.text), (StatusCode::OK, &asset.text));
        assert_eq!(plain.header("cache-control"), "public, max-age=600");
    }
    assert_eq!(scripts, 2, "the page's own and the alerts'");

    let worker = get(&server, "/worker.js").await;
    assert_eq!(worker.header("cache-control"), "no-cache");
    let name = worker.text.split('"').nth(1).unwrap();
    get(&server, name).await.shows("addEventListener(\"push\"");
    let from_elsewhere = server
        .client
        .get(server.url("/assets/alerts.js"))
        .header("origin", "https://other.example");
    let allowed = from_elsewhere.send().await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
    assert_eq!(allowed.headers()["cross-origin-resource-policy"], "cross-origin");
    for nowhere in ["/assets/x.js", "/assets/", "/assets/..%2Fopt-out.html", "/assets/alerts"] {
        assert_eq!(get(&server, nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
}

#[tokio::test]
async fn a_newsroom_without_an_edition_leads_to_what_builds_one() {
    let test = TestApp::start().await;
    let (address, _, _) = serve(&test).await;
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let page = send(client.get(format!("http://{address}/"))).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::FOUND, "/developers"));
    let nowhere = send(client.get(format!("http://{address}/ar-IQ"))).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}
