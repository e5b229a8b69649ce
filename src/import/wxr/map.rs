//! What the newsroom makes of an item: a story, or a reason to leave it.

use std::collections::HashMap;

use chrono_tz::Tz;

use super::record::{Author, Category, Dates, Item};
use super::thread::{Thread, thread};
use crate::domain::article::{
    ArticleState, ArticleText, Image, MAX_CREDITS, MAX_EXCERPT, MAX_HEADLINE, MAX_SUBHEADLINE,
};
use crate::domain::article_input::{ArticleInput, parse_credits};
use crate::domain::body::Body;
use crate::domain::clock::Timestamp;
use crate::domain::failure::{Failure, Faults, FieldCode};
use crate::domain::{body_html, text};
use crate::import::report::Tally;

/// Where plugins keep the line under the headline.
const SUBHEADLINES: [&str; 7] = [
    "wps_subtitle",
    "_subtitle",
    "subtitle",
    "kia_subtitle",
    "_secondary_title",
    "secondary_title",
    "sub_title",
];
/// Characters of a headline that is made from the text.
const MADE_HEADLINE: usize = 80;
/// Characters an author's name or a tag may have.
const MAX_NAME: usize = 80;

/// What must be known of the whole file before its first story can be read.
#[derive(Debug, Default)]
pub struct Site {
    /// Its address: the name under which runs recognise what they brought in.
    pub url: Option<String>,
    /// Its language.
    pub language: Option<String>,
    /// By login.
    pub authors: HashMap<String, Author>,
    /// By slug.
    pub categories: HashMap<String, Category>,
    /// Attachments by id.
    pub images: HashMap<u64, Image>,
    /// Whether the file breaks off, so that pictures may be missing which it holds when it is whole.
    pub broken_off: bool,
}

/// A story of the file, ready to be brought in.
#[derive(Debug)]
pub struct Story {
    /// Names it among all of its site.
    pub key: String,
    /// Its slug there; may be empty.
    pub slug: String,
    /// Draft, in review or published.
    pub state: ArticleState,
    /// Its words.
    pub text: ArticleText,
    /// Names.
    pub authors: Vec<String>,
    /// Names.
    pub tags: Vec<String>,
    /// Slug and name of its category; `None` for a story without one.
    pub category: Option<(String, String)>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was published, if it is.
    pub published_at: Option<Timestamp>,
    /// Its comments.
    pub thread: Thread,
    /// What is not as it was.
    pub changed: Tally,
}

/// Maps an item. `Err` holds the reason to leave it out.
pub fn story(item: &Item, site: &Site, zone: Tz, now: Timestamp) -> Result<Story, String> {
    if let Some(reason) = unwanted(item) {
        return Err(reason);
    }
    let mut changed = Tally::default();
    let dated = instant(item.dates, zone).or(item.pub_date);
    let state = state(item, dated, now, &mut changed);
    let text = article_text(item, site, &mut changed)?;
    let created_at = dated.filter(|at| *at <= now).unwrap_or(now);
    let category = item.categories.first();
    let mut tags: Vec<String> = item.tags.iter().map(|tag| tag.name.clone()).collect();
    if item.categories.len() > 1 {
        changed.add("further categories became tags: an article has one category");
        tags.extend(item.categories.iter().skip(1).map(|term| term.name.clone()));
    }
    Ok(Story {
        key: key(item),
        slug: item.slug.clone(),
        state,
        text,
        authors: credits(authors(item, site), "authors", &mut changed),
        tags: credits(tags, "tags", &mut changed),
        category: category.map(|term| (term.slug.clone(), term.name.clone())),
        created_at,
        published_at: (state == ArticleState::Published).then_some(created_at),
        thread: thread(&item.comments, created_at, zone),
        changed,
    })
}

/// The instant of a date: its UTC form, else the wall's as the edition's zone reads it.
pub(super) fn instant(dates: Dates, zone: Tz) -> Option<Timestamp> {
    dates.utc.or_else(|| {
        let local = dates.local?.and_local_timezone(zone).earliest()?;
        Some(local.to_utc())
    })
}

/// The picture that an attachment is.
pub fn image(item: &Item) -> Option<Image> {
    let url = item.attachment_url.clone()?;
    let alt = item.meta("_wp_attachment_image_alt").unwrap_or(&item.title);
    Some(Image { url, alt: text::shorten(alt, 500) })
}

fn unwanted(item: &Item) -> Option<String> {
    match (item.post_type.as_str(), item.status.as_str()) {
        ("post" | "", "trash") => Some("stories in the bin".to_owned()),
        ("post" | "", "auto-draft") => Some("drafts that were never begun".to_owned()),
        ("post" | "", "inherit") => Some("earlier versions of stories".to_owned()),
        ("post" | "", _) => None,
        ("page", _) => Some("pages".to_owned()),
        ("attachment", _) => {
            Some("attachments (stories name their pictures by address)".to_owned())
        }
        ("nav_menu_item", _) => Some("menu entries".to_owned()),
        (other, _) => Some(format!("items of type {}", text::shorten(other, 40))),
    }
}

