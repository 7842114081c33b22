//! The tables of a keyspace and the statements on them, prepared once, each with its consistency.
//!
//! - `documents`: packed documents in parts, under the edition they belong to; written once, never changed.
//! - `published`: one partition with an entry per publication and the pointer in its static columns, so that one
//!   conditional batch adds the entry and moves the pointer, or does neither.
//! - `attempts`: editions that are being written, for the removal of what a killed publication left.
//! - `live`: the live generation of each hour, and `live_turns`: the minutes that some process writes. Their rows expire.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::PrepareError;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

use super::address::ClusterAddress;
use crate::predictions::error::{Cause, StoreError};

/// A node that does not answer within this time is taken for unreachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// A read that takes longer is asked of another copy as well.
const ASK_ANOTHER_AFTER: Duration = Duration::from_millis(200);

const TABLES: [(&str, &str); 5] = [
    ("documents", "(edition blob, bucket int, name text, part int, parts int, content blob, primary key ((edition, bucket), name, part))"),
    (
        "published",
        "(shop int, head bigint static, current uuid static, current_as_of int static, \
         revision bigint, as_of int, generation uuid, edition blob, primary key (shop, revision))",
    ),
    ("attempts", "(shop int, edition blob, begun_at timestamp, primary key (shop, edition))"),
    ("live", "(shop int, day int, hour bigint, generation uuid, as_of bigint, edition blob, primary key ((shop, day), hour, generation))"),
    ("live_turns", "(shop int, minute bigint, generation uuid, primary key ((shop, minute, generation)))"),
];

/// Connects with the consistency and the patience that every statement has unless it says otherwise.
pub(super) async fn session(address: &ClusterAddress) -> Result<Session, StoreError> {
    let policy = match &address.data_centre {
        Some(name) => DefaultPolicy::builder().prefer_datacenter(name.clone()).permit_dc_failover(true).build(),
        None => DefaultPolicy::builder().build(),
    };
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(REQUEST_LIMIT))
        .load_balancing_policy(policy)
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(address.hosts.iter().map(|host| format!("{host}:{}", address.port)))
        .connection_timeout(CONNECT_LIMIT)
        .default_execution_profile_handle(profile.into_handle());
    if let Some((user, password)) = &address.account {
        builder = builder.user(user, password);
    }
    builder.build().await.map_err(|source| StoreError::Unreachable { address: address.to_string(), source: source.into() })
}

/// Makes the keyspace and its tables where they are missing. What is there is left as it is.
pub(super) async fn prepare_keyspace(session: &Session, address: &ClusterAddress) -> Result<(), StoreError> {
    let fail = |step, mend, source: Cause| StoreError::Keyspace { step, address: address.to_string(), mend, source };
    let name = &address.keyspace;
    let names = async |sql: &str| {
        let rows = session.query_unpaged(sql, (name,)).await?.into_rows_result()?;
        Ok::<Vec<String>, Cause>(rows.rows::<(String,)>()?.flatten().map(|(name,)| name).collect())
    };
    let look = |source| fail("look for the keyspace", "give the user the right to read `system_schema`", source);
    if names("select keyspace_name from system_schema.keyspaces where keyspace_name = ?").await.map_err(look)?.is_empty() {
        let place = address.data_centre.as_deref().unwrap_or("replication_factor");
        let sql = format!(
            "create keyspace if not exists {name} with replication = {{'class': 'NetworkTopologyStrategy', '{place}': {}}}",
            address.replication
        );
        let mend = "make it by hand, or give the user the right to create keyspaces";
        session.query_unpaged(sql, &[]).await.map_err(|error| fail("make the keyspace", mend, error.into()))?;
    }
    let tables = names("select table_name from system_schema.tables where keyspace_name = ?").await.map_err(look)?;
    for (table, columns) in TABLES {
        if !tables.iter().any(|known| known == table) {
            let mend = "give the user the right to create tables in the keyspace, or see that all its nodes run";
            let sql = format!("create table if not exists {name}.{table} {columns}");
            session.query_unpaged(sql, &[]).await.map_err(|error| fail("make the tables", mend, error.into()))?;
        }
    }
    Ok(())
}

