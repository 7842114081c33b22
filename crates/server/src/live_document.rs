//! The document of a running period: the published one with each amount brought to what was sold so far and what is expected of
//! the rest, and everything ranked anew. The published document stays as it is.

use std::collections::HashMap;
use std::sync::Arc;

use sellcast_domain::window::{Sums, WindowKey};
use sellcast_domain::{
    CategoryId, CategoryPrediction, Continuation, ContinuedProduct, Course, Driver, Expected, Interval, LiveForecast, Money,
    PredictionDocument, ProductPrediction, RankInterval, TopK, chances, moved_chance,
};

/// The products beyond the first 100, by category.
pub(crate) type Rests = HashMap<CategoryId, Arc<Continuation>>;

/// Every key whose sales the live document needs.
pub(crate) fn keys(document: &PredictionDocument, rests: &Rests) -> Vec<WindowKey> {
    let mut keys = Vec::new();
    for category in &document.categories {
        keys.push(WindowKey::Category(category.category_id));
        keys.extend(category.top_products.iter().map(|product| WindowKey::Product(product.product_id)));
        let rest = rests.get(&category.category_id).into_iter().flat_map(|rest| &rest.products);
        keys.extend(rest.map(|product| WindowKey::Product(product.product_id)));
    }
    keys
}

/// The live document and its continuations. `sold` are the sums of [`keys`], `course` says how far the period has come in a category,
/// and in the whole shop.
pub(crate) fn live_document(
    batch: &PredictionDocument,
    rests: &Rests,
    sold: &[Sums],
    course: impl Fn(Option<CategoryId>) -> Course,
) -> (PredictionDocument, Rests) {
    let (mut sold, mut all_sold, mut passed) = (sold.iter().copied(), Sums::NONE, 0.0);
    let mut live_rests = Rests::new();
    let mut categories: Vec<(CategoryPrediction, LiveForecast)> = Vec::with_capacity(batch.categories.len());
    for category in &batch.categories {
        let course = course(Some(category.category_id));
        let sold_here = sold.next().unwrap_or(Sums::NONE);
        all_sold += sold_here;
        passed += course.elapsed * category.predicted_sales_amount.to_f64();
        let rest = rests.get(&category.category_id).map_or(&[][..], |rest| &rest.products);
        let expected = of_category(category);
        let parts: Vec<(Expected, Sums)> = category
            .top_products
            .iter()
            .map(of_product)
            .chain(rest.iter().map(of_continued))
            .map(|product| (product, sold.next().unwrap_or(Sums::NONE)))
            .collect();
        let products = expected.live_parts(sold_here, &parts, course);
        let live = expected.live(sold_here, course);
        let (category, rest) = live_category(category, rest, &products, &live);
        if !rest.is_empty() {
            live_rests.insert(category.category_id, Arc::new(Continuation { category_id: category.category_id, products: rest }));
        }
        categories.push((category, live));
    }
    let odds = Odds::of(categories.iter().map(|(_, live)| live));
    let mut categories: Vec<_> = categories.into_iter().zip(odds).map(|((category, live), odds)| (category, (live.width, odds))).collect();
    categories.sort_by_key(|(category, _)| (-category.predicted_sales_amount.cents(), category.category_id));
    let categories: Vec<CategoryPrediction> =
        (1..).zip(categories).map(|(rank, (category, (width, odds)))| ranked_at(category, rank, width, &odds)).collect();
    let total = Expected {
        amount: batch.total_amount,
        quantity: batch.categories.iter().map(|category| category.predicted_quantity).sum(),
        interval: batch.total_interval,
    };
    let elapsed = passed / batch.total_amount.to_f64().max(0.01);
    let live_total = total.live(all_sold, Course { elapsed, ..course(None) });
    let total_amount = categories.iter().map(|category| category.predicted_sales_amount).sum::<Money>();
    let moved = total_amount - live_total.amount;
    let total_interval = Interval {
        low: (live_total.interval.low + moved).max(all_sold.amount),
        high: (live_total.interval.high + moved).max(total_amount),
    };
    let document = PredictionDocument { total_amount, total_interval, categories, ..head_of(batch) };
    (document, live_rests)
}

/// All but the categories, which are replaced.
fn head_of(batch: &PredictionDocument) -> PredictionDocument {
    PredictionDocument {
        prediction_id: batch.prediction_id,
        generation_id: batch.generation_id,
        time_frame: batch.time_frame,
        period_start: batch.period_start,
        period_end: batch.period_end,
        generation_timestamp: batch.generation_timestamp,
        model_version: batch.model_version.clone(),
        models: batch.models.clone(),
        fallback: batch.fallback.clone(),
        total_amount: batch.total_amount,
        total_interval: batch.total_interval,
        previous_total: batch.previous_total,
        categories: Vec::new(),
    }
}

