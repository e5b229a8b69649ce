//! What is stored of readers is sealed, by keys that can be changed while the newsroom runs.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use khabar::actions::agree_on_keys::{
    add_vapid_keys, adopt_keys, agree_on_keys, keep_up_with_keys,
};
use khabar::actions::agree_on_opt_out_key::opt_out_key;
use khabar::actions::rotate_data_key::rotate_data_key;
use khabar::actions::rotate_master_key::rotate_master_key;
use khabar::app::App;
use khabar::domain::clock::SystemClock;
use khabar::domain::opt_out::OptOutKey;
use khabar::domain::sealing::SealingKey;
use khabar::domain::vapid_keys::VapidKeys;
use khabar::domain::viewer::Role;
use khabar::keys;
use khabar::storage::{self, Vault, migrate};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::alert::{alert, opt_in_many, progress};
use crate::support::push_service::{Browser, PushService};
use crate::support::{Newsroom, TestApp};

/// Whether stolen files tell this.
fn tells(stolen: &[u8], secret: &[u8]) -> bool {
    stolen.windows(secret.len()).any(|window| window == secret)
}

/// What nobody must read in a stolen database.
fn secrets(browser: &Browser) -> [Vec<u8>; 3] {
    let (p256dh, auth) = browser.raw_keys();
    [browser.endpoint.clone().into_bytes(), p256dh.to_vec(), auth.to_vec()]
}

async fn run(app: &App, statement: &str) {
    app.db.connection().execute_unprepared(statement).await.unwrap();
}

#[tokio::test]
async fn a_stolen_database_tells_nobodys_address_or_keys() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("a-reader-with-a-long-name");
    newsroom.test.opt_in(&browser, json!({})).await;
    newsroom.test.worker().await.prepare_keys().await.unwrap();
    let app = &newsroom.test.app;
    let pair = storage::vapid_key::open(app.db.connection(), &app.vault, 1).await.unwrap().unwrap();
    let pair: serde_json::Value = serde_json::from_str(&pair).unwrap();
    let stolen = newsroom.test.stolen().await;
    assert!(tells(&stolen, newsroom.test.vapid_key().await.as_bytes()), "the search finds things");
    for secret in secrets(&browser) {
        assert!(!tells(&stolen, &secret));
    }
    assert!(!tells(&stolen, pair["private_key"].as_str().unwrap().as_bytes()));
    let change = app.begin().await.unwrap();
    let of = (1, &[newsroom.arabic.id][..]);
    let taken = storage::prepared_keys::take(change.transaction(), &app.vault, of, (0, 1_000));
    let [entry] = taken.await.unwrap().try_into().unwrap();
    assert!(!tells(&stolen, &entry.key[..65]) && !tells(&stolen, &entry.key[65..]));
}

#[tokio::test]
async fn what_is_sealed_for_one_reader_opens_for_no_other() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browsers = opt_in_many(&newsroom, &push, 3).await;
    let app = &newsroom.test.app;
    run(app, "UPDATE push_subscriptions SET sealed = (SELECT sealed FROM push_subscriptions WHERE id = 2) WHERE id = 1").await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/1");
    assert_eq!(push.received(&browsers[0]).len(), 0);
    assert_eq!(push.received(&browsers[1]).len(), 1);
    let replay = crate::support::operation("AlertReplay");
    let replayed = newsroom.test.as_role(Role::Editor, &replay, json!({ "id": id })).await;
    assert_eq!(
        replayed.user_errors("alertReplay"),
        Vec::<String>::new(),
        "who was given up is known"
    );
}

