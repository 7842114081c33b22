//! The tables as CSV files, with the filters of the page they stand on. Names that a spreadsheet would run
//! as a formula are defused.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use sellcast_domain::CategoryId;

use super::filters::{Filters, NAMES};
use super::view::View;
use crate::problems::{ApiError, unknown_category};
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::{round_quantity, round_share};

/// `/categories.csv`
pub(super) async fn categories(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    parameters.finish()?;
    let view = View::live(&state, frame, date).await?;
    let mut table = Table::new(&[
        "rank",
        "category_id",
        "category",
        "path",
        "forecast_amount",
        "low_80",
        "high_80",
        "forecast_quantity",
        "confidence",
        "top_k",
        "previous_rank",
        "previous_amount",
        "currency",
    ]);
    for category in &view.frame.document.categories {
        table.row(&[
            &category.rank.to_string(),
            &category.category_id.to_string(),
            &text(&category.category_name),
            &text(&category.path.join(" / ")),
            &category.predicted_sales_amount.to_string(),
            &category.interval.low.to_string(),
            &category.interval.high.to_string(),
            &round_quantity(category.predicted_quantity).to_string(),
            &round_share(view.sure(category.confidence_score)).to_string(),
            &category.top_k.get().to_string(),
            &category.previous_rank.map(|rank| rank.to_string()).unwrap_or_default(),
            &category.previous_amount.to_string(),
            &view.currency().to_string(),
        ]);
    }
    Ok(table.file(&format!("categories-{frame}-{}.csv", view.edition.generation.as_of)))
}

/// `/products.csv?category=`
pub(super) async fn products(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let known: Vec<&str> = ["category", "frame", "date"].into_iter().chain(NAMES).collect();
    let mut parameters = Parameters::read(&uri, &known);
    let (frame, date) = (parameters.frame(), parameters.date());
    if parameters.text("category").is_none() {
        parameters.fault("category", "is missing", "a category's id");
    }
    let id: Option<CategoryId> = parameters.parsed("category", "a category's id");
    let filters = Filters::read(&mut parameters);
    parameters.finish()?;
    let id = id.unwrap_or(CategoryId::from(0));
    let view = View::live(&state, frame, date).await?;
    let category = view.frame.category(id).ok_or_else(|| unknown_category(id))?;
    let mut table = Table::new(&[
        "rank",
        "product_id",
        "product",
        "brand",
        "price",
        "forecast_amount",
        "low_80",
        "high_80",
        "forecast_quantity",
        "confidence",
        "top_k",
        "best_rank",
        "worst_rank",
        "previous_rank",
        "previous_amount",
        "reasons",
        "currency",
    ]);
    for product in filters.select(category, |said| view.sure(said)) {
        let reasons: Vec<&str> = product.drivers.iter().map(|driver| driver.reason.as_str()).collect();
        table.row(&[
            &product.rank.to_string(),
            &product.product_id.to_string(),
            &text(&product.product_name),
            &text(product.brand.as_deref().unwrap_or_default()),
            &product.price.map(|price| price.to_string()).unwrap_or_default(),
            &product.predicted_amount.to_string(),
            &product.interval.low.to_string(),
            &product.interval.high.to_string(),
            &round_quantity(product.predicted_quantity).to_string(),
            &round_share(view.sure(product.confidence_score)).to_string(),
            &product.top_k.get().to_string(),
            &product.rank_interval.best.to_string(),
            &product.rank_interval.worst.to_string(),
            &product.previous_rank.map(|rank| rank.to_string()).unwrap_or_default(),
            &product.previous_amount.to_string(),
            &text(&reasons.join("; ")),
            &view.currency().to_string(),
        ]);
    }
    if filters.are_none() {
        let continued = state.forecasts().continuation(&view.edition, &view.frame, id).await?;
        for product in continued.iter().flat_map(|continued| &continued.products) {
            table.row(&[
                &product.rank.to_string(),
                &product.product_id.to_string(),
                &text(&product.product_name),
                "",
                "",
                &product.predicted_amount.to_string(),
                "",
                "",
                &round_quantity(product.predicted_quantity).to_string(),
                &round_share(view.sure(product.confidence_score)).to_string(),
                &sellcast_domain::TopK::holding(product.rank).get().to_string(),
                "",
                "",
                "",
                "",
                "",
                &view.currency().to_string(),
            ]);
        }
    }
    Ok(table.file(&format!("category-{id}-{frame}-{}.csv", view.edition.generation.as_of)))
}

/// Lines of a CSV file (RFC 4180).
struct Table {
    lines: String,
}

impl Table {
    fn new(header: &[&str]) -> Self {
        let mut table = Self { lines: String::new() };
        table.row(header);
        table
    }

    fn row(&mut self, cells: &[&str]) {
        for (place, cell) in cells.iter().enumerate() {
            if place > 0 {
                self.lines.push(',');
            }
            if cell.contains(['"', ',', '\n', '\r']) {
                // Writing to a string does not fail.
                let _ = write!(self.lines, "\"{}\"", cell.replace('"', "\"\""));
            } else {
                self.lines.push_str(cell);
            }
        }
        self.lines.push_str("\r\n");
    }

    fn file(self, name: &str) -> Response {
        let mut response = Response::new(Body::from(self.lines));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        headers.insert(CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
        response
    }
}

/// Text from the shop's tables. A leading sign would make a spreadsheet calculate; an apostrophe keeps it text.
fn text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_and_quotes_are_defused() {
        let mut table = Table { lines: String::new() };
        table.row(&[&text("=HYPERLINK(\"http://x\")"), &text("@SUM(A1)"), &text("Cola, 12-pack"), &text("-5 °C ice")]);
        assert_eq!(table.lines, "\"'=HYPERLINK(\"\"http://x\"\")\",'@SUM(A1),\"Cola, 12-pack\",'-5 °C ice\r\n");
    }
}
