//! Killed in the middle of its first start, whenever that is, and started again.

use std::time::{Duration, Instant};

use crate::database::TestDatabase;
use crate::process::{Serving, ask, khabar};

#[tokio::test]
async fn a_killed_first_start_leaves_nothing_that_stops_the_next() {
    let began = Instant::now();
    let database = TestDatabase::create_empty().await;
    let mut whole = Serving::start(&mut khabar(&database));
    whole.url();
    let takes = began.elapsed();
    drop(whole);
    for tenths in 1..=9 {
        let database = TestDatabase::create_empty().await;
        let first = Serving::start(&mut khabar(&database));
        let moment: Duration = takes * tenths / 10;
        tokio::time::sleep(moment).await;
        first.signal("-KILL");
        drop(first);
        let mut next = Serving::start(&mut khabar(&database));
        let url = next.url();
        let counts = "{ editions { locale } \
            en: articles(filter: { locale: \"en\" }, first: 100) { nodes { headline } } \
            ar: articles(filter: { locale: \"ar-IQ\" }, first: 100) { nodes { headline } } }";
        let data = ask(&url, counts).await["data"].take();
        let count = |pointer: &str| data.pointer(pointer).unwrap().as_array().unwrap().len();
        let found = (count("/editions"), count("/en/nodes") >= 8, count("/ar/nodes") >= 8);
        assert_eq!(found, (3, true, true), "killed after {moment:?}");
    }
}
