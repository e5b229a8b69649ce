//! The main job, end to end, against a running server: an editor publishes an Arabic story, an open
//! page hears of it, and a reader who opted in gets the encrypted alert. `bin/demo` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a demonstration may end so"
)]

#[allow(dead_code, reason = "shared with the tests, which use the rest")]
#[path = "../tests/api/support/push_service.rs"]
mod push_service;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use khabar::domain::clock::SystemClock;
use push_service::PushService;
use reqwest::{Client, Response};
use serde_json::{Value, json};

const HEADLINE: &str = "عاجل: افتتاح مكتبة عامة جديدة في أربيل";
/// What lets the server send to a push service on its own machine.
const LOOPBACK: &str = "KHABAR_PUSH_ALLOW_LOOPBACK=on";
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    url: String,
    client: Client,
    token: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = std::env::var("KHABAR_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let mut server =
        Server { url: url.trim_end_matches('/').to_owned(), client: Client::new(), token: None };

    step("An editor signs in");
    server.sign_in().await?;

    step("A reader opts in to alerts, with a key pair that only this reader has");
    let key =
        server.ask("{ webPushKey }", json!({})).await?["webPushKey"].as_str().unwrap().to_owned();
    let service = PushService::start(&key, Arc::new(SystemClock)).await;
    let reader = service.browser("reader");
    let subscription =
        json!({ "endpoint": reader.endpoint, "keys": reader.keys(), "locale": "ar-IQ" });
    let alerted = server.opt_in(subscription).await?;

    step("A page is open and listens");
    let mut page = server.listen().await?;
    println!(
        "  POST {}/graphql/stream  subscription articlePublished(locale: \"ar-IQ\")",
        server.url
    );

    step("The editor writes and publishes");
    let began = Instant::now();
    let article = server.publish(alerted).await?;
    println!("{}", indented(&article));

    step("The open page hears of it");
    let event = tokio::time::timeout(PATIENCE, page.next_event())
        .await
        .context("the page heard nothing")??;
    println!("  after {} ms:", began.elapsed().as_millis());
    println!("{}", indented(&event["data"]["articlePublished"]));

    if alerted {
        step("The reader's browser opens the alert");
        while service.received(&reader).is_empty() {
            ensure!(began.elapsed() < PATIENCE, "no alert came; is the worker running?");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!(
            "  after {} ms, sealed (aes128gcm) for this reader alone:",
            began.elapsed().as_millis()
        );
        println!("{}", indented(&service.received(&reader)[0].payload));
    }
    ensure!(alerted, "all was shown but the alert; start the server with {LOOPBACK} for it");
    step("Done");
    Ok(())
}

impl Server {
    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let password = match std::env::var("KHABAR_ADMIN_PASSWORD") {
            Ok(password) => password,
            Err(_) => rpassword::prompt_password("  Password of admin@khabar.example: ")
                .context("no terminal to ask for the password on; set KHABAR_ADMIN_PASSWORD")?,
        };
        let input = json!({ "email": "admin@khabar.example", "password": password });
        let signed_in = self.operation("SignIn", json!({ "input": input })).await?;
        self.token = signed_in["signIn"]["token"].as_str().map(str::to_owned);
        println!("  as {}", signed_in["signIn"]["user"]["name"]);
        Ok(())
    }

    /// Whether the server took the reader's subscription; it refuses push services on its own machine
    /// unless it is told to allow them.
    async fn opt_in(&self, subscription: Value) -> anyhow::Result<bool> {
        let input = json!({ "input": subscription });
        let answer = self.ask(&operation("PushSubscriptionCreate")?, input).await?;
        let faults = &answer["pushSubscriptionCreate"]["userErrors"];
        match faults.get(0) {
            None => Ok(true),
            Some(fault) if fault["field"] == json!(["endpoint"]) => {
                println!("  {}", told(fault));
                println!(
                    "  The reader of this demonstration is at a push service on this machine. Start the"
                );
                println!("  server with {LOOPBACK} to see the alert as well. Going on without it.");
                Ok(false)
            }
            Some(fault) => bail!("the reader cannot opt in: {}", told(fault)),
        }
    }

    async fn publish(&self, alerted: bool) -> anyhow::Result<Value> {
        let categories =
            self.ask("{ category(slug: \"العراق\", locale: \"ar-IQ\") { id } }", json!({})).await?;
        let category = categories["category"]["id"].as_str();
        let category =
            category.context("this newsroom has no category العراق; start it with the demo")?;
        let input = json!({
            "locale": "ar-IQ",
            "category": category,
            "headline": HEADLINE,
            "subheadline": "ستون ألف كتاب وقاعة للأطفال",
            "dateline": { "source": "خبر", "place": "أربيل" },
            "body": { "text": "فُتحت صباح اليوم أبواب مكتبة عامة جديدة في أربيل.\n\nوتضم المكتبة ستين ألف كتاب بأربع لغات، وقاعة للأطفال." },
            "authors": ["فريق خبر"],
            "breaking": true,
        });
        let created = self.operation("ArticleCreate", json!({ "input": input })).await?;
        let id = created["articleCreate"]["article"]["id"].clone();
        let input = if alerted { json!({ "alert": {} }) } else { json!({}) };
        let published =
            self.operation("ArticlePublish", json!({ "id": id, "input": input })).await?;
        Ok(published["articlePublish"]["article"].clone())
    }

    async fn listen(&self) -> anyhow::Result<Page> {
        let body =
            json!({ "query": operation("ArticlePublished")?, "variables": { "locale": "ar-IQ" } });
        let request = self.client.post(format!("{}/graphql/stream", self.url));
        let response = request.header("accept", "text/event-stream").json(&body).send().await?;
        let mut page = Page { response: response.error_for_status()?, text: String::new() };
        // The first block holds an id alone: from now on, nothing is missed.
        page.block().await?;
        Ok(page)
    }

    /// Runs a committed operation; its userErrors are errors here.
    async fn operation(&self, name: &str, variables: Value) -> anyhow::Result<Value> {
        let data = self.ask(&operation(name)?, variables).await?;
        for payload in data.as_object().into_iter().flat_map(|data| data.values()) {
            if let Some(fault) = payload["userErrors"].get(0) {
                bail!("{name}: {}", told(fault));
            }
        }
        Ok(data)
    }

    async fn ask(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}/graphql", self.url));
        let request = request.json(&json!({ "query": query, "variables": variables }));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let unreachable =
            || format!("no server answers at {}; start one with cargo run --release", self.url);
        let mut answer: Value = request.send().await.with_context(unreachable)?.json().await?;
        if let Some(errors) = answer.get("errors") {
            bail!("{}", errors[0]["message"].as_str().unwrap_or("an error without a message"));
        }
        Ok(answer["data"].take())
    }
}

/// A userError in words.
fn told(fault: &Value) -> String {
    let field: Vec<&str> =
        fault["field"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let message = fault["message"].as_str().unwrap_or_default();
    if field.is_empty() { message.to_owned() } else { format!("{}: {message}", field.join(".")) }
}

fn operation(name: &str) -> anyhow::Result<String> {
    let path = format!("{}/schema/operations/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// A page that listens, and what it has not read yet.
struct Page {
    response: Response,
    text: String,
}

impl Page {
    async fn next_event(&mut self) -> anyhow::Result<Value> {
        loop {
            let block = self.block().await?;
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) {
                return Ok(serde_json::from_str(data)?);
            }
        }
    }

    async fn block(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Ok(block);
            }
            let chunk = self.response.chunk().await?.context("the stream ended")?;
            self.text.push_str(std::str::from_utf8(&chunk)?);
        }
    }
}

fn step(what: &str) {
    println!("\n▸ {what}");
}

fn indented(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
