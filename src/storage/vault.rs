//! The vault: seals what must not be read by whoever gets hold of the database alone.
//!
//! Rows are sealed by a data key. The data keys lie in the database too, each sealed by the master
//! key, which is a file of the newsroom's machines: so a new data key needs no new file anywhere.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use khabar_migrations::SchemaManager;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityName, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::entities::data_key::{ActiveModel, COLUMN, Entity, Model};
use super::entities::{prepared_keys, push_subscription, vapid_key};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::sealing::{KEY, MasterKey, SealingKey, SealingNonce};

/// Something sealed, and by which data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The data key's id.
    pub key_id: i32,
    /// As it is stored.
    pub bytes: Vec<u8>,
}

/// Seals and opens. Clones are the same vault.
#[derive(Debug, Clone)]
pub struct Vault {
    master: Arc<RwLock<MasterKey>>,
    clock: Arc<dyn Clock>,
    /// Data keys that were looked at; `None` for those that the master key does not open.
    known: Arc<RwLock<HashMap<i32, Option<SealingKey>>>>,
}

/// Seals by one data key, which stays until the transaction ends that it was taken in.
#[derive(Debug)]
pub struct Sealer<'a> {
    vault: &'a Vault,
    key_id: i32,
    key: SealingKey,
}

impl Vault {
    /// A vault that this master key opens.
    pub fn new(master: impl Into<MasterKey>, clock: Arc<dyn Clock>) -> Self {
        Self { master: Arc::new(RwLock::new(master.into())), clock, known: Arc::default() }
    }

    /// Opens by another master key from now on. What was learned by the one before stays known.
    pub fn change_master(&self, master: MasterKey) {
        *self.master.write().unwrap_or_else(PoisonError::into_inner) = master;
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, key| key.is_some());
    }

    /// What seals by the newest data key: ask once, and seal as much as a transaction needs.
    pub async fn sealer(&self, connection: &impl ConnectionTrait) -> Result<Sealer<'_>, DbErr> {
        // Gone when it was waited for, if a rotation has put a newer one in its place: looked at again.
        let row = match newest(connection).await? {
            Some(row) => Some(row),
            None => newest(connection).await?,
        };
        let Some(newest) = row else {
            return Err(DbErr::RecordNotFound("a data key; start the server once".to_owned()));
        };
        Ok(Sealer { vault: self, key_id: newest.id, key: self.learn(newest)? })
    }

    /// What was sealed for a place.
    pub async fn open(
        &self,
        connection: &impl ConnectionTrait,
        place: &[u8],
        sealed: Sealed,
    ) -> Result<Vec<u8>, DbErr> {
        let Sealed { key_id, bytes } = sealed;
        let key = match self.known(key_id) {
            Some(key) => key.ok_or_else(|| not_ours(key_id))?,
            None => match Entity::find_by_id(key_id).one(connection).await? {
                Some(row) => self.learn(row)?,
                None => return Err(DbErr::Custom(format!("there is no data key {key_id}"))),
            },
        };
        key.open(place, bytes)
            .ok_or_else(|| DbErr::Custom(format!("data key {key_id} does not open it")))
    }

    /// Adds a data key, which seals from now on. Answers its id. To be called by one at a time.
    pub async fn add_key(
        &self,
        connection: &impl ConnectionTrait,
        now: Timestamp,
    ) -> Result<i32, DbErr> {
        let id = newest(connection).await?.map_or(1, |newest| newest.id + 1);
        let sealed = self.seal_secret(&place(id), &self.clock.new_secret())?;
        let row = ActiveModel { id: Set(id), sealed: Set(sealed), created_at: Set(now) };
        row.insert(connection).await?;
        Ok(id)
    }

    /// Learns every data key, so that they last for as long as this process whatever becomes of the
    /// master key. Answers whether the newest is known; `None` when there is none.
    pub async fn learn_all(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Option<bool>, DbErr> {
        let mut knows_newest = None;
        for row in Entity::find().order_by_asc(COLUMN.id).all(connection).await? {
            knows_newest = Some(self.learn(row).is_ok());
        }
        Ok(knows_newest)
    }

    /// Whether the master key opens the newest data key; `None` when there is none.
    pub async fn is_opened(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Option<bool>, DbErr> {
        let newest = newest(connection).await?;
        Ok(newest.map(|row| self.open_secret(&place(row.id), &row.sealed).is_some()))
    }

    /// Whether this process lacks a data key because the newsroom's master key is another by now. What
    /// was sealed before a master key was lost is lost for everybody.
    pub async fn is_behind(
        &self,
        connection: &impl ConnectionTrait,
        key_id: i32,
    ) -> Result<bool, DbErr> {
        let lacks = self.known(key_id).flatten().is_none();
        if !lacks || self.is_opened(connection).await? != Some(true) {
            return Ok(lacks);
        }
        // It may have got the newsroom's master key this moment: then the key opens now.
        let row = Entity::find_by_id(key_id).one(connection).await?;
        Ok(row.is_some_and(|row| self.learn(row).is_ok()))
    }

    /// Seals every data key that it opens by the first of its master keys.
    pub async fn reseal_keys(&self, connection: &impl ConnectionTrait) -> Result<(), DbErr> {
        for row in Entity::find().lock_exclusive().all(connection).await? {
            let place = place(row.id);
            // Those of before a master key was lost stay as they are.
            let Some(key) = self.open_secret(&place, &row.sealed) else { continue };
            let (id, sealed) = (Set(row.id), Set(self.seal_secret(&place, &key)?));
            let change = ActiveModel { id, sealed, ..<ActiveModel as Default>::default() };
            change.update(connection).await?;
        }
        Ok(())
    }

    /// Seals a secret of the newsroom's own by the master key.
    pub fn seal_secret(&self, place: &[u8], secret: &[u8; KEY]) -> Result<Vec<u8>, DbErr> {
        let sealed = self.master().seal(self.nonce(), place, secret);
        sealed.ok_or_else(|| DbErr::Custom("sealing failed".to_owned()))
    }

    /// A secret of the newsroom's own; `None` when another master key has sealed it.
    pub fn open_secret(&self, place: &[u8], sealed: &[u8]) -> Option<[u8; KEY]> {
        self.master().open(place, sealed)
    }

    fn master(&self) -> RwLockReadGuard<'_, MasterKey> {
        self.master.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key_id: i32) -> Option<Option<SealingKey>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key_id).cloned()
    }

    fn learn(&self, row: Model) -> Result<SealingKey, DbErr> {
        if let Some(Some(key)) = self.known(row.id) {
            return Ok(key);
        }
        let bytes = self.open_secret(&place(row.id), &row.sealed);
        let key = bytes.and_then(|bytes| SealingKey::new(&bytes));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let learned = known.entry(row.id).or_default();
        // What another task has learned meanwhile, by a newer master key perhaps, stays.
        *learned = key.or(learned.take());
        learned.clone().ok_or_else(|| not_ours(row.id))
    }

    fn nonce(&self) -> SealingNonce {
        let mut nonce = SealingNonce::default();
        self.clock.fill_random(&mut nonce);
        nonce
    }
}

