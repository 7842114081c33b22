//! Rows that broke a rule, kept whole. A row stays here until a replay loads it or finds that a good version of it was
//! loaded meanwhile; reading the same bad row again adds no second copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};

use crate::cells::Cells;
use crate::entity::{Entity, ROW_REF};
use crate::error::{Computing, WarehouseError};
use crate::lake::{Lake, MatchedUpdate, MergeClauses, in_memory, materialise};
use crate::layout::QUARANTINE;
use crate::staging::{BATCH_ROWS, Reject, Secrets, Staged, Stager};
use crate::value::Value;

/// Columns that a query of rejected rows adds to the staged ones.
pub(crate) const RULE: &str = "rule";
pub(crate) const REASON: &str = "reason";

/// The rows of a query that has every staged column of `entity` and a rule and a reason for each row.
pub(crate) fn rejects_of(entity: Entity, batches: &[RecordBatch]) -> Result<Vec<Reject>, WarehouseError> {
    let mut rejects = Vec::new();
    for batch in batches {
        let cells = Cells::of(batch).computing("rejected rows")?;
        let column = |name: &str| batch.schema().index_of(name).computing("rejected rows");
        let (rule, reason, row_ref) = (column(RULE)?, column(REASON)?, column(ROW_REF)?);
        let columns = entity
            .columns()
            .iter()
            .map(|canonical| Ok((canonical.name, column(canonical.name)?)))
            .collect::<Result<Vec<_>, WarehouseError>>()?;
        let text = |at: usize, row: usize| match cells[at].value(row) {
            Value::Text(text) => text.to_owned(),
            _ => String::new(),
        };
        for row in 0..batch.num_rows() {
            let values = columns.iter().map(|(name, at)| ((*name).to_owned(), cells[*at].value(row).json()));
            let json: Map<String, Json> = values.filter(|(_, value)| !value.is_null()).collect();
            let row_ref = batch.column(row_ref).as_primitive::<Int64Type>().value(row);
            rejects.push(Reject {
                entity,
                rule: text(rule, row),
                reason: text(reason, row),
                row_json: Json::Object(json).to_string(),
                row_ref,
            });
        }
    }
    Ok(rejects)
}

/// Stores rejected rows, except those already waiting here.
pub(crate) async fn store(lake: &Lake, run: &str, now: DateTime<Utc>, rejects: &[Reject]) -> Result<(), WarehouseError> {
    if rejects.is_empty() {
        return Ok(());
    }
    let what = "rows for quarantine";
    let texts =
        |of: &dyn Fn(&Reject) -> String| -> ArrayRef { Arc::new(rejects.iter().map(|reject| Some(of(reject))).collect::<StringArray>()) };
    let columns: Vec<ArrayRef> = vec![
        texts(&|_| run.to_owned()),
        texts(&|reject| reject.entity.name().to_owned()),
        texts(&|reject| reject.rule.clone()),
        texts(&|reject| reject.reason.clone()),
        texts(&|reject| reject.row_json.clone()),
        Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros(); rejects.len()]).with_timezone("UTC")),
        Arc::new(BooleanArray::from(vec![false; rejects.len()])),
        Arc::new(StringArray::new_null(rejects.len())),
    ];
    let batch = RecordBatch::try_new(QUARANTINE.schema(), columns).computing(what)?;
    let context = Lake::context()?;
    context.register_table("rejected", in_memory(&context, batch.schema(), vec![batch])?).computing(what)?;
    lake.register(&context, QUARANTINE.name).await?;
    let names = QUARANTINE.column_names().join(", ");
    let fresh = format!(
        "select {names} from rejected r where not exists
           (select 1 from quarantine q where q.entity = r.entity and q.row_json = r.row_json and q.rule = r.rule and not q.resolved)"
    );
    if materialise(&context, "fresh", &fresh).await? > 0 {
        let rows = context.table("fresh").await.computing(what)?;
        lake.append(QUARANTINE.name, rows, QUARANTINE.partition_by).await?;
    }
    Ok(())
}

