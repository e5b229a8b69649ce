//! Commands that say something and end.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::database::TestDatabase;
use crate::process::{bare, khabar, run};

#[test]
fn a_wrong_setting_stops_with_its_name_its_value_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("khabar.toml"), "[push]\nttl_hours = 0").unwrap();
    let (output, errors) = run(bare(folder.path()).env("KHABAR_ADMIN_PASSWORD", "short"));
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "push.ttl_hours = \"0\" (from khabar.toml): expected a whole number from 1 to 672",
        "admin_password = … (from KHABAR_ADMIN_PASSWORD): expected 12 to 200 characters",
    ] {
        assert!(errors.contains(part), "{part} is missing in {errors}");
    }
}

#[test]
fn who_closes_the_pipe_has_read_enough() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = bare(folder.path())
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_database_that_cannot_be_reached_is_said_once_and_soon() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let url = "postgres://khabar:secret@127.0.0.1:1/news";
    let (output, errors) = run(bare(folder.path()).env("DATABASE_URL", url));
    assert!(!output.status.success() && began.elapsed() < Duration::from_secs(8));
    assert_eq!(errors.matches("refused").count(), 1, "{errors}");
    assert!(errors.contains("postgres://…@127.0.0.1:1/news"), "{errors}");
    assert!(!errors.contains("secret") && errors.contains("check DATABASE_URL"), "{errors}");

    let (output, errors) = run(bare(folder.path()).env("DATABASE_URL", "sqlite:/no/such/x.sqlite"));
    assert!(!output.status.success());
    assert_eq!(errors.matches("unable to open").count(), 1, "{errors}");
    assert!(errors.contains("check that the folder is there"), "{errors}");
}

#[test]
fn keys_are_made_in_a_folder_of_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (output, errors) = run(bare(folder.path()).args(["keys", "generate"]));
    assert!(output.status.success(), "{errors}");
    let made = std::fs::metadata(folder.path().join("data")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn an_edition_and_a_user_are_added_once() {
    let database = TestDatabase::create_empty().await;
    let edition = || {
        let mut command = khabar(&database);
        command.args([
            "edition",
            "create",
            "AR-iq",
            "--name",
            "خبر",
            "--time-zone",
            "Asia/Baghdad",
        ]);
        command.args(["--place", "أربيل,36.19,44.01"]);
        run(&mut command)
    };
    let (output, errors) = edition();
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the edition ar-IQ is there\n");
    let (output, errors) = edition();
    assert!(!output.status.success());
    assert!(errors.contains("locale: there is an edition ar-IQ already"), "{errors}");

    let mut command = khabar(&database);
    command.args(["user", "create", "sara@news.example", "--role", "EDITOR"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a long password\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "sara@news.example may sign in now\n");
}
