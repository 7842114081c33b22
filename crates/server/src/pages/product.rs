//! A product's page: its weeks and what is expected of the next ones, where it may rank, why the forecast is
//! what it is, and how good the data behind it are.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{CategoryHistory, CategoryId, CategoryPrediction, Continuation, Interval, Money, ProductId, ProductPrediction, TopK};

use super::shell::{Section, Shell};
use super::view::View;
use super::what_if_form::{self, Asked};
use super::{drawn, filters, future_weeks};
use crate::charts::{self, Fan, Svg};
use crate::problems::{ApiError, field_error, invalid, unknown_product};
use crate::query::{Parameters, Segment};
use crate::state::AppState;
use crate::wording::{before, frame_word, group, measured_percent, percent, units};

#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage {
    shell: Shell,
    path: Vec<String>,
    category: String,
    category_href: String,
    name: String,
    lead: String,
    sure: Svg,
    facts: Vec<Fact>,
    fan: Svg,
    weeks: usize,
    details: Option<Details>,
    /// Of a new product beyond the first 100, what it is like.
    similar: Option<String>,
    what_if: Option<Asked>,
}

struct Fact {
    label: String,
    value: String,
    small: String,
}

/// What is known of a product among the first 100 of its category.
struct Details {
    strip: Svg,
    ranks: String,
    title: String,
    usual: String,
    drivers: Vec<DriverRow>,
    qualities: Vec<Quality>,
    weak: Option<String>,
    guard: Option<String>,
}

struct DriverRow {
    reason: String,
    bar: Svg,
    effect: String,
}

/// One of the factors behind the confidence.
struct Quality {
    label: &'static str,
    meaning: &'static str,
    bar: Svg,
    share: String,
}

/// `/products/{id}`
pub(super) async fn page(State(state): State<AppState>, Segment(id): Segment, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date", "price", "kind", "strength"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    let form = what_if_form::Form::read(&parameters);
    parameters.finish()?;
    let id: ProductId = id.parse().map_err(|_| invalid(vec![field_error("id", "is not a product's id", "a whole number")]))?;
    let view = View::live(&state, frame, date).await?;
    let category = home_of(&state, &view, id).ok_or_else(|| unknown_product(id))?;
    let history = state.forecasts().history(&view.edition, category.category_id).await?;
    let ahead = future_weeks::of_product(&state, &view, category.category_id, id).await?;
    let sold = weekly(history.as_deref(), id);
    let starts = history.as_ref().map_or(&[][..], |history| &history.week_starts);
    let fan = Fan { week_starts: starts, sold: &sold, ahead: &ahead, show: &|amount| view.show_units(amount) }.draw();
    let what_if = form.answered(&state, &view, id).await;
    let base = Base { state: &state, view: &view, category, id, fan, what_if, weeks: sold.iter().filter(|amount| **amount > 0.0).count() };
    if let Some(product) = category.top_products.iter().find(|product| product.product_id == id) {
        return drawn(&base.among_the_first(product));
    }
    let continued = state.forecasts().continuation(&view.edition, &view.frame, category.category_id).await?;
    drawn(&base.beyond(continued.as_deref())?)
}

/// What both kinds of product pages are made from.
struct Base<'a> {
    state: &'a AppState,
    view: &'a View,
    category: &'a CategoryPrediction,
    id: ProductId,
    fan: Svg,
    what_if: Option<Asked>,
    weeks: usize,
}