#[tokio::test]
async fn a_worker_without_the_present_master_key_leaves_the_news_to_one_that_has_it() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browsers = opt_in_many(&newsroom, &push, 3).await;
    let app = &newsroom.test.app;
    // It runs already.
    opt_out_key(app).await.unwrap();
    let new = with_new_master_key(app).await;
    rotate_data_key(&new, |_| {}).await.unwrap();
    let id = alert(&newsroom, "خبر").await;
    let behind = newsroom.test.worker().await.run_until_idle().await.unwrap_err();
    assert!(format!("{behind:#}").contains("master key"), "{behind:#}");
    assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0", "nobody is given up");
    newsroom.test.advance(TimeDelta::seconds(31));
    let newsroom = Newsroom { test: newsroom.test.with(new).await, ..newsroom };
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 3/0/0");
    assert!(browsers.iter().all(|browser| push.received(browser).len() == 1));
}

#[tokio::test]
async fn a_new_data_key_takes_over_while_other_instances_run() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 1_100).await;
    newsroom.test.worker().await.prepare_keys().await.unwrap();
    let other = newsroom.test.another_instance_with(crate::support::alerts::LOOPBACK).await;
    let rotated = rotate_data_key(&newsroom.test.app, |_| {}).await.unwrap();
    assert_eq!((rotated.key_id, rotated.deleted), (2, 1));
    let [key] = storage::vault::data_keys(newsroom.test.app.db.connection())
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!((key.id, key.push_subscriptions), (2, 1_100));
    // One that has not heard of it seals and opens by it all the same.
    other.opt_in(&push.browser("later"), json!({})).await;
    let id = alert(&newsroom, "خبر").await;
    other.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1101/0/0");
    drop(other);
}

#[tokio::test]
async fn a_rotation_goes_on_around_rows_that_nothing_opens() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 3).await;
    let app = &newsroom.test.app;
    run(app, "UPDATE push_subscriptions SET sealed = endpoint_hash WHERE id = 2").await;
    let rotated = rotate_data_key(app, |_| {}).await.unwrap();
    assert_eq!((rotated.key_id, rotated.deleted), (2, 0), "a key that still seals something stays");
}

#[tokio::test]
async fn each_reader_is_reached_with_the_vapid_key_they_subscribed_with() {
    let (newsroom, first) = Newsroom::with_push().await;
    let app = &newsroom.test.app;
    let early = first.browser("early");
    newsroom.test.opt_in(&early, json!({})).await;
    let pair = VapidKeys::generate(&SystemClock);
    let old = newsroom.test.vapid_key().await;
    add_vapid_keys(app, &pair).await.unwrap();
    assert_eq!(newsroom.test.vapid_key().await, pair.public_key());

    let second = PushService::start(pair.public_key(), Arc::clone(&app.clock)).await;
    newsroom.test.opt_in(&second.browser("late"), json!({})).await;
    // A client that knows nothing of keys posts its subscription again: it keeps its own.
    newsroom.test.opt_in(&early, json!({})).await;
    // Whoever fetched the old key before the change says so.
    let slow = json!({ "applicationServerKey": old });
    newsroom.test.opt_in(&first.browser("slow"), slow).await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 3/0/0");
    let keys = storage::vapid_key::all(app.db.connection()).await.unwrap();
    let readers: Vec<u64> = keys.iter().map(|key| key.push_subscriptions).collect();
    assert_eq!(readers, [2, 1]);

    // The early reader's browser comes back with the new key.
    let moved = second.browser("early");
    let padded = format!("{}=", pair.public_key().replace('-', "+").replace('_', "/"));
    newsroom.test.opt_in(&moved, json!({ "applicationServerKey": padded })).await;
    let other = json!({ "applicationServerKey": VapidKeys::generate(&SystemClock).public_key() });
    let answer = newsroom.test.post_subscription(&second.browser("stray"), other).await;
    assert_eq!(
        answer.user_errors("pushSubscriptionCreate"),
        ["applicationServerKey: KEY_NOT_FOUND"]
    );
}

