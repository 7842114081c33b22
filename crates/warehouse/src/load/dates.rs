//! `dim_event` and `dim_date`. The calendar is written when its span, the holidays or the events have changed.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Int32Type};
use chrono::{Datelike, NaiveDate};
use sellcast_domain::ShopDay;

use super::{Run, collect, count};
use crate::calendar;
use crate::entity::Entity;
use crate::error::{Computing, WarehouseError};
use crate::lake::{Lake, in_memory};
use crate::layout::{DIM_DATE, DIM_EVENT, FACT_SALES};
use crate::staging::Staged;

/// Years that the calendar reaches beyond now.
const YEARS_AHEAD: i32 = 2;

/// Loads the shop's own days of note: those of the source, whole.
pub(crate) async fn load_events(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let context = run.context(Entity::Events, rows, cursor, &[DIM_EVENT.name]).await?;
    let fresh = count(&context, "select count(*) from staged s left anti join dim_event e on s.name = e.name and s.date = e.date and s.kind is not distinct from e.kind").await?;
    let staged = count(&context, "select count(*) from staged").await?;
    run.counts(Entity::Events).loaded += fresh;
    run.counts(Entity::Events).unchanged += staged - fresh;
    run.store_rejects().await?;
    if fresh == 0 {
        return Ok(());
    }
    let sql = "select name, date, kind from staged union all
               select name, date, kind from dim_event e left anti join staged s on s.name = e.name and s.date = e.date";
    let rows = context.sql(sql).await.computing("events")?;
    run.lake.replace(DIM_EVENT.name, None, rows, DIM_EVENT.partition_by).await.map(drop)
}

/// Brings `dim_date` up to date.
pub(crate) async fn refresh(run: &Run<'_>) -> Result<(), WarehouseError> {
    let context = Lake::context()?;
    for table in [DIM_DATE.name, DIM_EVENT.name, FACT_SALES.name] {
        run.lake.register(&context, table).await?;
    }
    let this_year = ShopDay::of(run.now, run.settings.time_zone).date().year();
    let sold = collect(&context, "select min(date_id) from fact_sales").await?;
    let first_sale = sold.first().and_then(|batch| batch.column(0).as_primitive::<Date32Type>().iter().next().flatten());
    let first_year = first_sale.map_or(this_year, |days| ShopDay::from_epoch_days(days).date().year()).min(this_year);
    let first = NaiveDate::from_ymd_opt(first_year, 1, 1).unwrap_or(NaiveDate::MIN);
    let last = NaiveDate::from_ymd_opt(this_year + YEARS_AHEAD, 12, 31).unwrap_or(NaiveDate::MAX);
    let mut named = calendar::holidays(&run.settings.country, first, last)?;
    named.extend(events(&context).await?);
    let fresh = calendar::rows(first, last, &named).computing("the calendar")?;
    context.register_table("fresh", in_memory(&context, fresh.schema(), vec![fresh.clone()])?).computing("the calendar")?;
    let differing = collect(
        &context,
        "select cast(count(*) as int) from fresh f full join dim_date d on f.date_id = d.date_id
         where f.date_id is null or d.date_id is null or (f.holiday_name is distinct from d.holiday_name)",
    )
    .await?;
    if differing.first().is_some_and(|batch| batch.column(0).as_primitive::<Int32Type>().value(0) == 0) {
        return Ok(());
    }
    let rows = context.read_table(in_memory(&context, fresh.schema(), vec![fresh])?).computing("the calendar")?;
    run.lake.replace(DIM_DATE.name, None, rows, DIM_DATE.partition_by).await.map(drop)
}

async fn events(context: &datafusion::prelude::SessionContext) -> Result<BTreeMap<NaiveDate, String>, WarehouseError> {
    let mut events = BTreeMap::new();
    for batch in collect(context, "select date, name from dim_event").await? {
        let (dates, names) = (batch.column(0).as_primitive::<Date32Type>(), batch.column(1).as_string::<i32>());
        let pairs = dates.iter().flatten().zip(names.iter().flatten());
        events.extend(pairs.map(|(date, name)| (ShopDay::from_epoch_days(date).date(), name.to_owned())));
    }
    Ok(events)
}
