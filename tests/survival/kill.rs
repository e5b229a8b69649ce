//! Workers that are killed: at moments that are chosen, and at moments that nobody chose.

use std::time::Duration;

use khabar::domain::alert::Counts;
use khabar::storage::{self, Change};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::dice::Dice;
use crate::newsroom::{Newsroom, Worker, until};
use crate::soak::{Toll, long_or, rounds};
use crate::support::push_service::{Behaviour, Browser};

/// Readers of a round: three pages.
const READERS: usize = 1_100;
/// Rounds at once, each with a database of its own.
const AT_ONCE: usize = 10;

#[test]
fn nobody_is_forgotten_whenever_a_worker_is_killed() {
    let random = |_| at_a_random_moment(Dice::new_seed());
    rounds(long_or(100, 3), AT_ONCE, random).note("a worker killed at random moments");
}

#[test]
fn nobody_is_forgotten_when_a_worker_is_killed_at_the_worst_moment() {
    let chosen = async |number| match number % 6 {
        0 => while_it_plans().await,
        1 => before_a_send().await,
        2 => after_the_sends().await,
        3 => amid_the_commit().await,
        4 => after_its_lease_ran_out().await,
        _ => gone_on_after_its_lease_ran_out().await,
    };
    rounds(long_or(30, 6), AT_ONCE, chosen).note("a worker killed at moments that were chosen");
}

async fn while_it_plans() -> Toll {
    let newsroom = Newsroom::found(20).await;
    let worker = newsroom.worker();
    until("the worker works", async || newsroom.log().contains("working on")).await;
    let alert = newsroom.alert().await;
    let held = hold_writes(&newsroom, alert).await;
    until_blocked(&newsroom).await;
    newsroom.kill(worker);
    drop(held);
    finish(&newsroom, alert).await
}

async fn before_a_send() -> Toll {
    let newsroom = Newsroom::found(20).await;
    newsroom.push.otherwise(Some(Behaviour::Hold(201)));
    let worker = newsroom.worker();
    let alert = newsroom.alert().await;
    newsroom.until_held(0).await;
    newsroom.kill(worker);
    newsroom.push.otherwise(None);
    finish(&newsroom, alert).await
}

async fn after_the_sends() -> Toll {
    let newsroom = Newsroom::found(520).await;
    let last = &newsroom.readers[499];
    newsroom.push.script(last, [Behaviour::Hold(201)]);
    let worker = newsroom.worker();
    let alert = newsroom.alert().await;
    newsroom.until_answered(500, alert).await;
    newsroom.push.release();
    while newsroom.push.received(last).is_empty() {
        tokio::task::yield_now().await;
    }
    newsroom.kill(worker);
    finish(&newsroom, alert).await
}

async fn amid_the_commit() -> Toll {
    let newsroom = Newsroom::found(20).await;
    newsroom.push.script(&newsroom.readers[0], [Behaviour::Hold(201)]);
    let worker = newsroom.worker();
    let alert = newsroom.alert().await;
    newsroom.until_held(0).await;
    let held = hold_writes(&newsroom, alert).await;
    newsroom.push.release();
    let told = async || newsroom.readers.iter().all(|r| !newsroom.push.received(r).is_empty());
    until("everybody is told", told).await;
    until_blocked(&newsroom).await;
    assert_eq!(newsroom.look(alert).await.counts, Counts::default(), "nothing is written down");
    newsroom.kill(worker);
    drop(held);
    finish(&newsroom, alert).await
}

/// Stopped until another has its work, and killed while that one is at it.
async fn after_its_lease_ran_out() -> Toll {
    let newsroom = Newsroom::found(520).await;
    let (stale, alert) = stopped_amid_a_page(&newsroom).await;
    let heir = newsroom.worker();
    newsroom.until_answered(100, alert).await;
    newsroom.kill(stale);
    let all = Counts { accepted: 520, ..Counts::default() };
    assert_eq!(newsroom.until_done(alert).await, all);
    drop(heir);
    newsroom.toll(&[]).await
}

/// Stopped until another has done its work; then it goes on, as a machine does that slept.
async fn gone_on_after_its_lease_ran_out() -> Toll {
    let newsroom = Newsroom::found(520).await;
    let (stale, alert) = stopped_amid_a_page(&newsroom).await;
    let heir = newsroom.worker();
    let all = Counts { accepted: 520, ..Counts::default() };
    assert_eq!(newsroom.until_done(alert).await, all);
    drop(heir);

    (0..520).for_each(|_| newsroom.push.release());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = newsroom.push.answers();
    stale.signal("-CONT");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(newsroom.push.answers(), before, "it sends nothing any more");
    assert_eq!(newsroom.look(alert).await.counts, all, "and writes nothing down");
    assert_eq!(subscriptions(&newsroom).await, 520, "a stale 410 deletes nobody");
    newsroom.kill(stale);
    newsroom.toll(&[]).await
}