/// A category with its products ranked anew; `products` are those of the first list and then of the rest.
fn live_category(
    batch: &CategoryPrediction,
    rest: &[ContinuedProduct],
    products: &[LiveForecast],
    live: &LiveForecast,
) -> (CategoryPrediction, Vec<ContinuedProduct>) {
    let id_of = |place: usize| match place.checked_sub(batch.top_products.len()) {
        None => batch.top_products[place].product_id,
        Some(place) => rest[place].product_id,
    };
    let mut order: Vec<usize> = (0..products.len()).collect();
    order.sort_by_key(|place| (-products[*place].amount.cents(), id_of(*place)));
    let odds = Odds::of(products.iter());
    let (mut first, mut continued) = (Vec::with_capacity(batch.top_products.len()), Vec::with_capacity(rest.len()));
    for (rank, place) in (1..).zip(order) {
        match place.checked_sub(batch.top_products.len()) {
            None => first.push(live_product(&batch.top_products[place], &products[place], rank, &odds[place])),
            Some(beyond) => continued.push(live_continued(&rest[beyond], &products[place], rank, &odds[place])),
        }
    }
    let category = CategoryPrediction {
        category_id: batch.category_id,
        category_name: batch.category_name.clone(),
        path: batch.path.clone(),
        predicted_sales_amount: live.amount,
        predicted_quantity: live.quantity,
        interval: live.interval,
        confidence_score: batch.confidence_score,
        top_k: batch.top_k,
        factors: batch.factors,
        rank: batch.rank,
        rank_interval: batch.rank_interval,
        previous_rank: batch.previous_rank,
        previous_amount: batch.previous_amount,
        total_products: batch.total_products,
        top_products: first,
    };
    (category, continued)
}

fn ranked_at(category: CategoryPrediction, rank: u32, width: f64, odds: &Odds) -> CategoryPrediction {
    let top_k = TopK::holding(rank);
    CategoryPrediction {
        rank,
        rank_interval: moved(category.rank_interval, category.rank, rank, width),
        top_k,
        // The chances of other lists are not published.
        confidence_score: odds.chance((category.top_k == top_k).then_some(category.confidence_score), top_k),
        ..category
    }
}

fn live_product(batch: &ProductPrediction, live: &LiveForecast, rank: u32, odds: &Odds) -> ProductPrediction {
    let top_k = TopK::holding(rank);
    let published = |k: TopK| batch.chances.get(k.index()).copied().or((batch.top_k == k).then_some(batch.confidence_score));
    // A longer list holds more.
    let mut least = 0.0_f64;
    let chances = TopK::ALL.map(|k| {
        least = least.max(odds.chance(published(k), k));
        least
    });
    let wide = |interval: Interval| {
        let part = |amount: Money| Money::from_cents((amount.cents().max(0) as f64 * live.width).round() as i64);
        let (below, above) = (part(batch.predicted_amount - interval.low), part(interval.high - batch.predicted_amount));
        Interval { low: (live.amount - below).max(live.sold), high: live.amount + above }
    };
    ProductPrediction {
        predicted_quantity: live.quantity,
        predicted_amount: live.amount,
        interval: live.interval,
        interval_95: batch.interval_95.map(wide),
        confidence_score: chances[top_k.index()],
        chances: chances.to_vec(),
        top_k,
        rank,
        rank_interval: moved(batch.rank_interval, batch.rank, rank, live.width),
        drivers: live_drivers(batch, live.amount),
        ..batch.clone()
    }
}

/// The published reasons, with what the sales so far have made of the amount as one more: without them all the usual period remains, as
/// it does of the published amount.
fn live_drivers(batch: &ProductPrediction, amount: Money) -> Vec<Driver> {
    let mut drivers = batch.drivers.clone();
    let effect = amount - batch.predicted_amount;
    if !drivers.is_empty() && effect != Money::ZERO {
        let faster = if effect > Money::ZERO { "faster" } else { "slower" };
        drivers.push(Driver { reason: format!("sold {faster} than expected so far"), effect });
        drivers.sort_by_key(|driver| -driver.effect.cents().abs());
    }
    drivers
}

fn live_continued(batch: &ContinuedProduct, live: &LiveForecast, rank: u32, odds: &Odds) -> ContinuedProduct {
    let (top_k, longest) = (TopK::holding(rank), TopK::holding(u32::MAX));
    ContinuedProduct {
        predicted_quantity: live.quantity,
        predicted_amount: live.amount,
        confidence_score: odds.chance((top_k == longest).then_some(batch.confidence_score), top_k),
        rank,
        ..batch.clone()
    }
}

/// The chances of an item by outlooks alone, of each list.
struct Odds {
    before: [f64; TopK::ALL.len()],
    now: [f64; TopK::ALL.len()],
}

impl Odds {
    /// Of all items of a list, in their order.
    fn of<'a>(items: impl Iterator<Item = &'a LiveForecast>) -> Vec<Self> {
        let (before, now): (Vec<_>, Vec<_>) = items.map(|live| (live.before, live.now)).unzip();
        chances(&before).into_iter().zip(chances(&now)).map(|(before, now)| Self { before, now }).collect()
    }

    /// A published chance as the sales have moved it.
    fn chance(&self, published: Option<f64>, k: TopK) -> f64 {
        moved_chance(published, self.before[k.index()], self.now[k.index()])
    }
}

/// The interval of a rank around another rank, narrowed.
fn moved(interval: RankInterval, from: u32, rank: u32, width: f64) -> RankInterval {
    let part = |ranks: u32| (f64::from(ranks) * width.min(1.0)).round() as u32;
    RankInterval {
        best: rank.saturating_sub(part(from.saturating_sub(interval.best))).max(1),
        worst: rank + part(interval.worst.saturating_sub(from)),
    }
}

fn of_category(category: &CategoryPrediction) -> Expected {
    Expected { amount: category.predicted_sales_amount, quantity: category.predicted_quantity, interval: category.interval }
}

fn of_product(product: &ProductPrediction) -> Expected {
    Expected { amount: product.predicted_amount, quantity: product.predicted_quantity, interval: product.interval }
}

/// Beyond the first 100 no interval is published: what little sells there is taken to vary as much as it sells.
fn of_continued(product: &ContinuedProduct) -> Expected {
    let amount = product.predicted_amount;
    let interval = Interval { low: Money::ZERO, high: Money::from_cents(amount.cents() * 5 / 2) };
    Expected { amount, quantity: product.predicted_quantity, interval }
}
