//! Records of a WordPress export, typed, as the file has them.

use std::io::Read;

use chrono::{DateTime, NaiveDateTime};
use percent_encoding::percent_decode_str;

use super::xml::{Broken, Element, Elements, Space};
use crate::domain::clock::Timestamp;

/// One piece of an export.
#[derive(Debug)]
pub enum Record {
    /// The address of the site, in the order of trust: blog address, site address, link.
    SiteUrl(String),
    /// Its language, such as `ar` or `en-US`.
    Language(String),
    /// Somebody who writes.
    Author(Author),
    /// A category of stories.
    Category(Category),
    /// A post, a page, an attachment, a menu entry.
    Item(Box<Item>),
}

/// Somebody who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// What items name.
    pub login: String,
    /// What readers see.
    pub display_name: String,
}

/// A category of stories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Percent-decoded.
    pub slug: String,
    /// The slug of the category above.
    pub parent: Option<String>,
    /// Shown to readers.
    pub name: String,
}

/// A category or tag as an item names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Percent-decoded.
    pub slug: String,
    /// Shown to readers.
    pub name: String,
}

/// A time as exports give it: in UTC, or on the site's wall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dates {
    /// In UTC.
    pub utc: Option<Timestamp>,
    /// On the site's wall.
    pub local: Option<NaiveDateTime>,
}

/// A post, a page, an attachment, a menu entry.
#[derive(Debug, Default)]
pub struct Item {
    /// 0 when the file does not say.
    pub id: u64,
    /// `post`, `page`, `attachment`, …
    pub post_type: String,
    /// HTML.
    pub title: String,
    /// Its address.
    pub link: Option<String>,
    /// Percent-decoded; empty when the file has none.
    pub slug: String,
    /// `publish`, `draft`, …
    pub status: String,
    /// Who knows it may read.
    pub password: Option<String>,
    /// A login.
    pub creator: Option<String>,
    /// When it was, or will be, published.
    pub dates: Dates,
    /// The date of RSS.
    pub pub_date: Option<Timestamp>,
    /// HTML.
    pub content: String,
    /// HTML.
    pub excerpt: String,
    /// In the file's order.
    pub categories: Vec<Term>,
    /// In the file's order.
    pub tags: Vec<Term>,
    /// Keys and values.
    pub meta: Vec<(String, String)>,
    /// Where an attachment's file lies.
    pub attachment_url: Option<String>,
    /// In the file's order.
    pub comments: Vec<Comment>,
}

impl Item {
    /// A value of its metadata that is not blank.
    pub fn meta(&self, key: &str) -> Option<&str> {
        let found = self.meta.iter().find(|(name, _)| name == key)?;
        Some(found.1.trim()).filter(|value| !value.is_empty())
    }
}

/// A comment, pingback or trackback.
#[derive(Debug, Default)]
pub struct Comment {
    /// 0 when the file does not say.
    pub id: u64,
    /// As its writer gave it.
    pub author: String,
    /// When it was written.
    pub dates: Dates,
    /// HTML.
    pub content: String,
    /// `1`, `0`, `spam`, `trash`.
    pub approved: String,
    /// Empty or `comment` for one that a person wrote.
    pub kind: String,
    /// The id of the comment it answers; 0 for none.
    pub parent: u64,
}

/// Reads an export record by record, in memory for one record.
pub struct Records<R>(Elements<R>);

impl<R: Read> Records<R> {
    /// Begins to read.
    pub fn new(file: R) -> Self {
        Self(Elements::new(file))
    }

    /// Bytes taken from the file so far.
    pub fn bytes_read(&mut self) -> u64 {
        self.0.bytes_read()
    }

    /// Whether anything that was read so far is WordPress' own.
    pub fn is_of_wordpress(&self) -> bool {
        self.0.is_of_wordpress()
    }