/// A worker that is stopped while its first messages wait for their answers, and its alert.
async fn stopped_amid_a_page(newsroom: &Newsroom) -> (Worker, Uuid) {
    newsroom.push.otherwise(Some(Behaviour::Hold(410)));
    let worker = newsroom.worker();
    let alert = newsroom.alert().await;
    newsroom.until_held(0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    worker.signal("-STOP");
    newsroom.push.otherwise(None);
    (worker, alert)
}

/// A round with readers who are gone and with some who are reached at the second try.
async fn at_a_random_moment(seed: u64) -> Toll {
    let mut dice = Dice::of(seed);
    let newsroom = Newsroom::found(READERS).await;
    let (mut gone, mut flaky): (Vec<Browser>, usize) = (Vec::new(), 0);
    for reader in &newsroom.readers {
        match dice.below(100) {
            0 => {
                newsroom.push.script(reader, vec![Behaviour::Status(410); 10]);
                gone.push(reader.clone());
            }
            1 => {
                newsroom.push.script(reader, [Behaviour::Status(503)]);
                flaky += 1;
            }
            _ => {}
        }
    }
    let mut workers = vec![newsroom.worker()];
    if dice.one_in(2) {
        workers.push(newsroom.worker());
    }
    if dice.one_in(2) {
        let prepared = async || {
            let count = storage::prepared_keys::count(newsroom.app.db.connection()).await.unwrap();
            count == READERS as u64
        };
        until("keys are prepared", prepared).await;
    }
    let alert = newsroom.alert().await;
    let kills = long_or(1 + usize::from(dice.one_in(4)), 1);
    for kill in 0..kills {
        let moment = READERS * kill / kills + dice.below(READERS * 11 / 10 / kills);
        newsroom.until_answered(moment, alert).await;
        tokio::time::sleep(Duration::from_millis(dice.next() % 50)).await;
        newsroom.kill(workers.swap_remove(dice.below(workers.len())));
        workers.push(newsroom.worker());
    }
    let expected = Counts {
        accepted: i64::try_from(READERS - gone.len()).unwrap(),
        gone: i64::try_from(gone.len()).unwrap(),
        ..Counts::default()
    };
    let log = || format!("seed {seed}, {flaky} flaky\n{}", newsroom.log());
    assert_eq!(newsroom.until_done(alert).await, expected, "{}", log());
    drop(workers);
    let left = subscriptions(&newsroom).await;
    assert_eq!(left, READERS - gone.len(), "{}", log());
    newsroom.toll(&gone).await
}

/// Lets another worker finish the alert, and takes stock.
async fn finish(newsroom: &Newsroom, alert: Uuid) -> Toll {
    let heir = newsroom.worker();
    let accepted = i64::try_from(newsroom.readers.len()).unwrap();
    let counts = newsroom.until_done(alert).await;
    assert_eq!(counts, Counts { accepted, ..Counts::default() }, "{}", newsroom.log());
    drop(heir);
    newsroom.toll(&[]).await
}

/// Holds what a page is written down into: the alert's row, or on SQLite the only writer's place.
async fn hold_writes(newsroom: &Newsroom, alert: Uuid) -> Change {
    let change = newsroom.app.begin().await.unwrap();
    storage::alert::lock(change.transaction(), alert).await.unwrap();
    change
}

/// Returns once somebody waits for what is held.
async fn until_blocked(newsroom: &Newsroom) {
    let db = &newsroom.app.db;
    if !db.is_postgres() {
        // SQLite does not tell.
        return tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    let ask = "SELECT 1 FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("a worker waits for the lock", async || {
        let ask = Statement::from_string(sea_orm::DbBackend::Postgres, ask);
        db.connection().query_one_raw(ask).await.unwrap().is_some()
    })
    .await;
}

/// How many subscriptions there are.
async fn subscriptions(newsroom: &Newsroom) -> usize {
    let ids: Vec<i64> = (1..).take(newsroom.readers.len()).collect();
    let app = &newsroom.app;
    let page = storage::audience::by_ids(app.db.connection(), &app.vault, &ids);
    page.await.unwrap().candidates.len()
}
