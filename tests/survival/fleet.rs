//! Several workers on one database: they share the work, some are killed, PostgreSQL restarts.

use std::collections::BTreeSet;
use std::time::Duration;

use khabar::domain::alert::Counts;
use sea_orm::ConnectionTrait;

use crate::database::{SERVER, TestDatabase};
use crate::newsroom::{Newsroom, Worker, until};
use crate::postgres::Postgres;
use crate::soak::{Toll, long_or, rounds};

/// Shards that the readers of the fleet are spread over.
const SHARDS: usize = 40;
/// Readers of each.
const READERS: usize = 30;
/// Shards of one push service that a worker has in hand at most.
const LANES: usize = 3;

#[test]
fn nobody_is_told_twice_by_two_workers() {
    rounds(long_or(20, 1), 4, |_| two_at_once()).note("two workers that nobody kills");
}

/// SQLite is for one machine, so there is nothing to do there.
fn many_machines() -> bool {
    std::env::var_os(SERVER).is_some()
}

#[test]
fn four_workers_share_the_work_and_two_finish_it() {
    if many_machines() {
        let round = |_| two_of_four_are_killed();
        rounds(long_or(10, 1), 2, round).note("two of four workers killed");
    }
}

#[test]
fn workers_survive_a_restart_of_the_database() {
    if many_machines() {
        let round = |number| restarted_amid_an_alert(["immediate", "fast"][number % 2]);
        rounds(long_or(10, 1), 2, round).note("PostgreSQL restarted amid an alert");
    }
}

async fn two_at_once() -> Toll {
    let newsroom = Newsroom::found(1_100).await;
    let workers = [newsroom.worker(), newsroom.worker()];
    let working = async || newsroom.log().matches("working on").count() == 2;
    until("both work", working).await;
    let alert = newsroom.alert().await;
    let counts = newsroom.until_done(alert).await;
    assert_eq!(counts, Counts { accepted: 1_100, ..Counts::default() }, "{}", newsroom.log());
    drop(workers);
    newsroom.toll(&[]).await
}

async fn two_of_four_are_killed() -> Toll {
    let mut newsroom = Newsroom::found(0).await;
    newsroom.readers = newsroom.push.browsers(SHARDS * READERS);
    newsroom.in_hand = LANES * READERS;
    for (shard, readers) in newsroom.readers.chunks(READERS).enumerate() {
        let skip = format!(
            "SELECT setval(pg_get_serial_sequence('push_subscriptions', 'id'), {})",
            1 + shard * 10_000
        );
        newsroom.app.db.connection().execute_unprepared(&skip).await.unwrap();
        newsroom.opt_in(readers).await;
    }
    newsroom.push.slow_down(Duration::from_millis(150));
    let names = [1, 2, 3, 4].map(|number| format!("mailto:worker{number}@news.example"));
    let mut workers: Vec<Worker> = names.iter().map(|name| newsroom.worker_called(name)).collect();
    until("all work", async || newsroom.log().matches("working on").count() == 4).await;
    let alert = newsroom.alert().await;
    until("all four send", async || senders(&newsroom).len() == 4).await;
    newsroom.kill(workers.remove(0));
    newsroom.kill(workers.remove(0));
    let accepted = i64::try_from(newsroom.readers.len()).unwrap();
    let counts = newsroom.until_done(alert).await;
    assert_eq!(counts, Counts { accepted, ..Counts::default() }, "{}", newsroom.log());
    drop(workers);
    newsroom.toll(&[]).await
}

/// Who has sent something.
fn senders(newsroom: &Newsroom) -> BTreeSet<String> {
    let messages = newsroom.readers.iter().flat_map(|reader| newsroom.push.received(reader));
    messages.map(|message| message.sender).collect()
}

/// PostgreSQL goes away and comes back while the workers stay.
async fn restarted_amid_an_alert(mode: &str) -> Toll {
    let mut postgres = Postgres::start();
    let mut newsroom = Newsroom::over(TestDatabase::create_on(&postgres.url).await).await;
    newsroom.readers = newsroom.push.browsers(1_100);
    newsroom.opt_in(&newsroom.readers).await;
    newsroom.push.slow_down(Duration::from_millis(20));
    let workers = [newsroom.worker(), newsroom.worker()];
    let alert = newsroom.alert().await;
    newsroom.until_answered(700, alert).await;
    tokio::task::block_in_place(|| postgres.restart(mode));
    newsroom.count_kill();
    let counts = newsroom.until_done(alert).await;
    assert_eq!(counts, Counts { accepted: 1_100, ..Counts::default() }, "{}", newsroom.log());
    drop(workers);
    newsroom.toll(&[]).await
}
