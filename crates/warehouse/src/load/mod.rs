//! Loading: from staged rows to the star schema, one module per table. What they share stands here: the run they
//! belong to, the rows they take in, and how rows of one key that contradict each other are told apart.

mod aggregates;
mod categories;
mod customers;
mod dates;
mod facts;
mod products;
mod promotions;
mod removals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use datafusion::prelude::SessionContext;

pub(crate) use aggregates::{Frame, Touched, refresh};
pub(crate) use categories::load as categories;
pub(crate) use customers::load as customers;
pub(crate) use dates::{load_events as events, refresh as dates};
pub(crate) use facts::load as facts;
pub(crate) use products::load as products;
pub(crate) use promotions::load as promotions;
pub(crate) use removals::{Caution, Compared, remove};

use crate::entity::{Entity, ROW_REF};
use crate::error::{Computing, WarehouseError};
use crate::journal::Journal;
use crate::lake::{Lake, in_memory, materialise};
use crate::quarantine::{self, REASON, RULE, rejects_of};
use crate::record::EntityCounts;
use crate::settings::WarehouseSettings;
use crate::staging::{Reject, Staged};

/// Where a run's rows come from, and so what they may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The first load: history counts as known when it happened.
    History,
    /// The source, later.
    Source,
    /// The quarantine: only rows whose key the warehouse does not have yet are loaded, a newer version is never undone.
    Quarantine,
}

/// The run that is loading.
pub(crate) struct Run<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) settings: &'a WarehouseSettings,
    pub(crate) journal: &'a Journal<'a>,
    pub(crate) id: &'a str,
    pub(crate) now: DateTime<Utc>,
    pub(crate) origin: Origin,
    pub(crate) counts: BTreeMap<Entity, EntityCounts>,
    pub(crate) touched: BTreeSet<NaiveDate>,
    /// Rows that went to quarantine, by number.
    pub(crate) failed: BTreeSet<(Entity, i64)>,
    /// What the record shall say in words.
    pub(crate) notes: Vec<String>,
    pending: Vec<Reject>,
    /// Keys of the sale lines that earlier chunks of this run brought.
    earlier_sales: Vec<RecordBatch>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        lake: &'a Lake,
        settings: &'a WarehouseSettings,
        journal: &'a Journal<'a>,
        id: &'a str,
        now: DateTime<Utc>,
        origin: Origin,
    ) -> Self {
        Self {
            lake,
            settings,
            journal,
            id,
            now,
            origin,
            counts: BTreeMap::new(),
            touched: BTreeSet::new(),
            failed: BTreeSet::new(),
            notes: Vec::new(),
            pending: Vec::new(),
            earlier_sales: Vec::new(),
        }
    }

    fn counts(&mut self, entity: Entity) -> &mut EntityCounts {
        self.counts.entry(entity).or_default()
    }

    /// Takes note of rows that go to quarantine.
    fn reject(&mut self, rejects: Vec<Reject>) {
        for reject in rejects {
            *self.counts(reject.entity).quarantined.entry(reject.rule.clone()).or_default() += 1;
            if self.origin == Origin::Quarantine {
                self.failed.insert((reject.entity, reject.row_ref));
            }
            self.pending.push(reject);
        }
    }

    /// Writes them. Before the facts of the same rows, so that a row is never in neither place.
    pub(crate) async fn store_rejects(&mut self) -> Result<(), WarehouseError> {
        let pending = std::mem::take(&mut self.pending);
        quarantine::store(self.lake, self.id, self.now, &pending).await
    }

    /// `now` in SQL.
    fn now_sql(&self) -> String {
        instant_sql(self.now)
    }

    /// A context with the named tables and the staged rows, deduplicated, as the table `staged`.
    async fn context(
        &mut self,
        entity: Entity,
        rows: Vec<Staged>,
        cursor: Option<&str>,
        tables: &[&str],
    ) -> Result<SessionContext, WarehouseError> {
        let context = Lake::context()?;
        for table in tables {
            self.lake.register(&context, table).await?;
        }
        let mut batches = Vec::with_capacity(rows.len());
        for staged in rows {
            self.counts(entity).read += staged.read;
            self.reject(staged.rejects);
            batches.push(staged.batch);
        }
        context.register_table("staged", in_memory(&context, entity.staged_schema(), batches)?).computing("staged rows")?;
        self.deduplicate(&context, entity, cursor).await?;
        Ok(context)
    }

    /// Leaves one row per key in `staged`: identical copies collapse; of contradicting ones the latest by cursor stays
    /// and the others go to quarantine.
    async fn deduplicate(&mut self, context: &SessionContext, entity: Entity, cursor: Option<&str>) -> Result<(), WarehouseError> {
        let key = entity.key().join(", ");
        let doubles = format!("select {key} from staged group by {key} having count(*) > 1");
        if materialise(context, "doubles", &doubles).await? == 0 {
            return Ok(());
        }
        let same_key =
            |left: &str, right: &str| conjunction(entity.key().iter().map(|column| format!("{left}.{column} = {right}.{column}")));
        let latest = cursor.map_or(String::new(), |cursor| format!("{cursor} desc nulls last, "));
        let ranked = format!(
            "select s.*, row_number() over (partition by {} order by {latest}{ROW_REF} desc) as nth
             from staged s left semi join doubles d on {}",
            entity.key().iter().map(|column| format!("s.{column}")).collect::<Vec<_>>().join(", "),
            same_key("s", "d")
        );
        materialise(context, "ranked", &ranked).await?;
        let columns: Vec<&str> = entity.columns().iter().map(|column| column.name).collect();
        let differs = any_differs("loser", "winner", &columns);
        let losers = format!(
            "select loser.*, '{}' as {RULE}, 'another row of the same key is newer' as {REASON}, {differs} as contradicts
             from ranked loser join ranked winner on {} where loser.nth > 1 and winner.nth = 1",
            entity.duplicate_rule(),
            same_key("loser", "winner")
        );
        materialise(context, "losers", &losers).await?;
        let contradicting = collect(context, "select * from losers where contradicts").await?;
        let identical = count(context, "select count(*) from losers where not contradicts").await?;
        self.counts(entity).unchanged += identical;
        self.reject(rejects_of(entity, &contradicting)?);
        materialise(context, "unique_rows", &format!("select s.* from staged s left anti join losers l on s.{ROW_REF} = l.{ROW_REF}"))
            .await?;
        let unique = context.table_provider("unique_rows").await.computing("staged rows")?;
        context.deregister_table("staged").computing("staged rows")?;
        context.register_table("staged", unique).computing("staged rows")?;
        Ok(())
    }

    /// Splits `staged` by `rule` (SQL that is null for a good row) into the table `good` and the quarantine.
    async fn judge(&mut self, context: &SessionContext, entity: Entity, from: &str, rules: &[Rule]) -> Result<u64, WarehouseError> {
        let cases = |of: &dyn Fn(&Rule) -> String| {
            rules.iter().map(|rule| format!("when {} then {}", rule.breaks_if, of(rule))).collect::<Vec<_>>().join(" ")
        };
        let judged = format!(
            "select s.*, case {} end as {RULE}, case {} end as {REASON} {from}",
            cases(&|rule| format!("'{}'", rule.name)),
            cases(&|rule| rule.reason.to_owned())
        );
        materialise(context, "judged", &judged).await?;
        let bad = collect(context, &format!("select * from judged where {RULE} is not null")).await?;
        self.reject(rejects_of(entity, &bad)?);
        materialise(context, "good", &format!("select * from judged where {RULE} is null")).await
    }
}

