//! A category's page: its forecast, its best products with the reasons, and the filters over them.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{CategoryHistory, CategoryId, CategoryPrediction, ContinuedProduct, ProductPrediction, TopK};

use super::filters::{Choices, Filters, NAMES};
use super::links::{PageLink, page_links};
use super::shell::{Section, Shell};
use super::view::View;
use super::{drawn, future_weeks};
use crate::charts::{self, Fan, Svg};
use crate::problems::{ApiError, field_error, invalid, unknown_category};
use crate::query::{Parameters, Segment};
use crate::ranked::{Ranked, ranked};
use crate::state::AppState;
use crate::wording::{before, frame_word, group, percent, units};

/// Products of a page.
const ROWS: usize = 20;

#[derive(Template)]
#[template(path = "category.html")]
struct CategoryPage {
    shell: Shell,
    path: Vec<String>,
    name: String,
    lead: String,
    moved: Svg,
    filters: Choices,
    filtered: bool,
    reset: String,
    action: String,
    rows: Vec<Row>,
    shown: String,
    pages: Vec<PageLink>,
    csv: String,
    fan: Svg,
}

pub(super) struct Row {
    rank: u32,
    moved: Option<Svg>,
    name: String,
    href: String,
    about: String,
    demand: Svg,
    amount: String,
    units: String,
    range: Option<Svg>,
    sure: Svg,
    why: String,
    spark: Svg,
}

/// `/categories/{id}`
pub(super) async fn page(State(state): State<AppState>, Segment(id): Segment, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let known: Vec<&str> = ["frame", "date", "page"].into_iter().chain(NAMES).collect();
    let mut parameters = Parameters::read(&uri, &known);
    let (frame, date, page) = (parameters.frame(), parameters.date(), parameters.page());
    let filters = Filters::read(&mut parameters);
    parameters.finish()?;
    let id: CategoryId = id.parse().map_err(|_| invalid(vec![field_error("id", "is not a category's id", "a whole number")]))?;
    let view = View::live(&state, frame, date).await?;
    let category = view.frame.category(id).ok_or_else(|| unknown_category(id))?;
    let history = state.forecasts().history(&view.edition, id).await?;
    let selected = filters.select(category, |said| view.sure(said));
    let first = selected.len();
    let count = if filters.are_none() { category.total_products as usize } else { first };
    let wanted = (ROWS * (page as usize - 1)).min(count)..(ROWS * page as usize).min(count);
    let wants_rest = filters.are_none() && (wanted.end > first || view.frame.live_as_of.is_some());
    let continued = if wants_rest { state.forecasts().continuation(&view.edition, &view.frame, id).await? } else { None };
    let scale = Scale::of(category);
    let items = match &continued {
        Some(continued) => ranked(&category.top_products, &continued.products),
        None => selected.into_iter().map(Ranked::First).collect(),
    };
    let shown = items.into_iter().skip(wanted.start).take(wanted.len());
    let rows: Vec<Row> = shown
        .map(|item| match item {
            Ranked::First(product) => row(&view, id, product, &scale, history.as_deref()),
            Ranked::Continued(product) => continued_row(&view, product, &scale),
        })
        .collect();
    let path = format!("/categories/{id}");
    let pages = count.div_ceil(ROWS).max(1) as u32;
    let document = CategoryPage {
        shell: Shell::around(&state, &view, &category.category_name, Section::Forecast, &path),
        path: category.path.clone(),
        name: category.category_name.clone(),
        lead: lead(&view, category),
        moved: charts::moved(category.rank, category.previous_rank, before(frame)),
        filters: filters.choices(category, view.currency()),
        filtered: !filters.are_none(),
        reset: view.link(&path).to_string(),
        action: path.clone(),
        shown: if rows.is_empty() {
            format!("none of {}", group(count as u64))
        } else {
            format!("{}–{} of {}", wanted.start + 1, wanted.start + rows.len(), group(count as u64))
        },
        rows,
        pages: page_links(page, pages, |number| filters.on(view.link(&path)).with("page", number)),
        csv: filters.on(view.link("/products.csv").with("category", id)).to_string(),
        fan: fan(&state, &view, category, history.as_deref()).await?,
    };
    drawn(&document)
}