#[tokio::test]
async fn after_a_lost_master_key_readers_come_back_with_their_tokens() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let token = newsroom.test.opt_in(&browser, json!({ "breakingOnly": true })).await;
    let app = with_master_key(&newsroom.test.app, 8);
    assert!(adopt_keys(&app).await.unwrap());
    let refused = rotate_data_key(&newsroom.test.app, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("master key"), "a machine with the old one: {refused}");
    let rotated = rotate_data_key(&app, |_| {}).await.unwrap();
    assert_eq!((rotated.key_id, rotated.deleted), (3, 1), "the lost one still seals a reader");
    let newsroom = Newsroom { test: newsroom.test.with(app).await, ..newsroom };
    let id = alert(&newsroom, "خبر يضيع").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/0", "for breaking news alone");

    let key = newsroom.test.vapid_key().await;
    let push = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
    let back = push.browser("reader");
    let moved = json!({
        "token": token,
        "input": { "browser": { "endpoint": back.endpoint, "keys": back.keys() }, "breakingOnly": false },
    });
    let document = crate::support::operation("PushSubscriptionUpdate");
    let answer = newsroom.test.read(&document, moved).await;
    assert_eq!(answer.user_errors("pushSubscriptionUpdate"), Vec::<String>::new());
    let id = alert(&newsroom, "خبر يصل").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn what_an_older_version_kept_in_plain_is_sealed_at_the_next_start() {
    upgrade(false).await;
}

#[tokio::test]
async fn an_older_version_adopts_the_keys_that_it_has() {
    upgrade(true).await;
}

