//! WordPress exports ("WXR", versions 1.0 to 1.2).
//!
//! The file is read twice: once for what stories refer to (authors, categories, pictures, which may
//! stand behind them), once for the stories, each of which is written before the next is read.

pub mod map;
pub mod record;
mod source;
pub mod thread;
pub mod xml;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;

use self::map::{Site, Story};
use self::record::{Item, Record, Records};
use self::xml::Broken;
use super::report::{Report, Tally};
use crate::actions::choose_edition::choose_edition;
use crate::actions::import_article::ImportedArticle;
use crate::actions::import_category::ImportedCategory;
use crate::actions::import_story::{ImportedStory, Taken, import_story};
use crate::app::App;
use crate::domain::category::MAX_DEPTH;
use crate::domain::edition::Edition;
use crate::domain::failure::Failure;

/// The category of stories that have none, as WordPress calls it.
const UNCATEGORISED: (&str, &str) = ("uncategorized", "Uncategorized");
/// Bytes of a source's name or a key; databases limit what can be indexed.
const MAX_KEY: usize = 500;

/// Imports a file into an edition: that of the locale, else the one of the file's language.
///
/// A second run takes only what the first did not. Where the file breaks off, the error names the
/// line and the reason, and says what was taken before it.
pub async fn run(
    app: &App,
    file: &Path,
    edition: Option<&str>,
    progress: &ProgressBar,
) -> anyhow::Result<Report> {
    let about =
        std::fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?;
    ensure!(about.is_file(), "{} is no file; name the one that WordPress exported", file.display());
    let length = about.len();
    progress.set_length(length.saturating_mul(2));
    let site = survey(file, progress)?;
    let edition = choose_edition(app, edition, site.language.as_deref())
        .await
        .map_err(Failure::into_words)?;
    let mut import =
        Import { app, edition, source: source_name(&site, file), site, report: Report::default() };
    let mut records = open(file)?;
    loop {
        match records.next_record() {
            Ok(Some(Record::Item(item))) => {
                if let Err(error) = import.item(&item).await {
                    bail!(
                        "item {} ({}) could not be written: {error}\nWhat was read before it:\n{}",
                        item.id,
                        item.title,
                        import.report
                    );
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(broken) => bail!(
                "{}, {broken}\nWhat stands before that line was read:\n{}",
                file.display(),
                import.report
            ),
        }
        progress.set_position(length.saturating_add(records.bytes_read()));
    }
    Ok(import.report)
}

/// Reads what stories refer to.
fn survey(file: &Path, progress: &ProgressBar) -> anyhow::Result<Site> {
    let mut records = open(file)?;
    let mut site = Site::default();
    loop {
        match records.next_record() {
            Ok(Some(record)) => learn(&mut site, record),
            Ok(None) => return Ok(site),
            // A file that WordPress began to write can be taken as far as it goes; the second reading
            // comes upon the fault again, and reports it.
            Err(_) if records.is_of_wordpress() => {
                site.broken_off = true;
                return Ok(site);
            }
            Err(Broken { line, reason }) => bail!("{}, line {line}: {reason}", file.display()),
        }
        progress.set_position(records.bytes_read());
    }
}

fn learn(site: &mut Site, record: Record) {
    match record {
        // The addresses come in the order of trust, the best last.
        Record::SiteUrl(url) => site.url = Some(url),
        Record::Language(language) => site.language = Some(language),
        Record::Author(author) => {
            site.authors.insert(author.login.clone(), author);
        }
        Record::Category(category) => {
            site.categories.insert(category.slug.clone(), category);
        }
        Record::Item(item) if item.post_type == "attachment" => {
            if let Some(image) = map::image(&item) {
                site.images.insert(item.id, image);
            }
        }
        Record::Item(_) => {}
    }
}

fn open(file: &Path) -> anyhow::Result<Records<File>> {
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Records::new(opened))
}

/// The site's address; for a file that has none, the file's name.
fn source_name(site: &Site, file: &Path) -> String {
    let name = match (&site.url, file.file_name()) {
        (Some(url), _) => format!("wxr {}", url.trim_end_matches('/')),
        (None, Some(name)) => format!("wxr file {}", name.to_string_lossy()),
        (None, None) => "wxr".to_owned(),
    };
    bounded(&name)
}

fn bounded(key: &str) -> String {
    let end = key.floor_char_boundary(MAX_KEY);
    key[..end].to_owned()
}

/// An import that is under way.
struct Import<'a> {
    app: &'a App,
    edition: Edition,
    source: String,
    site: Site,
    report: Report,
}

