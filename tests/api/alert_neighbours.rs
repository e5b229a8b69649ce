//! Origins of one push service, of which one is in trouble: its readers and the others' share pages.

use std::sync::Arc;

use chrono::TimeDelta;
use khabar::storage::entities::alert_retry::Entity as Retries;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::alert::{alert, opt_in_all, progress};
use crate::support::Newsroom;
use crate::support::push_service::{Behaviour, Browser, PushService};

#[tokio::test]
async fn an_origin_that_is_dead_holds_up_no_other_of_its_service() {
    let (newsroom, push) = Newsroom::with_push_by("extra_hosts = [\"localhost\"]").await;
    // Two ports of one host are two origins of one push service.
    let at = |reader: &Browser, origin: &str| {
        let path = reader.endpoint.split_once("/push/").unwrap().1;
        reader.at(format!("http://localhost{origin}/push/{path}"))
    };
    let port = push.browser("x").endpoint;
    let port = port.strip_prefix("http://127.0.0.1").unwrap().split_once('/').unwrap().0.to_owned();
    let mut living = Vec::new();
    for number in 0..20 {
        let reader = push.browser(&format!("reader{number}"));
        let is_dead = number % 2 == 0;
        let moved = at(&reader, if is_dead { ":9" } else { &port });
        newsroom.test.opt_in(&moved, json!({})).await;
        if !is_dead {
            living.push(reader);
        }
    }
    let worker = newsroom.test.worker().await;
    for round in 1..=4 {
        let id = alert(&newsroom, &format!("خبر {round}")).await;
        worker.run_until_idle().await.unwrap();
        assert_eq!(progress(&newsroom, &id).await, "SENDING 10/0/0", "round {round}");
        assert!(living.iter().all(|reader| push.received(reader).len() == round));
    }
}

#[tokio::test]
async fn an_origin_that_hangs_holds_up_no_other_of_its_service() {
    let (newsroom, works) = Newsroom::with_push().await;
    let key = newsroom.test.vapid_key().await;
    let hangs = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
    hangs.otherwise(Some(Behaviour::Hold(201)));
    // Of each of three pages.
    let (waiting, readers) = (hangs.browsers(30), works.browsers(1_200));
    for (waiting, readers) in waiting.chunks(10).zip(readers.chunks(400)) {
        for some in [readers, waiting] {
            opt_in_all(&newsroom, some, ("one", newsroom.arabic.id)).await;
        }
    }
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 1200/0/0");
    let begun = hangs.answers();
    assert!(begun <= 4, "{begun} were begun: somebody waited for more than the first ones");
    assert!(readers.iter().all(|reader| works.received(reader).len() == 1));

    hangs.otherwise(None);
    // One finds out that it answers again, and then the others follow.
    for _ in 0..3 {
        newsroom.test.advance(TimeDelta::seconds(20));
        newsroom.test.run_jobs().await;
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 1230/0/0");
}

#[tokio::test]
async fn a_service_that_hangs_as_a_whole_is_left_alone_and_not_given_up_page_by_page() {
    let (newsroom, one) = Newsroom::with_push().await;
    let key = newsroom.test.vapid_key().await;
    let other = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
    let services = [&one, &other];
    let readers = services.map(|push| push.browsers(600));
    for number in 0..6 {
        for readers in &readers {
            let some = &readers[100 * number..][..100];
            opt_in_all(&newsroom, some, ("one", newsroom.arabic.id)).await;
        }
    }
    services.iter().for_each(|push| push.otherwise(Some(Behaviour::Hold(201))));
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0");
    let connection = newsroom.test.app.db.connection();
    let waiting = async || Retries::find().count(connection).await.unwrap();
    assert_eq!(waiting().await, 500, "a page");

    services.iter().for_each(|push| push.otherwise(None));
    newsroom.test.advance(TimeDelta::seconds(6));
    newsroom.test.run_jobs().await;
    let told =
        || services.map(|push| push.answered().iter().filter(|(_, status)| *status == 201).count());
    let told: usize = told().iter().sum();
    assert!(told >= 200, "{told}: those behind the probes of the next page follow");
    for _ in 0..3 {
        newsroom.test.advance(TimeDelta::seconds(20));
        newsroom.test.run_jobs().await;
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 1200/0/0");
}
