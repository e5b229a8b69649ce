//! Push subscriptions of an older version, which did not seal where browsers are reached.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, Statement,
};

use super::browser::{pack, place};
use super::entities::push_subscription::{self, ActiveModel};
use super::entities::unsealed_push_subscription::{COLUMN, Entity};
use super::{Sealed, Vault};

/// Seals a page of them. False when there was none left.
pub async fn seal_page(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    limit: u64,
) -> Result<bool, DbErr> {
    let find = Entity::find().order_by_asc(COLUMN.push_subscription_id).limit(limit);
    let page = find.all(connection).await?;
    let Some(last) = page.last().map(|row| row.push_subscription_id) else { return Ok(false) };
    let ids = page.iter().map(|row| row.push_subscription_id);
    let hashes = push_subscription::Entity::find()
        .select_only()
        .columns([push_subscription::Column::Id, push_subscription::Column::EndpointHash])
        .filter(push_subscription::COLUMN.id.is_in(ids));
    let hashes: Vec<(i64, Vec<u8>)> = hashes.into_tuple().all(connection).await?;
    let hashes: std::collections::HashMap<_, _> = hashes.into_iter().collect();
    let sealer = vault.sealer(connection).await?;
    for row in page {
        let Some(hash) = hashes.get(&row.push_subscription_id) else { continue };
        let plain = pack(&row.p256dh, &row.auth, &row.endpoint);
        let Sealed { key_id, bytes } = sealer.seal(&place(hash), &plain)?;
        let id = Set(row.push_subscription_id);
        let change =
            ActiveModel { id, sealed: Set(Some(bytes)), key_id: Set(key_id), ..Default::default() };
        change.update(connection).await?;
    }
    let done = Entity::delete_many().filter(COLUMN.push_subscription_id.lte(last));
    done.exec(connection).await?;
    Ok(true)
}

/// Writes the tables anew, without what dropped columns and deleted rows have left behind. Outside of
/// a transaction, and once all are sealed.
pub async fn wipe(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let statements: &[&str] = match connection.get_database_backend() {
        DbBackend::Postgres => {
            // The latter is empty by now; a VACUUM would keep what somebody's snapshot may still see.
            &["VACUUM FULL push_subscriptions", "TRUNCATE unsealed_push_subscriptions"]
        }
        _ => &["VACUUM"],
    };
    for statement in statements {
        connection.execute_unprepared(statement).await?;
    }
    if connection.get_database_backend() == DbBackend::Sqlite {
        empty_log(connection).await?;
    }
    Ok(())
}

/// Empties SQLite's write-ahead log, in which older pages stay as they were. Fails while somebody
/// else reads them.
async fn empty_log(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let checkpoint = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)");
    let row = connection.query_one_raw(checkpoint).await?;
    let busy: Option<i32> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    match busy {
        Some(0) => Ok(()),
        _ => Err(DbErr::Custom("the database is being read".to_owned())),
    }
}

/// Whether there are any.
pub async fn any(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(Entity::find().one(connection).await?.is_some())
}

/// Says of those who came before key pairs were told apart that they subscribed with this one.
pub async fn adopt_vapid_key(connection: &impl ConnectionTrait, id: i32) -> Result<(), DbErr> {
    push_subscription::Entity::update_many()
        .col_expr(push_subscription::Column::VapidKeyId, Expr::value(id))
        .filter(push_subscription::COLUMN.vapid_key_id.eq(0))
        .exec(connection)
        .await?;
    Ok(())
}
