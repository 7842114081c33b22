//! Search over the names of categories and products, in memory.

use std::sync::Arc;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{CategoryId, Problem, ProblemKind, ProductId};
use tokio::task::spawn_blocking;

use super::drawn;
use super::shell::{Section, Shell};
use super::view::View;
use crate::charts::{self, Svg};
use crate::forecasts::not_ready;
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::snapshot::Snapshot;
use crate::state::AppState;

/// Results shown of each kind.
const MOST_CATEGORIES: usize = 12;
const MOST_PRODUCTS: usize = 40;
/// A longer text is no name.
const MOST_LETTERS: usize = 80;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    shell: Shell,
    asked: String,
    categories: Vec<Found>,
    products: Vec<Found>,
    more_products: usize,
}

struct Found {
    name: String,
    href: String,
    about: String,
    amount: String,
    sure: Option<Svg>,
}

/// Places of what was found.
struct Hits {
    categories: Vec<CategoryId>,
    products: Vec<(ProductId, CategoryId, String)>,
    more_products: usize,
}

/// `/search`
pub(super) async fn page(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["q", "frame", "date"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    let asked: String = parameters.text("q").unwrap_or_default().trim().to_owned();
    if asked.chars().count() > MOST_LETTERS {
        parameters.fault("q", "is too long", "80 letters");
    }
    parameters.finish()?;
    let view = View::load(&state, frame, date).await?;
    let snapshot = state.forecasts().current().ok_or_else(not_ready)?;
    let folded = asked.to_lowercase();
    let frame_document = view.frame.clone();
    // A hundred thousand names take some milliseconds.
    let hits = spawn_blocking(move || {
        let words: Vec<&str> = folded.split_whitespace().collect();
        hits(&snapshot, &frame_document, &words)
    });
    let hits = hits.await.map_err(|error| {
        tracing::error!(%error, "a search panicked");
        Problem::new(ProblemKind::Internal, "this search failed unexpectedly; the log of the server says why")
    })?;
    let mut shell = Shell::around(&state, &view, "Search", Section::Search, "/search");
    for link in &mut shell.frames {
        link.href.push_str(&super::links::Link::to("").with("q", &asked).to_string().replace('?', "&"));
    }
    shell.search = asked.clone();
    let page = SearchPage {
        shell,
        asked,
        categories: hits.categories.iter().filter_map(|id| found_category(&view, *id)).collect(),
        products: hits.products.iter().map(|(id, category, name)| found_product(&view, *id, *category, name)).collect(),
        more_products: hits.more_products,
    };
    drawn(&page)
}

fn hits(snapshot: &Arc<Snapshot>, frame: &crate::snapshot::FrameDocument, words: &[&str]) -> Hits {
    let mut found = Hits { categories: Vec::new(), products: Vec::new(), more_products: 0 };
    if words.is_empty() {
        return found;
    }
    let matches = |name: &str| words.iter().all(|word| name.contains(word));
    let categories = frame.document.categories.iter().filter(|category| matches(&category.category_name.to_lowercase()));
    found.categories = categories.take(MOST_CATEGORIES).map(|category| category.category_id).collect();
    for listed in snapshot.products.iter().filter(|listed| matches(&listed.folded)) {
        if found.products.len() < MOST_PRODUCTS {
            found.products.push((listed.product_id, listed.category_id, listed.name.clone()));
        } else {
            found.more_products += 1;
        }
    }
    found
}

fn found_category(view: &View, id: CategoryId) -> Option<Found> {
    let category = view.frame.category(id)?;
    Some(Found {
        name: category.category_name.clone(),
        href: view.category_link(id),
        about: format!("rank {} of {}", category.rank, view.frame.document.categories.len()),
        amount: view.show(category.predicted_sales_amount),
        sure: Some(charts::sure(view.sure(category.confidence_score), category.top_k.get(), "categories")),
    })
}

fn found_product(view: &View, id: ProductId, category: CategoryId, name: &str) -> Found {
    let home = view.frame.category(category).map(|category| category.category_name.as_str()).unwrap_or_default();
    let product = view.frame.product(category, id);
    Found {
        name: name.to_owned(),
        href: view.product_link(id),
        about: match product {
            Some(product) => format!("rank {} in {home}", product.rank),
            None => format!("in {home}, beyond the first 100"),
        },
        amount: product.map(|product| view.show(product.predicted_amount)).unwrap_or_default(),
        sure: product.map(|product| charts::sure(view.sure(product.confidence_score), product.top_k.get(), "products of the category")),
    }
}