/// Rows that wait for a replay, staged again.
pub(crate) struct Waiting {
    pub(crate) staged: BTreeMap<Entity, Vec<Staged>>,
    /// The stored text of each row, by entity and row number.
    rows: BTreeMap<Entity, Vec<String>>,
}

impl Waiting {
    /// Reads what is not resolved. A row that lost against another of the same key waits for a person, not for a replay.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, WarehouseError> {
        let what = "the quarantine";
        let mut waiting = Self { staged: BTreeMap::new(), rows: BTreeMap::new() };
        let context = Lake::context()?;
        if !lake.register(&context, QUARANTINE.name).await? {
            return Ok(waiting);
        }
        let sql = "select distinct entity, row_json from quarantine
                   where not resolved and not starts_with(rule, 'duplicate_') order by entity, row_json";
        for batch in context.sql(sql).await.computing(what)?.collect().await.computing(what)? {
            let (entities, rows) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            for (entity, row) in entities.iter().flatten().zip(rows.iter().flatten()) {
                if let Some(entity) = Entity::named(entity) {
                    waiting.rows.entry(entity).or_default().push(row.to_owned());
                }
            }
        }
        for (entity, rows) in &waiting.rows {
            waiting.staged.insert(*entity, stage(*entity, rows)?);
        }
        Ok(waiting)
    }

    /// Marks every row resolved that is not in `failed` again.
    pub(crate) async fn resolve(self, lake: &Lake, run: &str, failed: &BTreeSet<(Entity, i64)>) -> Result<(), WarehouseError> {
        let what = "resolved rows";
        let mut resolved: Vec<(&str, &str)> = Vec::new();
        for (entity, rows) in &self.rows {
            let good = rows.iter().zip(0_i64..).filter(|(_, at)| !failed.contains(&(*entity, *at)));
            resolved.extend(good.map(|(row, _)| (entity.name(), row.as_str())));
        }
        if resolved.is_empty() {
            return Ok(());
        }
        let schema = Arc::new(Schema::new(vec![
            Field::new("entity", DataType::Utf8, true),
            Field::new("row_json", DataType::Utf8, true),
            Field::new("resolved_run", DataType::Utf8, true),
        ]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(resolved.iter().map(|(entity, _)| Some(*entity)).collect::<StringArray>()),
            Arc::new(resolved.iter().map(|(_, row)| Some(*row)).collect::<StringArray>()),
            Arc::new(StringArray::from(vec![run; resolved.len()])),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).computing(what)?;
        let context = Lake::context()?;
        let rows = context.read_table(in_memory(&context, schema, vec![batch])?).computing(what)?;
        let set = vec![("resolved".to_owned(), "true".to_owned()), ("resolved_run".to_owned(), "s.resolved_run".to_owned())];
        let clauses = MergeClauses { update: vec![MatchedUpdate { when: None, set }], insert: None, delete: false };
        lake.merge(QUARANTINE.name, rows, "t.entity = s.entity and t.row_json = s.row_json and not t.resolved", clauses).await.map(drop)
    }
}

fn stage(entity: Entity, rows: &[String]) -> Result<Vec<Staged>, WarehouseError> {
    let mut stager = Stager::new(entity, entity.columns().iter().collect(), Secrets::AlreadyReplaced);
    let mut staged = Vec::new();
    for rows in rows.chunks(BATCH_ROWS) {
        for row in rows {
            let json: Map<String, Json> = serde_json::from_str(row).unwrap_or_default();
            let values: Vec<Value<'_>> =
                entity.columns().iter().map(|column| json.get(column.name).map_or(Value::Null, Value::from_json)).collect();
            stager.push(&values);
        }
        staged.push(stager.finish().computing("quarantined rows")?);
    }
    Ok(staged)
}
