//! Divides an alert's audience into shards: ranges of subscription ids.

use uuid::Uuid;

use super::Unfinished;
use crate::app::App;
use crate::storage;

/// Subscription ids that a shard spans.
const SHARD: i64 = 10_000;

/// Plans an alert. Planning it again changes nothing.
pub(super) async fn run(app: &App, alert_id: Uuid) -> Result<(), Unfinished> {
    let change = app.begin().await?;
    let tx = change.transaction();
    if storage::alert::by_id(tx, alert_id).await?.is_none() {
        return Err(Unfinished::GiveUp("there is no such alert".to_owned()));
    }
    // Whoever subscribes after this moment has read the story already, or reads it by visiting.
    let last = storage::push_subscription::last_id(tx).await?;
    storage::alert::plan(tx, alert_id, &ranges(last)).await?;
    storage::alert::finish_if_done(tx, alert_id, app.now()).await?;
    change.commit().await?;
    Ok(())
}

/// Ranges (after, last] that cover every id up to the last one.
fn ranges(last: i64) -> Vec<(i64, i64)> {
    let starts = (0..).map(|number| number * SHARD).take_while(|after| *after < last);
    starts.map(|after| (after, (after + SHARD).min(last))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_id_once() {
        assert_eq!(ranges(0), []);
        assert_eq!(ranges(1), [(0, 1)]);
        assert_eq!(ranges(10_000), [(0, 10_000)]);
        assert_eq!(ranges(20_001), [(0, 10_000), (10_000, 20_000), (20_000, 20_001)]);
    }
}
