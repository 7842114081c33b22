//! `dim_category`: the tree is small, so it is built anew at each run and written when it differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use datafusion::prelude::SessionContext;

use super::{Origin, Run, collect};
use crate::category_tree::{Category, CategoryRow, CategoryTree, Misfit};
use crate::entity::{Entity, ROW_REF};
use crate::error::{Computing, WarehouseError};
use crate::lake::in_memory;
use crate::layout::DIM_CATEGORY;
use crate::staging::{Reject, Staged};

/// Loads the categories.
pub(crate) async fn load(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let context = run.context(Entity::Categories, rows, cursor, &[DIM_CATEGORY.name]).await?;
    let known = stored(&context).await?;
    let staged = staged(&context).await?;
    // A category that the source no longer has stays: sales refer to it.
    let mut merged: BTreeMap<i64, CategoryRow> = known.iter().map(|(id, category)| (*id, category.row.clone())).collect();
    for (row, _) in &staged {
        if run.origin != Origin::Quarantine || !known.contains_key(&row.id) {
            merged.insert(row.id, row.clone());
        }
    }
    let tree = CategoryTree::build(merged.into_values(), run.settings.forecast_level, &run.settings.excluded_categories);
    let mut rejects = Vec::new();
    for (row, row_ref) in staged {
        if let Some(misfit) = tree.misfits.get(&row.id) {
            rejects.push(reject(&row, *misfit, row_ref));
        } else if known.get(&row.id).is_some_and(|category| category.row == row) {
            run.counts(Entity::Categories).unchanged += 1;
        } else {
            run.counts(Entity::Categories).loaded += 1;
        }
    }
    run.reject(rejects);
    if tree.categories == known {
        return Ok(());
    }
    let batch = to_batch(&tree).computing("the category tree")?;
    let rows = context.read_table(in_memory(&context, batch.schema(), vec![batch])?).computing("the category tree")?;
    run.lake.replace(DIM_CATEGORY.name, None, rows, DIM_CATEGORY.partition_by).await.map(drop)
}

fn reject(row: &CategoryRow, misfit: Misfit, row_ref: i64) -> Reject {
    let (rule, reason) = match misfit {
        Misfit::UnknownParent(parent) => ("unknown_category", format!("its parent {parent} is not among the categories")),
        Misfit::Cycle => ("category_cycle", "its parents lead back to itself".to_owned()),
    };
    let mut json = serde_json::Map::new();
    json.insert("category_id".into(), row.id.into());
    json.insert("name".into(), row.name.as_str().into());
    if let Some(description) = &row.description {
        json.insert("description".into(), description.as_str().into());
    }
    if let Some(parent) = row.parent {
        json.insert("parent_category_id".into(), parent.into());
    }
    Reject { entity: Entity::Categories, rule: rule.into(), reason, row_json: serde_json::Value::Object(json).to_string(), row_ref }
}

async fn staged(context: &SessionContext) -> Result<Vec<(CategoryRow, i64)>, WarehouseError> {
    let sql = format!("select category_id, name, description, parent_category_id, {ROW_REF} from staged order by {ROW_REF}");
    let mut rows = Vec::new();
    for batch in collect(context, &sql).await? {
        let refs = batch.column(4).as_primitive::<Int64Type>().clone();
        rows.extend(category_rows(&batch).zip(refs.values().iter().copied()).collect::<Vec<_>>());
    }
    Ok(rows)
}

async fn stored(context: &SessionContext) -> Result<BTreeMap<i64, Category>, WarehouseError> {
    let sql = "select category_id, name, description, parent_category_id, level, category_path, forecast_category_id, is_excluded from dim_category";
    let mut categories = BTreeMap::new();
    for batch in collect(context, sql).await? {
        let (level, path) = (batch.column(4).as_primitive::<Int32Type>(), batch.column(5).as_string::<i32>());
        let (forecast, excluded) = (batch.column(6).as_primitive::<Int64Type>(), batch.column(7).as_boolean());
        for (at, row) in category_rows(&batch).enumerate() {
            let forecast = forecast.iter().nth(at).flatten();
            let category =
                Category { level: level.value(at), path: path.value(at).to_owned(), forecast, excluded: excluded.value(at), row };
            categories.insert(category.row.id, category);
        }
    }
    Ok(categories)
}

fn category_rows(batch: &RecordBatch) -> impl Iterator<Item = CategoryRow> {
    let (id, parent) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(3).as_primitive::<Int64Type>());
    let (name, description) = (batch.column(1).as_string::<i32>(), batch.column(2).as_string::<i32>());
    id.values().iter().zip(name.iter()).zip(description.iter()).zip(parent.iter()).map(|(((id, name), description), parent)| CategoryRow {
        id: *id,
        name: name.unwrap_or_default().to_owned(),
        description: description.map(str::to_owned),
        parent,
    })
}

fn to_batch(tree: &CategoryTree) -> Result<RecordBatch, arrow::error::ArrowError> {
    let all = || tree.categories.values();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(all().map(|category| Some(category.row.id)).collect::<Int64Array>()),
        Arc::new(all().map(|category| Some(category.row.name.as_str())).collect::<StringArray>()),
        Arc::new(all().map(|category| category.row.description.as_deref()).collect::<StringArray>()),
        Arc::new(all().map(|category| category.row.parent).collect::<Int64Array>()),
        Arc::new(all().map(|category| Some(category.level)).collect::<Int32Array>()),
        Arc::new(all().map(|category| Some(category.path.as_str())).collect::<StringArray>()),
        Arc::new(all().map(|category| category.forecast).collect::<Int64Array>()),
        Arc::new(all().map(|category| Some(category.excluded)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(DIM_CATEGORY.schema(), columns)
}
