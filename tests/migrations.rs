//! The schema's steps: up, down and up again with rows in the tables, and by two at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, reason = "shared with tests/api, which uses the rest")]
#[path = "api/support/database.rs"]
mod database;

use database::TestDatabase;
use khabar::domain::edition::{Direction, Edition};
use khabar::storage::{Database, edition, migrate, setting};
use sea_orm::ConnectionTrait;

async fn steps(db: &Database) -> (usize, usize) {
    let steps = migrate::status(db).await.unwrap();
    (steps.iter().filter(|(_, applied)| *applied).count(), steps.len())
}

async fn fill(db: &Database) {
    let edition = Edition {
        id: uuid::Uuid::from_u128(1),
        locale: "ar-IQ".to_owned(),
        name: "خبر".to_owned(),
        direction: Direction::Rtl,
        time_zone: chrono_tz::Asia::Baghdad,
        place: None,
        alerts_per_day: None,
    };
    edition::insert(db.connection(), &edition, "2024-11-23T04:39:00Z".parse().unwrap())
        .await
        .unwrap();
    setting::set(db.connection(), "key", "value").await.unwrap();
}

#[tokio::test]
async fn up_down_and_up_again_with_rows() {
    let database = TestDatabase::create_empty().await;
    let db = database.open().await;
    let all = steps(&db).await.1;
    assert_eq!(steps(&db).await, (0, all));
    migrate::up(&db, None).await.unwrap();
    assert_eq!(steps(&db).await, (all, all));
    fill(&db).await;
    for left in (0..all).rev() {
        migrate::down(&db, None, 1).await.unwrap();
        assert_eq!(steps(&db).await, (left, all));
    }
    migrate::up(&db, None).await.unwrap();
    fill(&db).await;
    assert_eq!(edition::all(db.connection()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn instances_that_start_at_once_do_not_collide() {
    let database = TestDatabase::create_empty().await;
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("migrate.lock");
    let mut starting = Vec::new();
    for _ in 0..4 {
        let (db, lock) = (database.open().await, lock.clone());
        starting.push(tokio::spawn(async move { migrate::up(&db, Some(&lock)).await }));
    }
    for instance in starting {
        instance.await.unwrap().unwrap();
    }
    let db = database.open().await;
    assert_eq!(steps(&db).await.0, steps(&db).await.1);
}

#[tokio::test]
async fn a_step_that_fails_half_way_leaves_nothing_and_a_later_start_goes_on() {
    let database = TestDatabase::create_empty().await;
    let db = database.open().await;
    let run = async |statement: &str| db.connection().execute_unprepared(statement).await;
    // The second step makes `users` and then cannot make `sessions`.
    run("CREATE TABLE sessions (id integer)").await.unwrap();
    let error = migrate::up(&db, None).await.unwrap_err();
    assert!(format!("{error:#}").contains("sessions"), "{error:#}");
    assert_eq!(steps(&db).await.0, 1, "the step before it stands");
    assert!(run("SELECT 1 FROM users").await.is_err(), "half a step stayed behind");

    run("DROP TABLE sessions").await.unwrap();
    migrate::up(&db, None).await.unwrap();
    assert_eq!(steps(&db).await.0, steps(&db).await.1);
}