/// Readers must see nothing that was hidden from them: only what was plainly public stays so.
fn state(
    item: &Item,
    dated: Option<Timestamp>,
    now: Timestamp,
    changed: &mut Tally,
) -> ArticleState {
    let kept_because = match item.status.as_str() {
        _ if item.password.is_some() => "protected by a password",
        "private" => "private",
        "future" => "scheduled for later",
        "publish" if dated.is_some_and(|at| at > now) => "scheduled for later",
        "publish" => return ArticleState::Published,
        "pending" => return ArticleState::InReview,
        "draft" => return ArticleState::Draft,
        _ => "of a status that is not known here",
    };
    changed.add(format!("kept as drafts: {kept_because}"));
    ArticleState::Draft
}

fn article_text(item: &Item, site: &Site, changed: &mut Tally) -> Result<ArticleText, String> {
    let image = picture(item, site, changed)?;
    let excerpt = one_line(&body_html::to_text(&item.excerpt));
    let mut body = body_html::from_html(&item.content);
    if ["[gallery", "[playlist"].iter().any(|code| item.content.contains(code)) {
        changed.add("galleries left out: they name pictures by number");
    }
    if body.blocks.is_empty() {
        body = stand_in(&excerpt, image.as_ref());
        if body.blocks.is_empty() {
            return Err("stories without any text".to_owned());
        }
        changed.add("the excerpt or picture became the text of a story without one");
    }
    let mut headline = one_line(&body_html::to_text(&item.title));
    if headline.is_empty() {
        let beginning =
            if excerpt.is_empty() { one_line(&body.to_text()) } else { excerpt.clone() };
        headline = text::shorten(&beginning, MADE_HEADLINE);
        if headline.is_empty() {
            return Err("stories without a headline or words to make one from".to_owned());
        }
        changed.add("headlines made from the text, where there was none");
    }
    let subheadline = SUBHEADLINES.iter().find_map(|key| item.meta(key));
    let mut fit = |text: &str, limit: usize, what: &str| {
        let short = text::shorten(text, limit);
        if short != text {
            changed.add(format!("{what} cut to the longest allowed"));
        }
        short
    };
    let input = ArticleInput {
        headline: fit(&headline, MAX_HEADLINE, "headlines"),
        subheadline: subheadline.map(|html| {
            fit(&one_line(&body_html::to_text(html)), MAX_SUBHEADLINE, "sub-headlines")
        }),
        excerpt: Some(fit(&excerpt, MAX_EXCERPT, "excerpts")),
        body,
        image,
        ..ArticleInput::default()
    };
    parse(input)
}

/// The picture that leads the story.
fn picture(item: &Item, site: &Site, changed: &mut Tally) -> Result<Option<Image>, String> {
    let id = item.meta("_thumbnail_id").and_then(|id| id.parse::<u64>().ok());
    let Some(id) = id.filter(|id| *id > 0) else {
        return Ok(None);
    };
    match site.images.get(&id) {
        Some(image) => {
            let usable = crate::domain::body::web_address(&image.url).is_some();
            Ok(Some(image.clone()).filter(|_| usable))
        }
        // Taken without it now, it would stay without it: the next run knows the story already.
        None if site.broken_off => {
            Err("stories held back: their picture stands behind the end of the file".to_owned())
        }
        None => {
            changed.add("pictures that are not in the file");
            Ok(None)
        }
    }
}

fn parse(input: ArticleInput) -> Result<ArticleText, String> {
    let mut faults = Faults::<FieldCode>::default();
    let parsed = input.parse(&mut faults);
    match (parsed, faults.check()) {
        (Some(text), Ok(())) => Ok(text),
        (_, Err(Failure::Rejected(rejections))) => {
            let faults = rejections.iter().map(|r| format!("{} {}", r.field.join("."), r.message));
            Err(format!("stories whose {}", faults.collect::<Vec<_>>().join(", whose ")))
        }
        _ => Err("stories that cannot be read".to_owned()),
    }
}

/// What a story without text consists of.
fn stand_in(excerpt: &str, image: Option<&Image>) -> Body {
    if !excerpt.is_empty() {
        return Body::from_plain_text(excerpt);
    }
    let blocks = image.map(|image| crate::domain::body::Block::Image {
        url: image.url.clone(),
        alt: image.alt.clone(),
        caption: None,
    });
    Body { blocks: blocks.into_iter().collect() }.sanitised()
}

