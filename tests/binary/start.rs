//! Starting, greeting, ending.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::database::TestDatabase;
use crate::process::{Serving, ask, khabar};

#[tokio::test]
async fn the_first_start_greets_with_addresses_and_a_password_and_the_next_without() {
    let database = TestDatabase::create_empty().await;
    let mut first = Serving::start(&mut khabar(&database));
    let url = first.url();
    let greeting = first.greeting();
    for part in
        ["GraphiQL", "schema.graphql", "health/ready", "Data", "Database", "khabar user create"]
    {
        assert!(greeting.contains(part), "{part} is missing in {greeting}");
    }
    assert!(!greeting.contains("postgres://khabar"), "the database's user is shown: {greeting}");
    let password = first.password().unwrap();
    let sign_in = format!(
        "mutation {{ signIn(input: {{ email: \"admin@khabar.example\", password: \"{password}\" }}) \
         {{ token userErrors {{ message }} }} }}"
    );
    assert!(ask(&url, &sign_in).await["data"]["signIn"]["token"].is_string());
    let folder = database.folder.path().join("data");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let (status, log) = first.stop();
    assert!(status.success(), "{status}");
    assert!(!log.contains("Applying") && !log.contains("skipping"), "{log}");
    assert!(log.lines().count() <= 5, "{log}");

    let mut again =
        Serving::start(khabar(&database).env("KHABAR_ADMIN_PASSWORD", "a long password"));
    assert!(!again.greeting().contains("password"), "{}", again.greeting());
    let (_, log) = again.stop();
    assert_eq!(log.matches("is not used: there are users already").count(), 1, "{log}");
}

#[tokio::test]
async fn a_password_from_the_environment_is_not_shown_and_the_address_is() {
    let database = TestDatabase::create_empty().await;
    let mut command = khabar(&database);
    command.env("KHABAR_DEMO", "off").env("KHABAR_ADMIN_PASSWORD", "a long password");
    let mut serving = Serving::start(&mut command);
    let greeting = serving.greeting();
    assert!(greeting.contains("admin@khabar.example"), "{greeting}");
    assert!(!greeting.contains("a long password"), "{greeting}");
}

#[tokio::test]
async fn instances_that_start_at_once_all_serve_and_one_shows_the_password() {
    let database = TestDatabase::create_empty().await;
    let mut instances: Vec<Serving> =
        (0..3).map(|_| Serving::start(&mut khabar(&database))).collect();
    let mut passwords = 0;
    for instance in &mut instances {
        passwords += usize::from(instance.password().is_some());
        let answer = ask(&instance.url(), "{ editions { locale } }").await;
        assert_eq!(answer["data"]["editions"].as_array().unwrap().len(), 3, "{answer}");
    }
    assert_eq!(passwords, 1);
}

#[tokio::test]
async fn a_machine_with_keys_of_its_own_is_refused() {
    let database = TestDatabase::create_empty().await;
    let mut first = Serving::start(khabar(&database).env("KHABAR_DEMO", "off"));
    first.url();
    for command in ["serve", "worker"] {
        let folder = database.folder.path().join(command);
        let mut other = khabar(&database);
        other.arg(command).env("KHABAR_DATA_DIR", &folder);
        let (status, errors) = Serving::start(&mut other).end();
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("copy it from"), "{errors}");
        std::fs::copy(database.folder.path().join("data/master.key"), folder.join("master.key"))
            .unwrap();
    }
    let mut other = khabar(&database);
    Serving::start(other.env("KHABAR_DATA_DIR", database.folder.path().join("serve"))).url();
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let database = TestDatabase::create_empty().await;
    let mut serving = Serving::start(khabar(&database).env("KHABAR_DEMO", "off"));
    let url = serving.url();
    drop(rustls::crypto::ring::default_provider().install_default());
    let body = serde_json::json!({
        "query": "subscription { articlePublished(locale: \"ar-IQ\") { eventId } }"
    });
    let stream = reqwest::Client::new()
        .post(format!("{url}graphql/stream"))
        .header("accept", "text/event-stream")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(stream.status().is_success());
    let began = Instant::now();
    let (status, log) = serving.stop();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(0), "{log}");
    drop(stream);
}