impl Base<'_> {
    fn among_the_first(self, product: &ProductPrediction) -> ProductPage {
        let view = self.view;
        let word = frame_word(view.time_frame());
        let mut lead: Vec<String> = product.brand.iter().cloned().collect();
        lead.extend(product.price.map(|price| view.show(price)));
        let was = match product.previous_rank {
            Some(previous) => format!("{} {previous}", before(view.time_frame())),
            None => format!("did not sell {}", before(view.time_frame())),
        };
        lead.push(format!("rank {} in {} ({was})", product.rank, self.category.category_name));
        let change = crate::wording::change(product.predicted_amount.to_f64(), product.previous_amount.to_f64());
        let facts = vec![
            Fact {
                label: format!("This {word}"),
                value: view.show(product.predicted_amount),
                small: match product.interval_95 {
                    Some(wide) => format!("{}, 19 times of 20 {}", range(view, product.interval), range(view, wide)),
                    None => range(view, product.interval),
                },
            },
            Fact {
                label: "Units".to_owned(),
                value: units(product.predicted_quantity).replace(" units", "").replace(" unit", ""),
                small: String::new(),
            },
            Fact {
                label: format!("Sold {}", before(view.time_frame())),
                value: view.show(product.previous_amount),
                small: change.map(|change| format!("then {change}")).unwrap_or_default(),
            },
        ];
        let sure = charts::sure(view.sure(product.confidence_score), product.top_k.get(), "products of the category");
        let details = self.details(product);
        ProductPage { details: Some(details), ..self.page(product.product_name.clone(), lead.join(" · "), sure, facts) }
    }

    fn beyond(self, continued: Option<&Continuation>) -> Result<ProductPage, ApiError> {
        let view = self.view;
        let found = continued.and_then(|continued| continued.products.iter().find(|product| product.product_id == self.id));
        let product = found.ok_or_else(|| unknown_product(self.id))?;
        let lead =
            format!("rank {} of {} in {}", product.rank, group(u64::from(self.category.total_products)), self.category.category_name);
        let facts = vec![
            Fact {
                label: format!("This {}", frame_word(view.time_frame())),
                value: view.show(product.predicted_amount),
                small: String::new(),
            },
            Fact {
                label: "Units".to_owned(),
                value: units(product.predicted_quantity).replace(" units", "").replace(" unit", ""),
                small: String::new(),
            },
        ];
        let sure = charts::sure(view.sure(product.confidence_score), TopK::holding(product.rank).get(), "products of the category");
        Ok(ProductPage { similar: product.similar.clone(), ..self.page(product.product_name.clone(), lead, sure, facts) })
    }

    /// The page as far as all products have it.
    fn page(self, name: String, lead: String, sure: Svg, facts: Vec<Fact>) -> ProductPage {
        let path = format!("/products/{}", self.id);
        ProductPage {
            shell: Shell::around(self.state, self.view, &name, Section::Forecast, &path),
            path: self.category.path.clone(),
            category: self.category.category_name.clone(),
            category_href: self.view.category_link(self.category.category_id),
            name,
            lead,
            sure,
            facts,
            fan: self.fan,
            weeks: self.weeks,
            details: None,
            similar: None,
            what_if: self.what_if,
        }
    }

    fn details(&self, product: &ProductPrediction) -> Details {
        let view = self.view;
        let rank = product.rank_interval;
        // Each driver says what it adds against the usual period, so the usual one is what remains without them.
        let effects: Money = product.drivers.iter().map(|driver| driver.effect).sum();
        let usual = product.predicted_amount - effects;
        let strongest = product.drivers.iter().map(|driver| driver.effect.to_f64().abs()).fold(0.0, f64::max);
        let title = if product.drivers.is_empty() {
            format!("Why {}", view.show(product.predicted_amount))
        } else {
            format!("Why {} and not {}", view.show(product.predicted_amount), view.show(usual))
        };
        Details {
            strip: charts::rank_strip(product.rank, rank.best, rank.worst, product.previous_rank, self.category.total_products),
            ranks: format!(
                "Rank {} to {} in four of five such cases; most likely {}. {}.",
                rank.best,
                rank.worst,
                product.rank,
                chances(view, product)
            ),
            title,
            usual: format!("its usual {}", frame_word(view.time_frame())),
            drivers: product
                .drivers
                .iter()
                .map(|driver| DriverRow {
                    reason: driver.reason.clone(),
                    bar: charts::effect(driver.effect.to_f64(), strongest),
                    effect: format!("{}{}", if driver.effect < Money::ZERO { "" } else { "+" }, view.show(driver.effect)),
                })
                .collect(),
            qualities: qualities(product),
            weak: filters::is_new(product).then(|| match &product.similar {
                Some(similar) => format!("It is new: {similar}."),
                None => "It is new, and nothing like it was launched before: it has no history to go by yet.".to_owned(),
            }),
            guard: product.guard.as_ref().map(|guard| format!("The forecast is {guard}.")),
        }
    }
}

fn range(view: &View, interval: Interval) -> String {
    format!("{}–{}", view.show(interval.low), view.show(interval.high))
}

/// `42% sure to be in the top 10, 71% in the top 20`: the list that holds its rank and its neighbours.
fn chances(view: &View, product: &ProductPrediction) -> String {
    let at = product.top_k.index();
    let near = |k: &TopK| k.index() != at && k.index().abs_diff(at) <= 1;
    let others = TopK::ALL.iter().filter(|k| near(k)).filter_map(|k| Some((k.get(), *product.chances.get(k.index())?)));
    let mut said = format!("{} sure to be in the top {}", percent(view.sure(product.confidence_score)), product.top_k.get());
    for (k, chance) in others {
        said += &format!(", {} in the top {k}", percent(view.sure(chance)));
    }
    said
}

fn qualities(product: &ProductPrediction) -> Vec<Quality> {
    let factors = product.factors;
    [
        (
            "Came true lately",
            "of the products lately forecast into the same list of this category, how many were in it",
            factors.historical_accuracy,
        ),
        ("History there", "how much of the history that this length asks for is there", factors.data_completeness),
        ("Methods agree", "how far different ways to forecast agree on this product", factors.ensemble_agreement),
    ]
    .map(|(label, meaning, share)| Quality { label, meaning, bar: charts::demand(share, 1.0), share: measured_percent(share) })
    .into()
}

fn weekly(history: Option<&CategoryHistory>, id: ProductId) -> Vec<f64> {
    let found = history.and_then(|history| history.products.iter().find(|product| product.product_id == id));
    found.map(|product| product.amounts.iter().map(|amount| amount.to_f64()).collect()).unwrap_or_default()
}

/// The category of a product: as the newest generation knows it, or as the shown lists do.
fn home_of<'a>(state: &AppState, view: &'a View, id: ProductId) -> Option<&'a CategoryPrediction> {
    let known: Option<CategoryId> = state.forecasts().current().and_then(|snapshot| snapshot.home_of(id));
    let listed = || {
        let holds = |category: &&CategoryPrediction| category.top_products.iter().any(|product| product.product_id == id);
        view.frame.document.categories.iter().find(holds)
    };
    known.and_then(|category| view.frame.category(category)).or_else(listed)
}
