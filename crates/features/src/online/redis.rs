//! The online store on Redis: a hash per set, product to row, and a pointer to the newest. A set is written whole before
//! the pointer turns to it; the one before stays for a while, for readers that are on their way.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Pipeline, RedisError, cmd, pipe};
use chrono::Utc;
use sellcast_domain::ProductId;
use serde::{Deserialize, Serialize};

use super::row::{decode, encode};
use super::{OnlineAddress, OnlineError, OnlineRead, OnlineSet};
use crate::compute::FeatureSet;

/// Where the pointer is.
const POINTER: &str = "sellcast:features:online";
/// Rows that are written in one round trip.
const CHUNK: usize = 500;
/// How long the set before stays, and one whose writer has gone.
const LINGER: Duration = Duration::from_secs(3_600);
/// Turns of the pointer that a read follows.
const ATTEMPTS: usize = 4;
/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    /// Of the hash.
    key: String,
    set: OnlineSet,
}

/// A Redis database.
pub(super) struct OnRedis {
    connection: ConnectionManager,
    place: String,
    /// As it last was: with it a read needs one round trip.
    seen: RwLock<Option<Pointer>>,
}

impl std::fmt::Debug for OnRedis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnRedis").field("place", &self.place).finish_non_exhaustive()
    }
}

impl OnRedis {
    pub(super) fn at(address: &OnlineAddress) -> Result<Self, OnlineError> {
        let place = address.to_string();
        let settings =
            ConnectionManagerConfig::new().set_number_of_retries(2).set_response_timeout(Some(ANSWER)).set_connection_timeout(Some(ANSWER));
        let connection = ConnectionManager::new_lazy_with_config(address.client.clone(), settings);
        let connection = connection.map_err(|source| OnlineError::Redis { step: "prepare a connection", place: place.clone(), source })?;
        Ok(Self { connection, place, seen: RwLock::default() })
    }

    pub(super) async fn publish(&self, set: &FeatureSet) -> Result<(), OnlineError> {
        let failed = |source| self.failed("write features", source);
        let mut connection = self.connection.clone();
        let before = self.pointer().await?;
        let key = format!("sellcast:features:{}:{}:{}", set.version, set.as_of, Utc::now().timestamp_micros());
        let rows: Vec<usize> = (0..set.len()).collect();
        for chunk in rows.chunks(CHUNK) {
            let rows: Vec<(i64, Vec<u8>)> =
                chunk.iter().map(|row| (set.products[*row].get(), encode(set.categories[*row], set.row(*row)))).collect();
            let mut write = Pipeline::new();
            write.hset_multiple(&key, &rows).ignore().expire(&key, LINGER.as_secs() as i64).ignore();
            write.query_async::<()>(&mut connection).await.map_err(failed)?;
        }
        let pointer = Pointer { key: key.clone(), set: OnlineSet::of(set) };
        let mut turn = pipe();
        turn.atomic().persist(&key).ignore().set(POINTER, self.written(&pointer)?).ignore();
        if let Some(before) = before {
            turn.expire(before.key, LINGER.as_secs() as i64).ignore();
        }
        turn.query_async::<()>(&mut connection).await.map_err(failed)?;
        self.see(Some(pointer));
        Ok(())
    }

    pub(super) async fn current(&self) -> Result<Option<OnlineSet>, OnlineError> {
        Ok(self.pointer().await?.map(|pointer| pointer.set))
    }

    pub(super) async fn read(&self, products: &[ProductId]) -> Result<Option<OnlineRead>, OnlineError> {
        let mut connection = self.connection.clone();
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut known = if seen.is_some() { seen } else { self.pointer().await? };
        for _ in 0..ATTEMPTS {
            let Some(pointer) = known else { return Ok(None) };
            if products.is_empty() {
                return Ok(Some(OnlineRead { set: pointer.set, rows: Vec::new() }));
            }
            let ids: Vec<i64> = products.iter().map(|product| product.get()).collect();
            let mut ask = pipe();
            ask.get(POINTER).hmget(&pointer.key, &ids);
            let (now, rows): (Option<String>, Vec<Option<Vec<u8>>>) =
                ask.query_async(&mut connection).await.map_err(|source| self.failed("read features", source))?;
            let now = self.understood(now)?;
            if now.as_ref() == Some(&pointer) {
                let rows = rows.into_iter().map(|row| row.map(|bytes| self.row(&bytes)).transpose()).collect::<Result<_, _>>()?;
                return Ok(Some(OnlineRead { set: pointer.set, rows }));
            }
            self.see(now.clone());
            known = now;
        }
        Err(OnlineError::Foreign { what: "a pointer that turns with every look".to_owned(), place: self.place.clone() })
    }

    pub(super) async fn products(&self) -> Result<Vec<ProductId>, OnlineError> {
        let Some(pointer) = self.pointer().await? else { return Ok(Vec::new()) };
        let mut connection = self.connection.clone();
        let ids: Result<Vec<i64>, RedisError> = cmd("HKEYS").arg(&pointer.key).query_async(&mut connection).await;
        let mut ids = ids.map_err(|source| self.failed("list the products", source))?;
        ids.sort_unstable();
        Ok(ids.into_iter().map(ProductId::from).collect())
    }

    pub(super) async fn check_rights(&self) -> Result<(), OnlineError> {
        const TRIAL: &str = "sellcast:features:trial";
        let mut connection = self.connection.clone();
        let mut trial = pipe();
        trial.hset(TRIAL, 1, "x").ignore().expire(TRIAL, 60).ignore().hget(TRIAL, 1).del(TRIAL).ignore();
        let read: Result<Vec<String>, RedisError> = trial.query_async(&mut connection).await;
        read.map(drop).map_err(|source| self.failed("write and delete", source))
    }

    async fn pointer(&self) -> Result<Option<Pointer>, OnlineError> {
        let mut connection = self.connection.clone();
        let text: Result<Option<String>, RedisError> = cmd("GET").arg(POINTER).query_async(&mut connection).await;
        let pointer = self.understood(text.map_err(|source| self.failed("find the newest features", source))?)?;
        self.see(pointer.clone());
        Ok(pointer)
    }

    fn see(&self, pointer: Option<Pointer>) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = pointer;
    }

    fn understood(&self, text: Option<String>) -> Result<Option<Pointer>, OnlineError> {
        let parse = |text: String| serde_json::from_str(&text).map_err(|_| self.foreign(format!("the value of `{POINTER}`")));
        text.map(parse).transpose()
    }

    fn written(&self, pointer: &Pointer) -> Result<String, OnlineError> {
        serde_json::to_string(pointer).map_err(|_| self.foreign("the pointer to be written".to_owned()))
    }

    fn row(&self, bytes: &[u8]) -> Result<super::OnlineRow, OnlineError> {
        decode(bytes).ok_or_else(|| self.foreign("a row of features".to_owned()))
    }

    fn foreign(&self, what: String) -> OnlineError {
        OnlineError::Foreign { what, place: self.place.clone() }
    }

    fn failed(&self, step: &'static str, source: RedisError) -> OnlineError {
        OnlineError::Redis { step, place: self.place.clone(), source }
    }
}
