//! The weather at the editions' places, from an Open-Meteo server.
//!
//! Nobody waits for it: what is known is answered at once and renewed behind the answer; what is not
//! known yet may take 300 ms; what cannot be reached is not known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::sync::watch;

use crate::config::WeatherConfig;
use crate::domain::clock::Timestamp;
use crate::domain::edition::Place;

/// How long a temperature is answered without asking again.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// How long it is answered at all.
const USABLE: TimeDelta = TimeDelta::hours(3);
/// How long a server that failed is left alone.
const LEFT_ALONE: TimeDelta = TimeDelta::minutes(1);
/// How long an answer to a reader may wait.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 16 * 1_024;

/// What is known of the weather.
#[derive(Debug)]
pub struct Weather {
    client: Client,
    base_url: Option<Url>,
    places: Mutex<HashMap<String, Arc<Known>>>,
}

/// What is known of one place.
#[derive(Debug, Default)]
struct Known {
    state: Mutex<State>,
    asked: watch::Sender<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    reading: Option<(f64, Timestamp)>,
    asking: bool,
    failed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Answer {
    current: Current,
}

#[derive(Deserialize)]
struct Current {
    temperature_2m: f64,
}

impl Weather {
    /// Nothing is asked before somebody wants to know.
    pub fn new(config: &WeatherConfig) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).build().context("the weather's client")?;
        let base_url = config.enabled.then(|| config.base_url.clone());
        Ok(Self { client, base_url, places: Mutex::default() })
    }

    /// Degrees Celsius at a place, if they are known.
    pub async fn temperature(&self, place: &Place, now: Timestamp) -> Option<f64> {
        let url = self.address(place)?;
        let known = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(places.entry(url.to_string()).or_default())
        };
        let mut asked = known.asked.subscribe();
        let state = *known.lock();
        let age = state.reading.map(|(_, at)| now - at);
        if age.is_none_or(|age| age >= FRESH) {
            known.ask(&self.client, url, now);
        }
        match (state.reading, age) {
            (Some((degrees, _)), Some(age)) if age < USABLE => Some(degrees),
            _ if known.lock().asking => {
                // Whether it came in time or not: what is known by then is the answer.
                drop(tokio::time::timeout(PATIENCE, asked.changed()).await);
                let (degrees, at) = known.lock().reading?;
                (now - at < USABLE).then_some(degrees)
            }
            _ => None,
        }
    }

    fn address(&self, place: &Place) -> Option<Url> {
        let mut url = self.base_url.as_ref()?.join("v1/forecast").ok()?;
        url.query_pairs_mut()
            .append_pair("latitude", &place.latitude.to_string())
            .append_pair("longitude", &place.longitude.to_string())
            .append_pair("current", "temperature_2m");
        Some(url)
    }
}

impl Known {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server, unless that is under way or has just failed.
    fn ask(self: &Arc<Self>, client: &Client, url: Url, now: Timestamp) {
        {
            let mut state = self.lock();
            if state.asking || state.failed_at.is_some_and(|at| now - at < LEFT_ALONE) {
                return;
            }
            state.asking = true;
        }
        let (known, client) = (Arc::clone(self), client.clone());
        tokio::spawn(async move {
            let read = read(&client, url).await;
            {
                let mut state = known.lock();
                state.asking = false;
                match read {
                    Ok(degrees) => {
                        state.reading = Some((degrees, now));
                        state.failed_at = None;
                    }
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "the weather is not known");
                        state.failed_at = Some(now);
                    }
                }
            }
            known.asked.send_modify(|count| *count += 1);
        });
    }
}

async fn read(client: &Client, url: Url) -> anyhow::Result<f64> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        anyhow::ensure!(body.len() <= MAX_ANSWER, "the answer is too long");
    }
    let answer: Answer = serde_json::from_slice(&body)?;
    let degrees = answer.current.temperature_2m;
    anyhow::ensure!((-90.0..=60.0).contains(&degrees), "{degrees} degrees are nowhere on earth");
    Ok(degrees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use std::sync::atomic::{AtomicU32, Ordering};

    const ERBIL: &str = "2024-11-23T04:39:00Z";

    /// A server on this machine that answers with the body after the delay, and counts.
    async fn serve(body: &'static str, delay: Duration) -> (Weather, Arc<AtomicU32>) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        let router = Router::new().route(
            "/v1/forecast",
            get(move || async move {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(delay).await;
                body
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Weather::new(&WeatherConfig { enabled: true, base_url }).unwrap(), requests)
    }

    fn place() -> Place {
        Place { name: "Erbil".to_owned(), latitude: 36.19, longitude: 44.01 }
    }

    fn at(minutes: i64) -> Timestamp {
        ERBIL.parse::<Timestamp>().unwrap() + TimeDelta::minutes(minutes)
    }

    const SIX: &str = r#"{"current":{"time":"2024-11-23T04:30","temperature_2m":6.2}}"#;

    #[tokio::test]
    async fn it_is_asked_once_and_remembered() {
        let (weather, requests) = serve(SIX, Duration::ZERO).await;
        for _ in 0..5 {
            assert_eq!(weather.temperature(&place(), at(0)).await, Some(6.2));
        }
        assert_eq!(requests.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_old_one_is_answered_while_it_is_renewed() {
        let (weather, requests) = serve(SIX, Duration::ZERO).await;
        weather.temperature(&place(), at(0)).await;
        assert_eq!(weather.temperature(&place(), at(60)).await, Some(6.2));
        while requests.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_slow_server() {
        let (weather, _) = serve(SIX, Duration::from_secs(3)).await;
        // Had it waited for the answer, it would know it.
        assert_eq!(weather.temperature(&place(), at(0)).await, None);
    }

    #[tokio::test]
    async fn nonsense_is_not_known_and_not_asked_for_again_at_once() {
        for nonsense in [
            "",
            "{}",
            r#"{"current":{"temperature_2m":"warm"}}"#,
            r#"{"current":{"temperature_2m":900}}"#,
        ] {
            let (weather, requests) = serve(nonsense, Duration::ZERO).await;
            assert_eq!(weather.temperature(&place(), at(0)).await, None, "{nonsense}");
            assert_eq!(weather.temperature(&place(), at(0)).await, None);
            assert_eq!(requests.load(Ordering::Relaxed), 1, "{nonsense}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_or_switched_off_is_no_error() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let away =
            WeatherConfig { enabled: true, base_url: Url::parse("http://127.0.0.1:9/").unwrap() };
        assert_eq!(Weather::new(&away).unwrap().temperature(&place(), at(0)).await, None);
        let off = WeatherConfig { enabled: false, ..away };
        assert_eq!(Weather::new(&off).unwrap().temperature(&place(), at(0)).await, None);
    }
}