fn authors(item: &Item, site: &Site) -> Vec<String> {
    let creator = item.creator.as_deref();
    let name = creator.map(|login| {
        let known = site.authors.get(login);
        known.map_or(login, |author| author.display_name.as_str())
    });
    name.map(str::to_owned).into_iter().collect()
}

/// Names that can stand: blank ones gone, long ones cut, and no more than an article may have.
fn credits(names: Vec<String>, what: &str, changed: &mut Tally) -> Vec<String> {
    let mut fit: Vec<String> = names
        .iter()
        .map(|name| text::shorten(&one_line(&body_html::to_text(name)), MAX_NAME))
        .filter(|name| !name.is_empty())
        .collect();
    if fit.len() > MAX_CREDITS {
        changed.add(format!("{what} left out: an article has {MAX_CREDITS} at most"));
        fit.truncate(MAX_CREDITS);
    }
    parse_credits(what, &fit, &mut Faults::<FieldCode>::default()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text::line(text, usize::MAX).unwrap_or_default()
}

/// The post's number, or, where a file gives none, its address or title.
fn key(item: &Item) -> String {
    match (item.id, &item.link) {
        (0, Some(link)) => link.clone(),
        (0, None) => format!("{}/{}", item.slug, item.title),
        (id, _) => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn item(status: &str) -> Item {
        Item {
            id: 1,
            title: "عنوان &amp; <b>خبر</b>".into(),
            content: "<p>نص</p>".into(),
            status: status.into(),
            post_type: "post".into(),
            ..Item::default()
        }
    }

    fn mapped(item: &Item) -> Result<Story, String> {
        story(item, &Site::default(), Tz::UTC, NOW)
    }

    #[test]
    fn only_what_was_public_becomes_public() {
        let state = |item: &Item| mapped(item).unwrap().state;
        assert_eq!(state(&item("publish")), ArticleState::Published);
        assert_eq!(state(&item("pending")), ArticleState::InReview);
        for status in ["draft", "private", "future", "", "unheard-of"] {
            let story = mapped(&item(status)).unwrap();
            assert_eq!((story.state, story.published_at), (ArticleState::Draft, None), "{status}");
        }
        let mut locked = item("publish");
        locked.password = Some(" ".into());
        assert_eq!(state(&locked), ArticleState::Draft);
        let mut early = item("publish");
        early.dates.utc = Some(NOW + TimeDelta::days(1));
        assert_eq!(state(&early), ArticleState::Draft);
    }

    #[test]
    fn a_story_waits_for_its_picture_when_the_file_breaks_off() {
        let mut with = item("publish");
        with.meta.push(("_thumbnail_id".into(), "9".into()));
        let lost = mapped(&with).unwrap().changed;
        assert_eq!(lost.iter().collect::<Vec<_>>(), [("pictures that are not in the file", 1)]);
        let mut site = Site { broken_off: true, ..Site::default() };
        assert!(story(&with, &site, Tz::UTC, NOW).unwrap_err().contains("held back"));
        let image = Image { url: "https://x.example/a.jpg".into(), alt: "ا".into() };
        site.images.insert(9, image.clone());
        assert_eq!(story(&with, &site, Tz::UTC, NOW).unwrap().text.image, Some(image));
    }

    #[test]
    fn what_is_no_story_says_so() {
        for (kind, status) in [("page", "publish"), ("nav_menu_item", "publish"), ("post", "trash")]
        {
            let mut other = item(status);
            other.post_type = kind.into();
            assert!(mapped(&other).is_err(), "{kind}");
        }
        let mut empty = item("publish");
        empty.content = "<!-- wp:paragraph --><p></p>".into();
        assert!(mapped(&empty).unwrap_err().contains("without any text"));
    }

    #[test]
    fn a_missing_headline_is_made_and_a_missing_text_too() {
        let mut bare = item("publish");
        bare.title = "  ".into();
        assert_eq!(mapped(&bare).unwrap().text.headline, "نص");
        let mut short = item("publish");
        short.content = String::new();
        short.excerpt = "ملخص".into();
        assert_eq!(mapped(&short).unwrap().text.body.to_text(), "ملخص");
    }

    #[test]
    fn titles_are_plain_and_subheadlines_found() {
        let mut with = item("publish");
        with.meta.push(("wps_subtitle".into(), "تحت".into()));
        let text = mapped(&with).unwrap().text;
        assert_eq!(text.headline, "عنوان & خبر");
        assert_eq!(text.subheadline.as_deref(), Some("تحت"));
    }

    #[test]
    fn a_wall_date_is_read_in_the_editions_zone() {
        let local = chrono::NaiveDate::from_ymd_opt(2024, 3, 1).unwrap().and_hms_opt(3, 0, 0);
        let dates = Dates { utc: None, local };
        let read = instant(dates, Tz::Asia__Baghdad).unwrap();
        assert_eq!(read.to_rfc3339(), "2024-03-01T00:00:00+00:00");
    }
}
