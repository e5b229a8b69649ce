//! `khabar alert`: alerting readers from the command line, as the operator.

mod follow;
mod report;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use url::Url;
use uuid::Uuid;

use self::follow::follow;
use self::report::Standing;
use super::say;
use crate::actions::alert_input::Input;
use crate::actions::cancel_alert::{self, cancel_alert};
use crate::actions::create_alert::{self, create_alert, preview_alert};
use crate::actions::replay_alert::{self, replay_alert};
use crate::app::App;
use crate::config::Config;
use crate::domain::alert::{AlertState, Urgency};
use crate::domain::alert_message::{Form, MAX_PAYLOAD};
use crate::domain::clock::Timestamp;
use crate::domain::edition::canonical_locale;
use crate::domain::failure::Failure;
use crate::domain::page::PageRequest;
use crate::domain::slug;
use crate::domain::viewer::Viewer;
use crate::graphql::ids::{self, Kind};
use crate::storage;
use crate::storage::article::Visibility;

/// Alerts that `status` lists.
const LISTED: u32 = 20;

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Alerts readers of a published story, and shows how the alert comes along.
    Send(Send),
    /// Shows how an alert comes along; the last 20 when none is named.
    Status {
        /// The alert's id, as the list shows it or as the API does.
        #[arg(value_parser = alert_id)]
        id: Option<Uuid>,
        /// Goes on showing it until it is over.
        #[arg(long, requires = "id")]
        follow: bool,
        /// As JSON, for programs.
        #[arg(long, conflicts_with = "follow")]
        json: bool,
    },
    /// Calls an alert back: whoever has not been told by now is not told.
    Cancel {
        /// The alert's id.
        #[arg(value_parser = alert_id)]
        id: Uuid,
    },
    /// Tries those again whom an alert was given up for, and nobody else.
    Replay {
        /// The alert's id.
        #[arg(value_parser = alert_id)]
        id: Uuid,
        /// Ends at once, and does not wait for the alert.
        #[arg(long)]
        no_wait: bool,
    },
}

/// What readers are to be told. What is not said comes from the story.
#[derive(Debug, Args)]
pub(super) struct Send {
    /// The story: its id, LOCALE/SLUG, or the address of its page.
    #[arg(value_name = "STORY", value_parser = story)]
    story: Story,
    /// The first line of the notification; the headline when absent.
    #[arg(long)]
    title: Option<String>,
    /// What stands under it; the sub-headline or the excerpt when absent.
    #[arg(long)]
    body: Option<String>,
    /// How soon devices are woken: very-low, low, normal or high; high for breaking news and
    /// normal for the rest when absent.
    #[arg(long, value_parser = urgency)]
    urgency: Option<Urgency>,
    /// When it is to be sent, such as 2026-01-31T18:00:00+03:00; at once when absent.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// Alerts readers once more of a story that they have been alerted of.
    #[arg(long)]
    again: bool,
    /// Shows whom it would reach and what it would say, and sends nothing.
    #[arg(long)]
    dry_run: bool,
    /// Ends at once, and does not wait for the alert.
    #[arg(long)]
    no_wait: bool,
}

/// How a story is named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Story {
    Id(Uuid),
    At { locale: String, slug: String },
}

pub(super) async fn run(config: Config, what: AlertCommand) -> anyhow::Result<()> {
    let app = App::open_existing(config).await?;
    app.migrate().await?;
    match what {
        AlertCommand::Send(send) => run_send(&app, send).await,
        AlertCommand::Status { id: None, json, .. } => list(&app, json).await,
        AlertCommand::Status { id: Some(id), follow: true, .. } => wait(&app, id).await,
        AlertCommand::Status { id: Some(id), json, .. } => {
            let standing = Standing::of(&app, id).await?;
            if json { say_json(&standing.json(app.now())) } else { say(&standing.table(app.now())) }
        }
        AlertCommand::Cancel { id } => {
            let called_back = cancel_alert(&app, &Viewer::System, id).await;
            called_back.map_err(|failure| {
                let hint = |code| matches!(code, cancel_alert::Code::AlertNotFound);
                refused("the alert was not called back", failure, |code| hint(code).then_some(LIST))
            })?;
            say("called back; messages that are on their way may still arrive\n")?;
            say(&Standing::of(&app, id).await?.table(app.now()))
        }
        AlertCommand::Replay { id, no_wait } => {
            let replayed = replay_alert(&app, &Viewer::System, id).await;
            replayed.map_err(|failure| {
                let hint = |code| matches!(code, replay_alert::Code::AlertNotFound);
                refused("nobody is tried again", failure, |code| hint(code).then_some(LIST))
            })?;
            if no_wait { say(&format!("{id}\n")) } else { wait(&app, id).await }
        }
    }
}

