//! Where notifications lead: to the story, counting; and out, in one tap and a click.
//!
//! Neither needs a cookie, a script or an account: what an address says is enough.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use sea_orm::DbErr;
use uuid::Uuid;

use super::Edge;
use super::response::Refusal;
use crate::actions::agree_on_opt_out_key::opt_out_key;
use crate::actions::opt_out;
use crate::storage;
use crate::storage::article::Visibility;

/// Leads to the story of an alert, in the reader's language if it is told in it. A story that is no
/// longer before readers leads to the front page.
pub(super) async fn open(
    State(edge): State<Edge>,
    Path((alert, locale)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let mut target = None;
    if let Ok(alert) = Uuid::try_parse(&alert) {
        target = story(&edge, alert, &locale).await.map_err(Refusal::internal)?;
        if target.is_some() {
            edge.app.clicks.count(alert);
        }
    }
    let target = target.unwrap_or_else(|| edge.app.config.public_url.to_string());
    // Found, not moved: each opening is to be counted.
    Ok((
        StatusCode::FOUND,
        [(header::LOCATION, target), (header::CACHE_CONTROL, "no-store".to_owned())],
    )
        .into_response())
}

async fn story(edge: &Edge, alert: Uuid, locale: &str) -> Result<Option<String>, DbErr> {
    let connection = edge.app.db.connection();
    let Some(alert) = storage::alert::by_id(connection, alert).await? else { return Ok(None) };
    let story =
        storage::article::by_id(connection, alert.article_id, Visibility::Published).await?;
    let Some(story) = story else { return Ok(None) };
    let wanted = storage::edition::by_locale(connection, locale).await?;
    let told = match wanted {
        Some(edition) if edition.id != story.edition_id => {
            let group = [story.translation_group_id];
            let all = Visibility::Published;
            let twins = storage::article::by_translation_groups(connection, &group, all).await?;
            twins.into_iter().find(|twin| twin.edition_id == edition.id).unwrap_or(story)
        }
        _ => story,
    };
    let edition = storage::edition::by_ids(connection, &[told.edition_id]).await?.pop();
    Ok(edition.map(|edition| told.canonical_url(&edge.app.config.public_url, &edition)))
}

/// Asks whether to opt out. Nothing happens yet: previews and scanners follow links too.
pub(super) async fn ask_opt_out(
    State(edge): State<Edge>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Refusal> {
    let words = words(&edge, &token, &headers).await.map_err(Refusal::internal)?;
    let form = format!("<form method=\"post\"><button>{}</button></form>", words.button);
    Ok(page(words, words.question, &form))
}

/// Opts out. What is over already stays so.
pub(super) async fn opt_out(
    State(edge): State<Edge>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Refusal> {
    let words = words(&edge, &token, &headers).await.map_err(Refusal::internal)?;
    opt_out::opt_out(&edge.app, &token).await.map_err(Refusal::internal)?;
    Ok(page(words, words.done, ""))
}

/// What the page says in one language.
#[derive(Debug, Clone, Copy)]
struct Words {
    lang: &'static str,
    dir: &'static str,
    question: &'static str,
    button: &'static str,
    done: &'static str,
}

const ENGLISH: Words = Words {
    lang: "en",
    dir: "ltr",
    question: "Stop all alerts from this newsroom on this device?",
    button: "Stop alerts",
    done: "Alerts are off. You can turn them on again on our site at any time.",
};

const ARABIC: Words = Words {
    lang: "ar",
    dir: "rtl",
    question: "هل تريد إيقاف جميع إشعاراتنا على هذا الجهاز؟",
    button: "إيقاف الإشعارات",
    done: "أُوقفت الإشعارات. يمكنك تفعيلها من جديد من موقعنا متى شئت.",
};

const SORANI: Words = Words {
    lang: "ckb",
    dir: "rtl",
    question: "دەتەوێت هەموو ئاگادارییەکانمان لەسەر ئەم ئامێرە ڕابگیرێن؟",
    button: "ڕاگرتنی ئاگادارییەکان",
    done: "ئاگادارییەکان ڕاگیران. هەر کاتێک بتەوێت دەتوانیت لە ماڵپەڕەکەمان دووبارە چالاکیان بکەیتەوە.",
};

/// The words of the edition that the reader of a link chose; of the browser's language once the link is of
/// nothing.
async fn words(edge: &Edge, token: &str, headers: &HeaderMap) -> anyhow::Result<Words> {
    let connection = edge.app.db.connection();
    let mut chosen = None;
    if let Some(id) = opt_out_key(&edge.app).await?.open(token) {
        chosen = storage::push_subscription::edition_of(connection, id).await?;
    }
    let edition = storage::edition::by_ids(connection, &Vec::from_iter(chosen)).await?.pop();
    let accepted = || headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok();
    let known = match &edition {
        Some(edition) => in_language(&edition.locale),
        // Browsers write what is dearest to their reader first.
        None => accepted().and_then(|tags| tags.split(',').find_map(in_language)),
    };
    Ok(known.unwrap_or(ENGLISH))
}

/// The words in the language of a tag, if there are any.
fn in_language(tag: &str) -> Option<Words> {
    let language = tag.trim().split(['-', ';']).next()?;
    [ENGLISH, ARABIC, SORANI].into_iter().find(|words| words.lang.eq_ignore_ascii_case(language))
}

fn page(words: Words, text: &str, form: &str) -> Html<String> {
    let Words { lang, dir, .. } = words;
    let page = include_str!("../../web/opt-out.html");
    let page = page.replace("{lang}", lang).replace("{dir}", dir);
    Html(page.replace("{text}", text).replace("{form}", form))
}