/// A rule that a row may break.
struct Rule {
    name: &'static str,
    breaks_if: String,
    /// SQL for the sentence that tells what is wrong with this row.
    reason: &'static str,
}

fn rule(name: &'static str, breaks_if: impl Into<String>, reason: &'static str) -> Rule {
    Rule { name, breaks_if: breaks_if.into(), reason }
}

fn conjunction(terms: impl Iterator<Item = String>) -> String {
    terms.collect::<Vec<_>>().join(" and ")
}

/// Each product as it was last, also when the source has removed it since: its sales stay what they were.
const LAST_PRODUCTS: &str = "(select product_id, category_id from
    (select product_id, category_id, row_number() over (partition by product_id order by valid_from desc) as version from dim_product)
    where version = 1)";

/// Whether any of the columns differs between two tables; absent equals absent. (Without the parentheses the parser
/// would take the whole rest of the condition as the right-hand side.)
fn any_differs(left: &str, right: &str, columns: &[&str]) -> String {
    columns.iter().map(|column| format!("({left}.{column} is distinct from {right}.{column})")).collect::<Vec<_>>().join(" or ")
}

/// An instant in SQL, typed as the tables type it.
fn instant_sql(instant: DateTime<Utc>) -> String {
    format!("arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')", instant.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// SQL for the shop day of an instant.
fn shop_day_sql(instant: &str, settings: &WarehouseSettings) -> String {
    format!("cast(to_local_time(arrow_cast({instant}, 'Timestamp(Microsecond, Some(\"{}\"))')) as date)", settings.time_zone.name())
}

async fn collect(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, WarehouseError> {
    context.sql(sql).await.computing(sql)?.collect().await.computing(sql)
}

async fn count(context: &SessionContext, sql: &str) -> Result<u64, WarehouseError> {
    let batches = collect(context, sql).await?;
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    Ok(first.map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0).unsigned_abs()))
}

/// Whether the table registered under this name has no rows.
async fn is_empty(context: &SessionContext, table: &str) -> Result<bool, WarehouseError> {
    Ok(collect(context, &format!("select 1 from {table} limit 1")).await?.iter().all(|batch| batch.num_rows() == 0))
}

/// The highest value of the cursor column in staged rows.
pub(crate) fn highest_cursor(rows: &[Staged], cursor: &str) -> Option<DateTime<Utc>> {
    let highest = rows.iter().filter_map(|staged| {
        let column = Arc::clone(staged.batch.column_by_name(cursor)?);
        arrow::compute::max(column.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>()?)
    });
    highest.max().and_then(DateTime::from_timestamp_micros)
}
