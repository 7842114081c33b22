//! Small generations to publish, with documents of every kind.

use std::collections::BTreeMap;

use sellcast_domain::{
    CategoryHistory, CategoryId, ConfidenceFactors, Continuation, ContinuedProduct, Currency, Generation, GenerationId, Interval, Money,
    Period, PredictionDocument, PredictionId, ProductHistory, ProductId, ShopDay, Stage, TimeFrame, TopK, TrackRecord,
};
use sellcast_domain::{CategoryPrediction, RankInterval};
use sellcast_store::GenerationDocuments;
use uuid::Uuid;

pub(crate) fn day(text: &str) -> ShopDay {
    text.parse().expect("a day")
}

pub(crate) fn id(number: u128) -> GenerationId {
    GenerationId::from(Uuid::from_u128(number))
}

/// A generation with `categories` categories; its amounts grow with its number.
pub(crate) fn generation(number: u128, as_of: &str, categories: i64) -> GenerationDocuments {
    let as_of = day(as_of);
    let made = as_of.starts_at(chrono_tz::UTC);
    let amount = Money::from_cents(10_000 + i64::try_from(number).expect("small"));
    let interval = Interval { low: Money::from_cents(1), high: Money::from_cents(99_999_999) };
    let category = |place: i64| CategoryPrediction {
        category_id: CategoryId::from(place),
        category_name: format!("category {place}"),
        path: vec!["all".to_owned()],
        predicted_sales_amount: amount,
        predicted_quantity: 1.0 / 3.0,
        interval,
        confidence_score: 0.1 + 0.2,
        top_k: TopK::holding(place as u32),
        factors: ConfidenceFactors::default(),
        rank: place as u32,
        rank_interval: RankInterval { best: 1, worst: 9 },
        previous_rank: None,
        previous_amount: Money::ZERO,
        total_products: 101,
        top_products: Vec::new(),
    };
    let prediction = |frame: TimeFrame| PredictionDocument {
        prediction_id: PredictionId::from(Uuid::from_u128(number * 10 + frame as u128)),
        generation_id: id(number),
        time_frame: frame,
        period_start: as_of,
        period_end: Period::starting(frame, as_of).last_day(),
        generation_timestamp: made,
        model_version: format!("{frame}/{as_of}"),
        models: Vec::new(),
        fallback: None,
        total_amount: amount,
        total_interval: interval,
        previous_total: Money::ZERO,
        categories: (1..=categories).map(category).collect(),
    };
    let predictions: Vec<PredictionDocument> = TimeFrame::ALL.into_iter().map(prediction).collect();
    let continued = ContinuedProduct {
        similar: None,
        product_id: ProductId::from(7),
        product_name: "the hundred-and-first".to_owned(),
        predicted_quantity: 1.0,
        predicted_amount: amount,
        confidence_score: 0.5,
        rank: 101,
    };
    let history = |place: i64| CategoryHistory {
        category_id: CategoryId::from(place),
        week_starts: vec![as_of - 7],
        amounts: vec![amount],
        products: vec![ProductHistory { product_id: ProductId::from(7), amounts: vec![amount] }],
    };
    GenerationDocuments {
        generation: Generation {
            generation_id: id(number),
            as_of,
            generated_at: made,
            stage: Stage::Models,
            shop_name: "a shop".to_owned(),
            currency: Currency::try_from("EUR".to_owned()).expect("a code"),
            time_zone: "UTC".to_owned(),
            sales_until: as_of - 1,
            predictions: predictions.iter().map(|document| (document.time_frame, document.prediction_id)).collect(),
            warehouse_versions: BTreeMap::from([("fact_sales".to_owned(), 3)]),
            provenance: Default::default(),
            experiment: None,
        },
        predictions,
        continuations: vec![(TimeFrame::Week, Continuation { category_id: CategoryId::from(1), products: vec![continued] })],
        histories: (1..=categories).map(history).collect(),
        record: TrackRecord::default(),
        arms: Vec::new(),
    }
}