/// Where alerts' ids are found.
const LIST: &str = "`khabar alert status` lists the last ones";

async fn run_send(app: &App, send: Send) -> anyhow::Result<()> {
    let article_id = find(app, &send.story).await?;
    let input = Input {
        title: send.title,
        body: send.body,
        urgency: send.urgency,
        scheduled_at: send.at.map(Some),
        again: send.again,
        ..Input::default()
    };
    let not_sent = |failure| {
        let exists = |code| matches!(code, create_alert::Code::AlertExists);
        refused("no alert is sent", at_flags(failure), |code| {
            exists(code).then_some("here that is --again")
        })
    };
    if send.dry_run {
        let previewed = preview_alert(app, &Viewer::System, article_id, input).await;
        return show(app, previewed.map_err(not_sent)?).await;
    }
    let alert = create_alert(app, &Viewer::System, article_id, input).await.map_err(not_sent)?;
    if send.no_wait {
        return say(&format!("{}\n", alert.id));
    }
    if let Some(at) = alert.scheduled_at {
        let (id, at) = (alert.id, report::instant(at));
        return say(&format!(
            "{id}\nIt is sent at {at}: `khabar alert cancel {id}` prevents it.\n"
        ));
    }
    wait(app, alert.id).await
}

/// Follows an alert to its end, and says how it ended.
async fn wait(app: &App, id: Uuid) -> anyhow::Result<()> {
    let standing = follow(app, id).await?;
    say(&standing.table(app.now()))?;
    if standing.alert.state == AlertState::Cancelled {
        bail!("the alert was called back: by somebody, or because its story is not before readers");
    }
    if standing.alert.counts.failed > 0 {
        say(&format!("`khabar alert replay {id}` tries those again who were given up.\n"))?;
    }
    Ok(())
}

/// The story that is meant.
async fn find(app: &App, story: &Story) -> anyhow::Result<Uuid> {
    let connection = app.db.connection();
    let (locale, slug) = match story {
        Story::Id(id) => {
            let found = storage::article::by_id(connection, *id, Visibility::Published).await?;
            let missing = || format!("there is no story {id} before readers; publish it first");
            return Ok(found.with_context(missing)?.id);
        }
        Story::At { locale, slug } => (locale, slug),
    };
    let Some(edition) = storage::edition::by_locale(connection, locale).await? else {
        let editions = storage::edition::all(connection).await?;
        let locales: Vec<String> = editions.into_iter().map(|edition| edition.locale).collect();
        bail!("there is no edition {locale}; there are: {}", locales.join(", "));
    };
    let address = (edition.id, slug.as_str());
    let found = storage::article::at_address(connection, address, Visibility::Published).await?;
    let found = found.with_context(|| {
        format!("there is no story {locale}/{slug} before readers; publish it first")
    })?;
    Ok(found.id)
}

/// Shows what an alert would be.
async fn show(
    app: &App,
    (alert, size): (crate::domain::alert::Alert, storage::audience::Size),
) -> anyhow::Result<()> {
    let editions = storage::edition::by_ids(app.db.connection(), &[alert.edition_id]).await?;
    let edition = editions.first().context("the story's edition is gone")?;
    let form = Form::new(&alert, edition, &app.config.public_url, MAX_PAYLOAD)?;
    let payload = form.sample();
    let message: serde_json::Value = serde_json::from_slice(&payload)?;
    let about = if size.exact { "" } else { "about " };
    say(&format!(
        "Audience   {about}{}; some of them may be kept from it by a cap or by quiet hours\n\
         To be sent {}\n\
         Urgency    {}\n\
         Message    {} bytes\n\
         {message:#}\n\
         Nothing was sent: this was a dry run.\n",
        size.count,
        alert.scheduled_at.map_or("at once".to_owned(), report::instant),
        alert.urgency.as_str(),
        payload.len(),
    ))
}

