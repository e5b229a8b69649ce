//! `khabar keys`: what an operator does with them.

use std::sync::Arc;

use khabar::domain::clock::SystemClock;

use crate::alert::opt_in;
use crate::database::TestDatabase;
use crate::process::{Serving, khabar, run};
use crate::push_service::PushService;

/// What a command prints.
fn says(database: &TestDatabase, arguments: &[&str]) -> String {
    let (output, errors) = run(khabar(database).arg("keys").args(arguments));
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why a command is refused.
fn refuses(database: &TestDatabase, arguments: &[&str]) -> String {
    let (output, errors) = run(khabar(database).arg("keys").args(arguments));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    errors
}

#[tokio::test]
async fn keys_rotate_come_from_elsewhere_and_are_listed() {
    let database = TestDatabase::create_empty().await;
    let first = says(&database, &["generate"]);
    assert_eq!(first, says(&database, &["generate"]), "made once");
    assert_eq!(first.trim().len(), 87, "65 bytes in base64url");
    let status = says(&database, &["status"]);
    let newest = "browsers subscribe with it now";
    for line in ["data key 1, since", first.trim(), newest, "prepared keys: 0"] {
        assert!(status.contains(line), "{line} is missing in {status}");
    }

    assert!(
        says(&database, &["rotate-data"])
            .contains("data key 2 seals from now on; old keys deleted: 1")
    );
    let second = says(&database, &["rotate-vapid"]);
    assert!(
        !second.contains(first.trim()) && second.contains(says(&database, &["generate"]).trim())
    );

    let file = database.folder.path().join("keys.json");
    let file = file.to_str().unwrap();
    assert!(refuses(&database, &["import", file]).contains("cannot read"));
    let theirs = r#"{"publicKey":"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8","privateKey":"yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"}"#;
    std::fs::write(file, "-----BEGIN EC PRIVATE KEY-----").unwrap();
    assert!(refuses(&database, &["import", file]).contains("expected {\"publicKey\""));
    std::fs::write(file, theirs.replace("yfWP", "yfWQ")).unwrap();
    assert!(refuses(&database, &["import", file]).contains("do not belong together"));
    std::fs::write(file, theirs).unwrap();
    assert!(says(&database, &["import", file]).contains("BP4z9KsN"));
    assert!(refuses(&database, &["import", file]).contains("has this key pair already"));
    let status = says(&database, &["status"]);
    assert_eq!(status.matches("VAPID key").count(), 3, "{status}");
    assert_eq!(status.matches(newest).count(), 1, "{status}");
    assert!(says(&database, &["adopt"]).contains("nothing to do"));
}

#[tokio::test]
async fn a_master_key_is_replaced_and_nobody_notices() {
    let database = TestDatabase::create_empty().await;
    let first = says(&database, &["generate"]);
    let file = database.folder.path().join("data/master.key");
    let old = std::fs::read_to_string(&file).unwrap();
    assert!(says(&database, &["rotate-master"]).contains("copy it to every machine"));
    assert_ne!(std::fs::read_to_string(&file).unwrap(), old);
    assert_eq!(first, says(&database, &["generate"]));
    std::fs::write(&file, old).unwrap();
    assert!(refuses(&database, &["status"]).contains("does not open"));
}

#[tokio::test]
async fn commands_of_a_newsroom_make_none() {
    let database = TestDatabase::create_empty().await;
    for command in [
        "keys status",
        "keys adopt --yes",
        "keys import keys.json",
        "alert status",
        "migrate status",
        "user create a@b.example --role ADMIN",
        "import wxr export.xml",
    ] {
        let (output, errors) = run(khabar(&database).args(command.split(' ')));
        assert_eq!(output.status.code(), Some(1), "{command}: {errors}");
        assert!(errors.contains("there is no newsroom at"), "{command}: {errors}");
        assert!(!database.folder.path().join("data/master.key").exists(), "{command}");
    }
}

/// Blocks while the binary runs, and the push service answers meanwhile: two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_given_up_on_purpose_alone() {
    let database = TestDatabase::create_empty().await;
    let key = says(&database, &["generate"]);
    let push = PushService::start(key.trim(), Arc::new(SystemClock)).await;
    let mut serving = Serving::start(khabar(&database).env("KHABAR_PUSH_ALLOW_LOOPBACK", "on"));
    opt_in(&serving.url(), &push.browser("reader")).await;
    drop(serving);
    let file = database.folder.path().join("data/master.key");
    std::fs::remove_file(&file).unwrap();
    let refused = refuses(&database, &["adopt"]);
    assert!(refused.contains("1 push subscriptions") && refused.contains("--yes"), "{refused}");
    assert!(!file.exists(), "nothing is done");
    assert!(says(&database, &["adopt", "--yes"]).starts_with("adopted"));
    assert!(says(&database, &["adopt"]).contains("nothing to do"));
}

#[tokio::test]
async fn a_lost_master_key_is_replaced_on_purpose_alone() {
    let database = TestDatabase::create_empty().await;
    let first = says(&database, &["generate"]);
    let file = database.folder.path().join("data/master.key");
    std::fs::remove_file(&file).unwrap();
    let refused = refuses(&database, &["generate"]);
    assert!(refused.contains("master.key is missing") && refused.contains("khabar keys adopt"));
    assert!(!file.exists(), "no other one was made in its place");
    let adopted = says(&database, &["adopt"]);
    assert!(adopted.starts_with("adopted") && !adopted.contains(first.trim()), "{adopted}");
    assert!(adopted.contains(says(&database, &["generate"]).trim()));
}