/// What the rows share: the leader's amount and the end of the range scale.
struct Scale {
    leader: f64,
    top: f64,
}

impl Scale {
    fn of(category: &CategoryPrediction) -> Self {
        let leader = category.top_products.first().map_or(0.0, |first| first.predicted_amount.to_f64());
        let top = category.top_products.iter().map(|product| product.interval.high.to_f64()).fold(leader, f64::max);
        Self { leader, top: top.max(0.01) }
    }
}

fn lead(view: &View, category: &CategoryPrediction) -> String {
    format!(
        "{} expected this {}, 80 % between {} and {}. Rank {} of {}, {} sure to be in the top {}.",
        view.show(category.predicted_sales_amount),
        frame_word(view.time_frame()),
        view.show(category.interval.low),
        view.show(category.interval.high),
        category.rank,
        view.frame.document.categories.len(),
        percent(view.sure(category.confidence_score)),
        category.top_k.get(),
    )
}

fn row(view: &View, category: CategoryId, product: &ProductPrediction, scale: &Scale, history: Option<&CategoryHistory>) -> Row {
    let amount = product.predicted_amount;
    let (low, high) = (product.interval.low, product.interval.high);
    let range = format!("80 % between {} and {}", view.show(low), view.show(high));
    let price = product.price.map(|price| view.show(price));
    Row {
        rank: product.rank,
        moved: Some(charts::moved(product.rank, product.previous_rank, before(view.time_frame()))),
        name: product.product_name.clone(),
        href: view.product_link(product.product_id),
        about: product.brand.iter().cloned().chain(price).collect::<Vec<_>>().join(" · "),
        demand: charts::demand(amount.to_f64(), scale.leader),
        amount: view.show(amount),
        units: units(product.predicted_quantity),
        range: Some(charts::whisker(low.to_f64(), amount.to_f64(), high.to_f64(), scale.top, &range)),
        sure: charts::sure(view.sure(product.confidence_score), product.top_k.get(), "products of the category"),
        why: why(product),
        spark: view.product_spark(category, product.product_id, history),
    }
}

fn continued_row(view: &View, product: &ContinuedProduct, scale: &Scale) -> Row {
    Row {
        rank: product.rank,
        moved: None,
        name: product.product_name.clone(),
        href: view.product_link(product.product_id),
        about: String::new(),
        demand: charts::demand(product.predicted_amount.to_f64(), scale.leader),
        amount: view.show(product.predicted_amount),
        units: units(product.predicted_quantity),
        range: None,
        sure: charts::sure(view.sure(product.confidence_score), TopK::holding(product.rank).get(), "products of the category"),
        why: String::new(),
        spark: Svg::default(),
    }
}

/// The strongest reason, or what is special about the product.
fn why(product: &ProductPrediction) -> String {
    match (product.drivers.first(), product.days_on_sale) {
        (Some(driver), _) => driver.reason.clone(),
        (None, None) => "not sold before".to_owned(),
        (None, Some(days)) if days <= 28 => format!("new {days} days ago"),
        (None, Some(_)) => String::new(),
    }
}

async fn fan(state: &AppState, view: &View, category: &CategoryPrediction, history: Option<&CategoryHistory>) -> Result<Svg, ApiError> {
    let Some(history) = history else { return Ok(Svg::default()) };
    let ahead = future_weeks::of_category(state, view, category.category_id).await?;
    let sold: Vec<f64> = history.amounts.iter().map(|amount| amount.to_f64()).collect();
    Ok(Fan { week_starts: &history.week_starts, sold: &sold, ahead: &ahead, show: &|amount| view.show_units(amount) }.draw())
}
