//! A PostgreSQL of one test's own, which can be restarted.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Reads how to stop before each restart, until nobody is left who writes.
const SCRIPT: &str = r#"
set -euo pipefail
. bin/postgres
start_postgres -c fsync=off -c max_connections=100
echo "$postgres_url"
while read -r mode; do
  as_postgres "$postgres/pg_ctl" -D "$cluster/data" -m "$mode" -w -t 60 restart >/dev/null 2>&1
  echo restarted
done
"#;

/// The server. It is stopped and deleted when it is dropped.
pub(crate) struct Postgres {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let mut shell = Command::new("bash")
            .args(["-c", SCRIPT, "tests/survival"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut postgres = Self { shell, orders, answers, url: String::new() };
        postgres.url = postgres.answer();
        assert!(
            postgres.url.starts_with("postgres://"),
            "PostgreSQL does not start; bin/test installs it"
        );
        postgres
    }

    /// Stops it as `mode` says, `fast` or `immediate`, and starts it again.
    pub(crate) fn restart(&mut self, mode: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{mode}").unwrap();
        assert_eq!(self.answer(), "restarted");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.orders.take());
        drop(self.shell.wait());
    }
}