/// Statements, ready to run.
pub(super) struct Statements {
    pub(super) write_part: PreparedStatement,
    pub(super) read_parts_near: PreparedStatement,
    pub(super) read_parts_sure: PreparedStatement,
    pub(super) remove_bucket: PreparedStatement,
    pub(super) begin_attempt: PreparedStatement,
    pub(super) attempts: PreparedStatement,
    pub(super) end_attempt: PreparedStatement,
    pub(super) catalog_near: PreparedStatement,
    pub(super) catalog_sure: PreparedStatement,
    pub(super) catalog_settled: PreparedStatement,
    pub(super) take_live_turn: PreparedStatement,
    pub(super) keep_live: PreparedStatement,
    pub(super) live_of_day: PreparedStatement,
    pub(super) live_in_slot: PreparedStatement,
    /// Adds an entry and moves the pointer, if nobody did so meanwhile.
    pub(super) publish: Batch,
}

impl std::fmt::Debug for Statements {
    // The driver's batch has no form to show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statements").finish_non_exhaustive()
    }
}

impl Statements {
    pub(super) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, PrepareError> {
        let reading = session
            .get_default_execution_profile_handle()
            .pointee_to_builder()
            .speculative_execution_policy(Some(Arc::new(SimpleSpeculativeExecutionPolicy {
                max_retry_count: 2,
                retry_interval: ASK_ANOTHER_AFTER,
            })))
            .build()
            .into_handle();
        let prepare = async |sql: &str, consistency: Consistency| {
            let mut statement = session.prepare(sql.replace("{ks}", keyspace)).await?;
            statement.set_consistency(consistency);
            statement.set_is_idempotent(true);
            if sql.starts_with("select") && consistency != Consistency::Serial {
                statement.set_execution_profile_handle(Some(reading.clone()));
            }
            Ok::<_, PrepareError>(statement)
        };
        let parts = "select parts, part, content from {ks}.documents where edition = ? and bucket = ? and name = ?";
        let catalog = "select head, current, current_as_of, revision, as_of, generation, edition from {ks}.published \
                       where shop = 0 and revision > ?";
        let move_pointer = "update {ks}.published set head = ?, current = ?, current_as_of = ? where shop = 0 if head = ?";
        let add_entry = "insert into {ks}.published (shop, revision, as_of, generation, edition) values (0, ?, ?, ?, ?)";
        let mut publish = Batch::new(BatchType::Logged);
        publish.append_statement(prepare(move_pointer, Consistency::Quorum).await?);
        publish.append_statement(prepare(add_entry, Consistency::Quorum).await?);
        publish.set_consistency(Consistency::Quorum);
        publish.set_serial_consistency(Some(SerialConsistency::Serial));
        // Whether it happened is found by reading, never by doing it again.
        publish.set_is_idempotent(false);
        let write_part = "insert into {ks}.documents (edition, bucket, name, part, parts, content) values (?, ?, ?, ?, ?, ?) using ttl ?";
        let begin = "insert into {ks}.attempts (shop, edition, begun_at) values (?, ?, totimestamp(now()))";
        let attempts = "select edition, tounixtimestamp(begun_at), tounixtimestamp(now()) from {ks}.attempts where shop = ?";
        let take_live_turn = "insert into {ks}.live_turns (shop, minute, generation) values (0, ?, ?) if not exists using ttl ?";
        let keep_live =
            "insert into {ks}.live (shop, day, hour, generation, as_of, edition) values (0, ?, ?, ?, ?, ?) using ttl ? and timestamp ?";
        let live_in_slot = "select as_of, edition from {ks}.live where shop = 0 and day = ? and hour = ? and generation = ?";
        Ok(Self {
            write_part: prepare(write_part, Consistency::Quorum).await?,
            read_parts_near: prepare(parts, Consistency::LocalOne).await?,
            read_parts_sure: prepare(parts, Consistency::LocalQuorum).await?,
            remove_bucket: prepare("delete from {ks}.documents where edition = ? and bucket = ?", Consistency::Quorum).await?,
            begin_attempt: prepare(begin, Consistency::Quorum).await?,
            attempts: prepare(attempts, Consistency::Quorum).await?,
            end_attempt: prepare("delete from {ks}.attempts where shop = ? and edition = ?", Consistency::Quorum).await?,
            catalog_near: prepare(catalog, Consistency::LocalOne).await?,
            catalog_sure: prepare(catalog, Consistency::LocalQuorum).await?,
            catalog_settled: prepare(catalog, Consistency::Serial).await?,
            take_live_turn: prepare(take_live_turn, Consistency::Quorum).await?,
            keep_live: prepare(keep_live, Consistency::Quorum).await?,
            live_of_day: prepare("select generation, as_of from {ks}.live where shop = 0 and day = ?", Consistency::LocalQuorum).await?,
            live_in_slot: prepare(live_in_slot, Consistency::LocalQuorum).await?,
            publish,
        })
    }
}