impl Import<'_> {
    async fn item(&mut self, item: &Item) -> Result<(), sea_orm::DbErr> {
        let (zone, now) = (self.edition.time_zone, self.app.now());
        let story = match map::story(item, &self.site, zone, now) {
            Ok(story) => story,
            Err(reason) => {
                self.report.articles.left_out.add(reason);
                for _ in &item.comments {
                    let reason = "comments under what was left out";
                    self.report.comments.left_out.add(reason);
                }
                return Ok(());
            }
        };
        let changed = (story.changed.clone(), story.thread.changed.clone());
        self.report.comments.left_out.add_all(&story.thread.left_out);
        let story = self.imported(story);
        let taken = import_story(self.app, story.clone()).await?;
        self.count(&story, taken, [changed.0, changed.1]);
        Ok(())
    }

    fn count(&mut self, story: &ImportedStory, taken: Taken, changed: [Tally; 2]) {
        let all = story.comments.len() as u64;
        let report = &mut self.report;
        match taken {
            Taken::Now => {
                report.articles.taken += 1;
                report.comments.taken += all;
                changed.iter().for_each(|changed| report.changed.add_all(changed));
                report.categories.extend(story.category.last().map(|node| node.name.clone()));
                report.tags.extend(story.article.tags.iter().cloned());
                report.authors.extend(story.article.authors.iter().cloned());
            }
            Taken::Already { elsewhere, comments } => {
                report.articles.already += 1;
                report.comments.taken += comments;
                report.comments.already += all - comments;
                if let Some(locale) = elsewhere {
                    let said = format!("already there, in the edition {locale}");
                    report.articles.elsewhere.add(said);
                }
            }
        }
    }

    fn imported(&self, story: Story) -> ImportedStory {
        let (slug, name) = story
            .category
            .unwrap_or_else(|| (UNCATEGORISED.0.to_owned(), UNCATEGORISED.1.to_owned()));
        ImportedStory {
            source: self.source.clone(),
            key: bounded(&story.key),
            category: self.category_path(slug, name),
            article: ImportedArticle {
                edition_id: self.edition.id,
                category_id: uuid::Uuid::nil(),
                translation_group_id: None,
                slug: story.slug,
                state: story.state,
                breaking: false,
                text: story.text,
                authors: story.authors,
                tags: story.tags,
                created_at: story.created_at,
                published_at: story.published_at,
            },
            comments: story.thread.comments,
        }
    }

    /// From the root to the category, as the file has its tree.
    fn category_path(&self, slug: String, name: String) -> Vec<ImportedCategory> {
        let mut parent = self.site.categories.get(&slug).and_then(|c| c.parent.clone());
        let mut path = vec![ImportedCategory { slug: bounded(&slug), name }];
        while let Some(above) = parent.and_then(|slug| self.site.categories.get(&slug)) {
            // A tree that is a circle, or deeper than ours may be, is cut off above.
            if path.len() >= MAX_DEPTH || path.iter().any(|node| node.slug == above.slug) {
                break;
            }
            path.push(ImportedCategory { slug: bounded(&above.slug), name: above.name.clone() });
            parent = above.parent.clone();
        }
        path.reverse();
        path
    }
}