    /// The next record; `None` at the end of a whole file. After an error there is no more.
    pub fn next_record(&mut self) -> Result<Option<Record>, Broken> {
        while let Some(element) = self.0.next_element()? {
            if let Some(record) = record(element) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

fn record(element: Element) -> Option<Record> {
    match (element.space, element.name.as_str()) {
        (Space::Rss, "item") => Some(Record::Item(Box::new(item(element)))),
        (Space::Rss, "link") | (Space::Wp, "base_site_url" | "base_blog_url") => {
            line(&element.text).map(Record::SiteUrl)
        }
        (Space::Rss, "language") => line(&element.text).map(Record::Language),
        (Space::Wp, "author") => {
            let login = line(element.text_of(Space::Wp, "author_login")?)?;
            let name = element.text_of(Space::Wp, "author_display_name");
            Some(Record::Author(Author {
                display_name: name.and_then(line).unwrap_or_else(|| login.clone()),
                login,
            }))
        }
        (Space::Wp, "category") => {
            let fields = ["category_nicename", "cat_name", "category_parent"];
            category(&element, fields).map(Record::Category)
        }
        (Space::Wp, "term") if element.text_of(Space::Wp, "term_taxonomy") == Some("category") => {
            let fields = ["term_slug", "term_name", "term_parent"];
            category(&element, fields).map(Record::Category)
        }
        _ => None,
    }
}

fn category(element: &Element, [slug, name, parent]: [&str; 3]) -> Option<Category> {
    let slug = line(element.text_of(Space::Wp, slug)?).map(|slug| decoded(&slug))?;
    let parent = element.text_of(Space::Wp, parent).and_then(line);
    Some(Category {
        name: element.text_of(Space::Wp, name).and_then(line).unwrap_or_else(|| slug.clone()),
        parent: parent.map(|parent| decoded(&parent)).filter(|parent| *parent != slug),
        slug,
    })
}

fn item(element: Element) -> Item {
    let mut item = Item::default();
    for child in element.children {
        match (child.space, child.name.as_str()) {
            (Space::Rss, "category") => {
                let domain = child.attribute("domain").unwrap_or("category");
                let terms = match domain {
                    "category" => &mut item.categories,
                    "post_tag" | "tag" => &mut item.tags,
                    _ => continue,
                };
                if let Some(name) = line(&child.text) {
                    let nicename = child.attribute("nicename").map(decoded);
                    add_term(terms, name, nicename.unwrap_or_default());
                }
            }
            (Space::Wp, "postmeta") => {
                if let Some(key) = child.text_of(Space::Wp, "meta_key").and_then(line) {
                    let value = child.text_of(Space::Wp, "meta_value").unwrap_or_default();
                    item.meta.push((key, value.to_owned()));
                }
            }
            (Space::Wp, "comment") => item.comments.push(comment(&child)),
            (space, name) => item_field(&mut item, (space, name), &child.text),
        }
    }
    for term in item.categories.iter_mut().chain(&mut item.tags) {
        if term.slug.is_empty() {
            term.slug.clone_from(&term.name);
        }
    }
    item
}

/// Adds a term with its slug, which may be empty. Old exports name each term twice, once without it.
fn add_term(terms: &mut Vec<Term>, name: String, slug: String) {
    let same = |known: &&mut Term| {
        known.name == name && (known.slug == slug || known.slug.is_empty() || slug.is_empty())
    };
    match terms.iter_mut().find(same) {
        Some(known) if known.slug.is_empty() => known.slug = slug,
        Some(_) => {}
        None => terms.push(Term { slug, name }),
    }
}

fn item_field(item: &mut Item, field: (Space, &str), text: &str) {
    match field {
        (Space::Rss, "title") => text.trim().clone_into(&mut item.title),
        (Space::Rss, "link") => item.link = line(text),
        (Space::Rss, "pubDate") => {
            let parsed = DateTime::parse_from_rfc2822(text.trim()).ok();
            item.pub_date = parsed.map(|date| date.to_utc()).filter(|date| is_sane(*date));
        }
        (Space::Dc, "creator") => item.creator = line(text),
        (Space::Content, "encoded") => text.clone_into(&mut item.content),
        (Space::Excerpt, "encoded") => text.clone_into(&mut item.excerpt),
        (Space::Wp, "post_id") => item.id = text.trim().parse().unwrap_or_default(),
        (Space::Wp, "post_type") => text.trim().clone_into(&mut item.post_type),
        (Space::Wp, "post_name") => item.slug = decoded(text.trim()),
        (Space::Wp, "status") => text.trim().clone_into(&mut item.status),
        (Space::Wp, "post_password") => {
            item.password = Some(text.to_owned()).filter(|password| !password.is_empty());
        }
        (Space::Wp, "post_date_gmt") => item.dates.utc = utc(text),
        (Space::Wp, "post_date") => item.dates.local = wall(text),
        (Space::Wp, "attachment_url") => item.attachment_url = line(text),
        _ => {}
    }
}

fn comment(element: &Element) -> Comment {
    let text = |name: &str| element.text_of(Space::Wp, name).unwrap_or_default().trim();
    Comment {
        id: text("comment_id").parse().unwrap_or_default(),
        author: text("comment_author").to_owned(),
        dates: Dates { utc: utc(text("comment_date_gmt")), local: wall(text("comment_date")) },
        content: text("comment_content").to_owned(),
        approved: text("comment_approved").to_owned(),
        kind: text("comment_type").to_owned(),
        parent: text("comment_parent").parse().unwrap_or_default(),
    }
}

fn line(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Percent-decoded. WordPress cuts slugs at 200 bytes, if need be inside a character, whose rest goes.
fn decoded(slug: &str) -> String {
    let text = percent_decode_str(slug).decode_utf8_lossy();
    let whole = text.trim_end_matches('\u{FFFD}');
    // A cut inside `%d8` leaves a sign and at most one digit.
    let cut = whole.rfind('%').filter(|at| whole.len() - at <= 2 && slug.len() > 190);
    whole[..cut.unwrap_or(whole.len())].replace(char::is_control, "")
}

fn wall(text: &str) -> Option<NaiveDateTime> {
    let parsed = NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S").ok();
    // WordPress writes 0000-00-00 and sometimes -0001-11-30 for a date that is none.
    parsed.filter(|date| is_sane(date.and_utc()))
}

fn utc(text: &str) -> Option<Timestamp> {
    wall(text).map(|date| date.and_utc())
}

fn is_sane(date: Timestamp) -> bool {
    use chrono::Datelike;
    (1900..=9999).contains(&date.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_item(inside: &str) -> Item {
        let xml = format!("<rss><channel><item>{inside}</item></channel></rss>");
        match Records::new(xml.as_bytes()).next_record() {
            Ok(Some(Record::Item(item))) => *item,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_item_is_read_with_all_its_parts() {
        let item = first_item(
            "<title>عنوان</title><wp:post_id>7\n</wp:post_id><wp:post_name>%d8%ae%d8%a8%d8%b1</wp:post_name>\
             <wp:post_date_gmt>0000-00-00 00:00:00</wp:post_date_gmt>\
             <wp:post_date>2024-03-01 16:28:44</wp:post_date><wp:post_password> x</wp:post_password>\
             <category>ع</category><category domain='category' nicename='%d8%b9-2'>ع</category>\
             <category domain='post_tag' nicename='t'>وسم</category><category domain='nav_menu'>m</category>\
             <wp:postmeta><wp:meta_key>k</wp:meta_key><wp:meta_value>v</wp:meta_value></wp:postmeta>\
             <wp:comment><wp:comment_id>3</wp:comment_id><wp:comment_parent>2</wp:comment_parent></wp:comment>",
        );
        assert_eq!((item.id, item.slug.as_str()), (7, "خبر"));
        assert_eq!(item.dates.utc, None);
        assert!(item.dates.local.is_some());
        assert_eq!(item.password.as_deref(), Some(" x"));
        assert_eq!(item.categories, [Term { slug: "ع-2".into(), name: "ع".into() }]);
        assert_eq!(item.tags[0].name, "وسم");
        assert_eq!(item.meta("k"), Some("v"));
        assert_eq!((item.comments[0].id, item.comments[0].parent), (3, 2));
    }

    #[test]
    fn slugs_that_were_cut_lose_the_broken_character_only() {
        let long = "%d8%ae".repeat(33);
        assert_eq!(decoded(&format!("{long}%d8")), "خ".repeat(33));
        assert_eq!(decoded(&format!("{long}%d")), "خ".repeat(33));
        assert_eq!(decoded("100%"), "100%");
    }
}