async fn upgrade(adopting: bool) {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader-from-before");
    newsroom.test.opt_in(&browser, json!({})).await;
    let app = &newsroom.test.app;
    // As the older version left it: the table in plain, the keys in a file, the public one agreed on.
    let pair = storage::vapid_key::open(app.db.connection(), &app.vault, 1).await.unwrap().unwrap();
    let public_key = newsroom.test.vapid_key().await;
    let (p256dh, auth) = browser.raw_keys();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let blob = |bytes: &[u8]| match app.db.is_postgres() {
        true => format!("'\\x{}'", hex(bytes)),
        false => format!("x'{}'", hex(bytes)),
    };
    run(
        app,
        &format!(
            "INSERT INTO unsealed_push_subscriptions VALUES (1, '{}', {}, {})",
            browser.endpoint,
            blob(&p256dh),
            blob(&auth)
        ),
    )
    .await;
    run(app, "UPDATE push_subscriptions SET sealed = NULL, key_id = 0, vapid_key_id = 0").await;
    migrate::down(&app.db, None, 5).await.unwrap();
    storage::setting::set(app.db.connection(), "vapid_public_key", &public_key).await.unwrap();
    migrate::up(&app.db, None).await.unwrap();

    let refused = agree_on_keys(app).await.unwrap_err().into_words().to_string();
    assert!(refused.contains("vapid.json"), "{refused}");
    std::fs::write(app.config.data_dir.join("vapid.json"), pair).unwrap();
    if adopting {
        assert!(adopt_keys(app).await.unwrap());
    }
    agree_on_keys(app).await.unwrap();
    assert_eq!(newsroom.test.vapid_key().await, public_key);
    let stolen = newsroom.test.stolen().await;
    for secret in secrets(&browser) {
        assert!(!tells(&stolen, &secret), "nothing is left in plain");
    }
    let wiped = storage::setting::get(app.db.connection(), "wipe_unsealed").await.unwrap();
    assert_eq!(wiped.as_deref(), Some("done"));
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn a_start_that_was_killed_before_it_wiped_does_so_later() {
    let test = TestApp::start().await;
    let connection = test.app.db.connection();
    storage::setting::set(connection, "wipe_unsealed", "due").await.unwrap();
    agree_on_keys(&test.app).await.unwrap();
    let wiped = storage::setting::get(connection, "wipe_unsealed").await.unwrap();
    assert_eq!(wiped.as_deref(), Some("done"));
}

#[tokio::test]
async fn the_key_of_opt_out_links_is_sealed_and_stays_the_same() {
    let test = TestApp::start().await;
    let connection = test.app.db.connection();
    let plain = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    storage::setting::set(connection, "opt_out_key", plain).await.unwrap();
    let links = OptOutKey::new([7; 32]).token(1);
    for _ in 0..2 {
        let instance = test.another_instance().await;
        assert_eq!(opt_out_key(&instance.app).await.unwrap().token(1), links);
        let kept = storage::setting::get(connection, "opt_out_key").await.unwrap().unwrap();
        assert!(kept.len() > plain.len() && !kept.contains(plain), "{kept}");
    }
    // Of instances that start at once, all sign alike.
    storage::setting::set(connection, "opt_out_key", "").await.unwrap();
    let (one, two) = (test.another_instance().await, test.another_instance().await);
    // Their clocks have one seed: this makes what they draw differ.
    one.app.clock.new_secret();
    let (one, two) = tokio::join!(opt_out_key(&one.app), opt_out_key(&two.app));
    let links = one.unwrap().token(1);
    assert_eq!(links, two.unwrap().token(1));
    // A machine whose master key is not the newsroom's does not make them void; once it is, it does.
    let stranger = with_master_key(&test.app, 8);
    let refused = opt_out_key(&stranger).await.unwrap_err().to_string();
    assert!(refused.contains("copy the file"), "{refused}");
    assert!(adopt_keys(&stranger).await.unwrap());
    assert_ne!(opt_out_key(&stranger).await.unwrap().token(1), links);
}

#[tokio::test]
async fn a_new_master_key_takes_over_while_other_instances_run() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 3).await;
    let app = &newsroom.test.app;
    rotate_data_key(app, |_| {}).await.unwrap();
    let links = opt_out_key(app).await.unwrap().token(1);
    let new = with_new_master_key(app).await;
    let file = app.config.data_dir.join(keys::FILE);
    let keys = std::fs::read_to_string(&file).unwrap();
    assert!(keys.lines().count() == 1 && keys != URL_SAFE_NO_PAD.encode([7; 32]) + "\n");

    // Whoever runs goes on; whoever starts with the old one is refused.
    newsroom.test.opt_in(&push.browser("later"), json!({})).await;
    let old = with_master_key(app, 7);
    assert!(agree_on_keys(&old).await.is_err() && opt_out_key(&old).await.is_err());
    assert!(rotate_master_key(&old).await.is_err() && rotate_data_key(&old, |_| {}).await.is_err());
    // It takes the file up once it is there: another data key and the links are its own again.
    rotate_data_key(&new, |_| {}).await.unwrap();
    for instance in [&old, app] {
        let keys = keep_up_with_keys(instance).await.unwrap();
        assert!(keys.master && keys.newest);
    }
    agree_on_keys(&old).await.unwrap();
    assert_eq!(opt_out_key(&old).await.unwrap().token(1), links);
    agree_on_keys(&new).await.unwrap();
    assert_eq!(opt_out_key(&new).await.unwrap().token(1), links);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 4/0/0");
    let newsroom = Newsroom { test: newsroom.test.with(new).await, ..newsroom };
    let id = alert(&newsroom, "خبر آخر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 4/0/0");
}

/// The application on a machine with this master key.
fn with_master_key(app: &App, byte: u8) -> App {
    let vault = Vault::new(SealingKey::new(&[byte; 32]).unwrap(), app.clock.clone());
    App { vault, opt_out: Arc::default(), ..app.clone() }
}

/// Replaces the master key of an application; answers one that starts with the new key.
async fn with_new_master_key(app: &App) -> App {
    let folder = &app.config.data_dir;
    std::fs::write(folder.join(keys::FILE), URL_SAFE_NO_PAD.encode([7; 32]) + "\n").unwrap();
    rotate_master_key(app).await.unwrap();
    let key = keys::load_or_generate(folder, &*app.clock).unwrap();
    App { vault: Vault::new(key, app.clock.clone()), opt_out: Arc::default(), ..app.clone() }
}