/// Shows the last alerts.
async fn list(app: &App, json: bool) -> anyhow::Result<()> {
    let last = PageRequest { limit: LISTED, after: None, before: None, from_end: false };
    let page = storage::alert::page(app.db.connection(), &last).await?;
    let standings = Standing::of_all(app, page.items).await?;
    if json {
        return say_json(&standings.iter().map(|one| one.json(app.now())).collect());
    }
    say(&report::list(&standings))
}

fn say_json(value: &serde_json::Value) -> anyhow::Result<()> {
    say(&format!("{value:#}\n"))
}

/// What was refused and why, with a hint for whoever is at the command line.
fn refused<C: Copy>(
    what: &'static str,
    failure: Failure<C>,
    hint: impl Fn(C) -> Option<&'static str>,
) -> anyhow::Error {
    let hint = match &failure {
        Failure::Rejected(faults) => faults.iter().find_map(|fault| hint(fault.code)),
        _ => None,
    };
    let words = failure.into_words();
    let words = match hint {
        Some(hint) => anyhow!("{words}; {hint}"),
        None => words,
    };
    words.context(what)
}

/// The same faults, at what the command line calls the fields.
fn at_flags<C>(mut failure: Failure<C>) -> Failure<C> {
    if let Failure::Rejected(faults) = &mut failure {
        for field in faults.iter_mut().flat_map(|fault| &mut fault.field) {
            match field.as_str() {
                "scheduledAt" => *field = "--at".to_owned(),
                "title" | "body" => field.insert_str(0, "--"),
                _ => {}
            }
        }
    }
    failure
}

/// An id as the database has it or as the API shows it.
fn id_of(kind: Kind, text: &str) -> Option<Uuid> {
    let shown = || ids::decode(&text.into()).filter(|(found, _)| *found == kind);
    Uuid::try_parse(text).ok().or_else(|| shown().map(|(_, id)| id))
}

fn alert_id(text: &str) -> Result<Uuid, String> {
    id_of(Kind::Alert, text).ok_or_else(|| format!("expected the id of an alert; {LIST}"))
}

fn urgency(word: &str) -> Result<Urgency, String> {
    Urgency::from_word(word).ok_or_else(|| "expected very-low, low, normal or high".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time such as 2026-01-31T18:00:00+03:00".to_owned())
}

fn story(text: &str) -> Result<Story, String> {
    if let Some(id) = id_of(Kind::Article, text) {
        return Ok(Story::Id(id));
    }
    let path = Url::parse(text).map_or(text.to_owned(), |url| url.path().to_owned());
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let address = match parts.as_slice() {
        [.., locale, slug] => canonical_locale(locale).zip(slug::from_address(slug)),
        _ => None,
    };
    let (locale, slug) = address.ok_or("expected an id, LOCALE/SLUG, or the address of a story")?;
    Ok(Story::At { locale, slug })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_named_by_id_or_address() {
        let id = Uuid::from_u128(7);
        for text in [id.to_string(), ids::encode(Kind::Article, id).to_string()] {
            assert_eq!(story(&text), Ok(Story::Id(id)), "{text}");
        }
        let at = Story::At { locale: "ar-IQ".to_owned(), slug: "جسر-النخيل".to_owned() };
        for text in [
            "ar-iq/جسر-النخيل",
            "/ar-IQ/جسر-النخيل",
            "https://news.example/ar-IQ/%D8%AC%D8%B3%D8%B1-%D8%A7%D9%84%D9%86%D8%AE%D9%8A%D9%84?x=1#reply",
        ] {
            assert_eq!(story(text).as_ref(), Ok(&at), "{text}");
        }
        let alert = ids::encode(Kind::Alert, id).to_string();
        for text in ["", "bridge", "https://news.example/", &alert] {
            assert!(story(text).is_err(), "{text}");
        }
    }
}