impl Sealer<'_> {
    /// Seals bytes for a place.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Sealed, DbErr> {
        let sealed = self.key.seal(self.vault.nonce(), place, plain);
        let bytes = sealed.ok_or_else(|| DbErr::Custom("sealing failed".to_owned()))?;
        Ok(Sealed { key_id: self.key_id, bytes })
    }
}

fn not_ours(key_id: i32) -> DbErr {
    DbErr::Custom(format!("the master key does not open data key {key_id}"))
}

/// A data key, and how many rows it seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataKey {
    /// Its id.
    pub id: i32,
    /// Since when it seals.
    pub created_at: Timestamp,
    /// Push subscriptions that it seals.
    pub push_subscriptions: u64,
}

/// Whether there is a data key, in a database of any version.
pub async fn has_keys(connection: &DatabaseConnection) -> Result<bool, DbErr> {
    let has_table = SchemaManager::new(connection).has_table(Entity.table_name()).await?;
    Ok(has_table && Entity::find().one(connection).await?.is_some())
}

/// The data keys, oldest first.
pub async fn data_keys(connection: &impl ConnectionTrait) -> Result<Vec<DataKey>, DbErr> {
    let mut keys = Vec::new();
    for row in Entity::find().order_by_asc(COLUMN.id).all(connection).await? {
        let sealed = push_subscription::Entity::find()
            .filter(push_subscription::COLUMN.key_id.eq(row.id))
            .count(connection)
            .await?;
        let (id, created_at) = (row.id, row.created_at);
        keys.push(DataKey { id, created_at, push_subscriptions: sealed });
    }
    Ok(keys)
}

/// Deletes the data keys older than one that seal nothing any more. Answers how many.
pub async fn delete_unused(connection: &impl ConnectionTrait, newest: i32) -> Result<u64, DbErr> {
    // Whoever sealed by one of them a moment ago is waited for, and its rows are seen.
    let old = Entity::find().filter(COLUMN.id.lt(newest)).order_by_asc(COLUMN.id).lock_exclusive();
    let mut deleted = 0;
    for row in old.all(connection).await? {
        let rows = push_subscription::COLUMN.key_id.eq(row.id);
        let rows = push_subscription::Entity::find().filter(rows).one(connection).await?.is_some();
        let blocks = prepared_keys::COLUMN.key_id.eq(row.id);
        let blocks = prepared_keys::Entity::find().filter(blocks).one(connection).await?.is_some();
        let pairs = vapid_key::COLUMN.key_id.eq(row.id);
        let pairs = vapid_key::Entity::find().filter(pairs).one(connection).await?.is_some();
        if !(rows || blocks || pairs) {
            deleted += Entity::delete_by_id(row.id).exec(connection).await?.rows_affected;
        }
    }
    Ok(deleted)
}

/// The newest data key. Until the transaction ends nobody deletes it.
async fn newest(connection: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find().order_by_desc(COLUMN.id).lock_shared().one(connection).await
}

fn place(id: i32) -> Vec<u8> {
    format!("khabar data key {id}").into_bytes()
}
