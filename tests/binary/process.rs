//! One run of the binary.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::database::TestDatabase;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The binary over a database, with nothing of this shell's settings.
pub(crate) fn khabar(database: &TestDatabase) -> Command {
    let mut command = bare(database.folder.path());
    command.env("DATABASE_URL", &database.url);
    command
}

/// The binary in a folder, with nothing of this shell's settings.
pub(crate) fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khabar"));
    command
        .env_clear()
        .current_dir(folder)
        .env("KHABAR_DATA_DIR", folder.join("data"))
        .env("KHABAR_LISTEN", "127.0.0.1:0")
        .env("KHABAR_WEATHER_ENABLED", "off");
    command
}

/// What a command says and how it ends.
pub(crate) fn run(command: &mut Command) -> (Output, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

/// A server under way; killed when dropped.
pub(crate) struct Serving {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Serving {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Where it serves, once it does.
    pub(crate) fn url(&mut self) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(url) = self.said.iter().find_map(|line| line.split("serves at ").nth(1)) {
                return url.to_owned();
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("it does not serve: {:?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    let (_, errors) = self.end();
                    panic!("it ended instead of serving: {errors}")
                }
            }
        }
    }

    /// All that it says when it starts.
    pub(crate) fn greeting(&mut self) -> String {
        self.url();
        // It is written at once; the rest of it is on its way.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(500)) {
            self.said.push(line);
        }
        self.said.join("\n")
    }

    /// The password, if it has shown one.
    pub(crate) fn password(&mut self) -> Option<String> {
        let greeting = self.greeting();
        let (_, after) = greeting.split_once("with the password ")?;
        Some(after.lines().next()?.to_owned()).filter(|word| !word.starts_with("of "))
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end; what it wrote on standard error.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let mut errors = String::new();
        if let Some(mut stream) = self.child.stderr.take() {
            stream.read_to_string(&mut errors).unwrap();
        }
        (self.child.wait().unwrap(), errors)
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.end()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a document.
pub(crate) async fn ask(url: &str, query: &str) -> serde_json::Value {
    ask_with(url, query, serde_json::Value::Null).await
}

/// Runs a document with variables.
pub(crate) async fn ask_with(
    url: &str,
    query: &str,
    variables: serde_json::Value,
) -> serde_json::Value {
    drop(rustls::crypto::ring::default_provider().install_default());
    let request = reqwest::Client::new().post(format!("{url}graphql"));
    let body = serde_json::json!({ "query": query, "variables": variables });
    request.json(&body).send().await.unwrap().json().await.unwrap()
}
