//! A synthetic shop's generations: 40 categories with up to 250 products, every frame, histories and a track
//! record. The same numbers for the same day, so that tests can name what they expect.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sellcast_domain::{
    CategoryHistory, CategoryId, CategoryPrediction, ConfidenceFactors, Continuation, ContinuedProduct, Currency, DearModel, DearRecord,
    Driver, FirstScore, FrameRecord, Generation, GenerationId, GroupWeights, Interval, Learning, LearningStep, LiveLevel, LiveMetrics,
    LiveScore, Metrics, Miss, ModelEvent, ModelEventKind, ModelVersion, ModelsRecord, Money, Origin, Period, PeriodScore,
    PredictionDocument, PredictionId, ProductHistory, ProductId, ProductPrediction, RankInterval, ReliabilityBin, ScoredCategory, ShopDay,
    Stage, TimeFrame, TopK, TrackRecord, WeightChange,
};
use sellcast_store::GenerationDocuments;
use uuid::Uuid;

/// Department, category, number of products.
const CATEGORIES: [(&str, &str, u32); 40] = [
    ("Grocery", "Soft drinks", 250),
    ("Meat", "Beef", 180),
    ("Dairy", "Cheese", 160),
    ("Dairy", "Fluid milk", 90),
    ("Frozen", "Frozen meals", 140),
    ("Grocery", "Bag snacks", 150),
    ("Bakery", "Bread, buns, rolls", 120),
    ("Drinks", "Beer, ale", 110),
    ("Grocery", "Baking, holiday", 70),
    ("Frozen", "Frozen pizza", 80),
    ("Produce", "Salad mix", 45),
    ("Produce", "Berries", 30),
    ("Grocery", "Cold cereal", 130),
    ("Dairy", "Yogurt", 140),
    ("Meat", "Chicken", 60),
    ("Deli", "Lunch meat", 75),
    ("Grocery", "Soup", 110),
    ("Drinks", "Coffee", 85),
    ("Household", "Paper towels", 40),
    ("Household", "Laundry detergent", 65),
    ("Produce", "Bananas", 6),
    ("Produce", "Apples", 35),
    ("Frozen", "Ice cream", 100),
    ("Grocery", "Crackers", 90),
    ("Grocery", "Cookies", 95),
    ("Grocery", "Candy, packaged", 105),
    ("Drinks", "Water", 55),
    ("Drinks", "Isotonic drinks", 50),
    ("Dairy", "Eggs", 12),
    ("Dairy", "Butter", 25),
    ("Grocery", "Pasta sauce", 70),
    ("Grocery", "Dry noodles, pasta", 65),
    ("Household", "Bath tissue", 30),
    ("Pet", "Cat food", 80),
    ("Pet", "Dog food", 75),
    ("Meat", "Ham and turkey", 20),
    ("Seafood", "Shrimp", 18),
    ("Dairy", "Eggnog", 4),
    ("Garden", "Charcoal and grills", 8),
    ("Grocery", "=SUM(A1) spreads", 7),
];
const KINDS: [&str; 10] = ["Classic", "Light", "Family size", "Zero", "Organic", "Lemon", "Original", "Extra", "Mini", "Smoked"];
const SIZES: [&str; 6] = ["12 oz", "2 litre", "12-pack cans", "8 oz", "gallon", "4-pack"];
const BRANDS: [&str; 3] = ["National", "Private", "Regional"];
const REASONS: [&str; 6] = [
    "on display in 40 stores",
    "in the mailer",
    "December, three weeks before Christmas",
    "price up 4 % on its mean",
    "price 20 % below its mean",
    "trend down 4 weeks",
];
/// Weeks of history.
const WEEKS: i64 = 48;

pub(crate) fn day(text: &str) -> ShopDay {
    text.parse().expect("a day")
}

/// The generation for `as_of`; `edition` tells several for one day apart.
pub(crate) fn generation(as_of: ShopDay, edition: u8) -> GenerationDocuments {
    let generated_at = as_of.starts_at(chrono_tz::America::New_York) + chrono::Duration::minutes(4 + i64::from(edition));
    let generation_id = GenerationId::from(uuid_v7(generated_at, edition));
    let shop = Shop { as_of, generation_id, generated_at, edition };
    let predictions: Vec<PredictionDocument> = TimeFrame::ALL.into_iter().map(|frame| shop.prediction(frame)).collect();
    let generation = Generation {
        generation_id,
        as_of,
        generated_at,
        stage: if edition == 0 { Stage::Baselines } else { Stage::Models },
        shop_name: "Corner Market".to_owned(),
        currency: Currency::try_from("USD".to_owned()).expect("a code"),
        time_zone: "America/New_York".to_owned(),
        sales_until: as_of - 1,
        predictions: predictions.iter().map(|document| (document.time_frame, document.prediction_id)).collect(),
        warehouse_versions: BTreeMap::from([("fact_sales".to_owned(), 17)]),
        provenance: Default::default(),
        experiment: None,
    };
    let continuations = TimeFrame::ALL.into_iter().flat_map(|frame| shop.continuations(frame)).collect();
    GenerationDocuments { generation, predictions, continuations, histories: shop.histories(), record: shop.record(), arms: Vec::new() }
}

struct Shop {
    as_of: ShopDay,
    generation_id: GenerationId,
    generated_at: DateTime<Utc>,
    edition: u8,
}

impl Shop {
    fn prediction(&self, frame: TimeFrame) -> PredictionDocument {
        let period = Period::starting(frame, self.as_of);
        let mut categories: Vec<CategoryPrediction> = (0..CATEGORIES.len()).map(|place| self.category(place, frame)).collect();
        categories.sort_by_key(|category| (-category.predicted_sales_amount.cents(), category.category_id));
        for (place, category) in categories.iter_mut().enumerate() {
            let rank = place as u32 + 1;
            category.rank = rank;
            category.top_k = TopK::holding(rank);
            category.confidence_score = 0.97 - 0.02 * f64::from(rank.min(40));
            category.rank_interval = RankInterval { best: rank.saturating_sub(2).max(1), worst: rank + 3 };
            let shift = (hash(&[self.as_of.epoch_days() as u64, category.category_id.get() as u64]) % 7) as u32;
            category.previous_rank = match category.category_name.as_str() {
                "Eggnog" => None,
                "Baking, holiday" => Some(rank + 14),
                _ => Some((rank + shift).saturating_sub(3).max(1)),
            };
        }
        let total: Money = categories.iter().map(|category| category.predicted_sales_amount).sum();
        PredictionDocument {
            prediction_id: PredictionId::from(uuid_v7(self.generated_at, 10 + frame as u8)),
            generation_id: self.generation_id,
            time_frame: frame,
            period_start: period.start(),
            period_end: period.last_day(),
            generation_timestamp: self.generated_at,
            model_version: format!("{frame}/{}", self.as_of),
            models: vec![ModelVersion {
                model: "gbm_amount".to_owned(),
                version: format!("{frame}/gbm_amount/{}", self.as_of),
                weight: 1.0,
            }],
            fallback: matches!(frame, TimeFrame::HalfYear | TimeFrame::Year).then(|| {
                format!(
                    "too little history for a {} forecast: 48 weeks are there, so the quarter's is scaled up by the season",
                    frame.name()
                )
            }),
            total_amount: total,
            total_interval: scaled(total, 0.957, 1.043),
            previous_total: money(total.to_f64() / 1.042),
            categories,
        }
    }

    fn category(&self, place: usize, frame: TimeFrame) -> CategoryPrediction {
        let (department, name, count) = CATEGORIES[place];
        let products: Vec<ProductPrediction> = (1..=count.min(100)).map(|rank| self.product(place, rank, frame)).collect();
        // Beyond the first 100 little is sold.
        let amount: Money = products.iter().map(|product| product.predicted_amount).sum();
        CategoryPrediction {
            category_id: category_id(place),
            category_name: name.to_owned(),
            path: vec![department.to_owned()],
            predicted_sales_amount: amount,
            predicted_quantity: products.iter().map(|product| product.predicted_quantity).sum(),
            interval: scaled(amount, 0.88, 1.14),
            confidence_score: 0.0,
            top_k: TopK::holding(1),
            factors: factors(0.8),
            rank: 0,
            rank_interval: RankInterval { best: 1, worst: 1 },
            previous_rank: None,
            previous_amount: money(amount.to_f64() * (0.8 + 0.4 * unit(&[place as u64, 5]))),
            total_products: count,
            top_products: products,
        }
    }

    fn product(&self, place: usize, rank: u32, frame: TimeFrame) -> ProductPrediction {
        let seed = [place as u64, u64::from(rank), 1];
        let amount = money(self.weekly(place, rank) * frame.typical_days() as f64 / 7.0);
        let price = money(0.8 + 14.0 * unit(&seed).powi(2));
        let driver =
            |which: usize, share: f64| Driver { reason: REASONS[which % REASONS.len()].to_owned(), effect: money(amount.to_f64() * share) };
        let shift = (hash(&[self.as_of.epoch_days() as u64, place as u64, u64::from(rank)]) % 9) as u32;
        let young = rank % 23 == 7;
        ProductPrediction {
            product_id: product_id(place, rank),
            product_name: product_name(place, rank),
            brand: Some(BRANDS[(hash(&seed) % 3) as usize].to_owned()),
            price: Some(price),
            predicted_quantity: amount.to_f64() / price.to_f64(),
            predicted_amount: amount,
            interval: scaled(amount, 0.7, 1.35),
            interval_95: Some(scaled(amount, 0.5, 1.9)),
            confidence_score: 0.95 / (1.0 + f64::from(rank) / 30.0),
            chances: TopK::ALL.map(|k| 0.95 / (1.0 + f64::from(rank) / (6.0 * f64::from(k.get())))).to_vec(),
            top_k: TopK::holding(rank),
            factors: factors(unit(&seed)),
            rank,
            rank_interval: RankInterval { best: rank.saturating_sub(rank / 3).max(1), worst: rank + 2 + rank / 2 },
            previous_rank: (!young).then(|| (rank + shift).saturating_sub(4).max(1)),
            previous_amount: if young { Money::ZERO } else { money(amount.to_f64() * 0.93) },
            days_on_sale: if young { Some(9) } else { Some(335) },
            drivers: if rank <= 60 {
                vec![driver(shift as usize, 0.23), driver(shift as usize + 1, 0.14), driver(shift as usize + 3, -0.06)]
            } else {
                Vec::new()
            },
            guard: young.then(|| "limited to 4 times its best week of the last eight".to_owned()),
            similar: young.then(|| "like Cola 2 and Cola 3, launched in May".to_owned()),
        }
    }

    fn continuations(&self, frame: TimeFrame) -> Vec<(TimeFrame, Continuation)> {
        let long = CATEGORIES.iter().enumerate().filter(|(_, (_, _, count))| *count > 100);
        long.map(|(place, (_, _, count))| {
            let products = (101..=*count).map(|rank| ContinuedProduct {
                product_id: product_id(place, rank),
                product_name: product_name(place, rank),
                predicted_quantity: 0.4,
                predicted_amount: money(self.weekly(place, rank) * frame.typical_days() as f64 / 7.0),
                confidence_score: 0.2,
                rank,
                similar: (rank == 250).then(|| {
                    "like Cola 2, launched in June; 2 of 100 products that wait like it are first sold in a given week".to_owned()
                }),
            });
            (frame, Continuation { category_id: category_id(place), products: products.collect() })
        })
        .collect()
    }

    fn histories(&self) -> Vec<CategoryHistory> {
        let week_starts: Vec<ShopDay> = (0..WEEKS).map(|week| self.as_of - 7 * (WEEKS - week)).collect();
        let series = |level: f64, seed: u64| -> Vec<Money> {
            let season = |week: i64| 1.0 + 0.18 * (week as f64 / 7.6).sin();
            (0..WEEKS).map(|week| money(level * season(week) * (0.8 + 0.4 * unit(&[seed, week as u64])))).collect()
        };
        (0..CATEGORIES.len())
            .map(|place| {
                let (_, name, count) = CATEGORIES[place];
                let products = (1..=count.min(100)).map(|rank| ProductHistory {
                    product_id: product_id(place, rank),
                    amounts: series(self.weekly(place, rank) * 0.97, product_id(place, rank).get() as u64),
                });
                let products: Vec<ProductHistory> = if name == "Eggnog" { Vec::new() } else { products.collect() };
                let total: f64 = (1..=count.min(100)).map(|rank| self.weekly(place, rank)).sum();
                CategoryHistory {
                    category_id: category_id(place),
                    week_starts: week_starts.clone(),
                    amounts: series(total, 900 + place as u64),
                    products,
                }
            })
            .collect()
    }

    fn record(&self) -> TrackRecord {
        let frames = [(TimeFrame::Day, 14), (TimeFrame::Week, 8), (TimeFrame::Month, 3)];
        let frames = frames.into_iter().map(|(frame, count)| (frame, self.frame_record(frame, count))).collect();
        let event = |day: i64, version: &str, event, reason: &str| ModelEvent {
            at: self.generated_at - chrono::Duration::days(day),
            frame: TimeFrame::Week,
            version: version.to_owned(),
            event,
            reason: reason.to_owned(),
            duel: None,
        };
        let models = ModelsRecord {
            champions: [(TimeFrame::Week, "week/2017-11-27".to_owned())].into(),
            challengers: [(TimeFrame::Week, "week/2017-12-04".to_owned())].into(),
            events: vec![
                event(0, "week/2017-12-04", ModelEventKind::Challenged, "it waits for a period to end"),
                event(7, "week/2017-11-27", ModelEventKind::Promoted, "it beat week/2017-11-20: p = 0.011"),
                event(9, "week/2017-11-25", ModelEventKind::Failed, "cannot compute <features>"),
            ],
            dear: [(TimeFrame::Week, dear_models())].into(),
        };
        TrackRecord { frames, models, experiment: None }
    }

    fn frame_record(&self, frame: TimeFrame, count: i64) -> FrameRecord {
        let periods = (0..count).map(|back| self.period_score(frame, back)).collect();
        let reliability = (1..=9).map(|bin| {
            let said = f64::from(bin) / 10.0;
            ReliabilityBin {
                said,
                came_true: said + 0.04 * (unit(&[u64::from(bin as u32), 77]) - 0.5),
                count: 200 * u64::from(11 - bin as u32),
            }
        });
        let miss = |rank| Miss {
            product_id: product_id(0, rank),
            product_name: product_name(0, rank),
            category_id: category_id(0),
            forecast_amount: money(412.0),
            actual_amount: money(198.0),
            drivers: vec![Driver { reason: REASONS[0].to_owned(), effect: money(120.0) }],
        };
        FrameRecord {
            periods,
            models: BTreeMap::from([("published".to_owned(), metrics(0.54, 0.78)), ("last_period".to_owned(), metrics(0.42, 0.95))]),
            reliability: reliability.collect(),
            worst_misses: vec![miss(2), miss(5), miss(9)],
            weights: BTreeMap::from([("secret_model_name".to_owned(), 1.0)]),
            learning: if frame == TimeFrame::Week { self.learning() } else { Learning::default() },
            live: if frame == TimeFrame::Day { live_scores() } else { Vec::new() },
        }
    }

    fn learning(&self) -> Learning {
        let models = ["gbm_amount", "half_4w_half_26w"];
        let step = |back: i64, share: f64| LearningStep {
            period_start: self.as_of - 7 * back,
            losses: models.iter().map(|model| ((*model).to_owned(), 1.1)).collect(),
            wapes: [(models[0].to_owned(), 0.81), (models[1].to_owned(), 0.86)].into(),
            weights: [(models[0].to_owned(), share), (models[1].to_owned(), 1.0 - share)].into(),
            regret: -0.01,
        };
        Learning {
            steps: vec![step(3, 0.4), step(2, 0.6), step(1, 0.75)],
            groups: vec![GroupWeights {
                name: "largest categories".to_owned(),
                categories: 4,
                weights: [(models[0].to_owned(), 0.9), (models[1].to_owned(), 0.1)].into(),
            }],
            changes: vec![WeightChange {
                period_start: self.as_of - 14,
                from: models[1].to_owned(),
                to: models[0].to_owned(),
                reason: "gbm_amount overtook half_4w_half_26w: WAPE 0.810 against 0.860 in the week of 2017-11-20".to_owned(),
            }],
            best_single: models[0].to_owned(),
            regret: -0.012,
        }
    }

    fn period_score(&self, frame: TimeFrame, back: i64) -> PeriodScore {
        let start = self.as_of - (back + 1) * frame.typical_days();
        let noise = 0.9 + 0.2 * unit(&[back as u64, 31]);
        let scored = |place: usize| {
            let amount = 3_900.0 / (1.0 + place as f64 * 0.2) * frame.typical_days() as f64 / 7.0;
            ScoredCategory {
                category_id: category_id(place),
                category_name: CATEGORIES[place].1.to_owned(),
                forecast_amount: money(amount),
                actual_amount: money(amount * (0.85 + 0.3 * unit(&[place as u64, back as u64]))),
                forecast_rank: place as u32 + 1,
                actual_rank: (place as u32 + 1 + back as u32 % 3).max(1),
                confidence_score: 0.93 - 0.05 * place as f64,
                came_true: place % 4 != 3,
            }
        };
        PeriodScore {
            period_start: start,
            period_end: Period::starting(frame, start).last_day(),
            origin: if back < count_published(frame) { Origin::Published } else { Origin::Backtest },
            published: metrics(0.54 * noise, 0.78 / noise),
            last_period: metrics(0.42 * noise, 0.95 / noise),
            forecast_amount: money(91_300.0 * frame.typical_days() as f64 / 7.0),
            actual_amount: money(91_300.0 * frame.typical_days() as f64 / 7.0 * noise),
            categories: (0..10).map(scored).collect(),
            first: (back == 1).then(|| FirstScore { published: metrics(0.5, 0.8), actual_amount: money(90_000.0) }),
        }
    }

    /// What a product sells in a week: falls with its rank, differs a little with every edition.
    fn weekly(&self, place: usize, rank: u32) -> f64 {
        let level = 420.0 / (1.0 + place as f64 * 0.16);
        level / f64::from(rank).powf(0.8) * (1.0 + 0.01 * f64::from(self.edition))
    }
}

pub(crate) fn category_id(place: usize) -> CategoryId {
    CategoryId::from(place as i64 + 1)
}

pub(crate) fn product_id(place: usize, rank: u32) -> ProductId {
    ProductId::from((place as i64 + 1) * 1_000 + i64::from(rank))
}

fn product_name(place: usize, rank: u32) -> String {
    let name = CATEGORIES[place].1;
    let kind = KINDS[(hash(&[place as u64, u64::from(rank), 2]) % 10) as usize];
    let size = SIZES[(hash(&[place as u64, u64::from(rank), 3]) % 6) as usize];
    format!("{name}, {} {size} no. {rank}", kind.to_lowercase())
}

fn count_published(frame: TimeFrame) -> i64 {
    if frame == TimeFrame::Day { 3 } else { 0 }
}

fn metrics(precision: f64, wape: f64) -> Metrics {
    Metrics {
        precision_at_5: precision - 0.02,
        precision_at_10: precision,
        ndcg_at_10: precision + 0.2,
        wape: Some(wape),
        bias: Some(-0.013),
        coverage_80: Some(0.806),
        coverage_95: Some(0.943),
        ece: Some(0.018),
        ..Metrics::default()
    }
}

/// Live forecasts at noon and in the evening.
fn live_scores() -> Vec<LiveScore> {
    let metrics = |wape, coverage| LiveMetrics { wape, coverage_80: Some(coverage), said: 0.71, came_true: 0.69 };
    let score = |level, from_hour, wape| LiveScore {
        level,
        from_hour,
        to_hour: from_hour + 2,
        forecasts: 8,
        live: metrics(wape, 0.78),
        published: metrics(0.248, 0.81),
    };
    vec![
        score(LiveLevel::Categories, 12, 0.212),
        score(LiveLevel::Categories, 18, 0.085),
        score(LiveLevel::Products, 12, 0.931),
        score(LiveLevel::Products, 18, 0.402),
    ]
}

fn factors(level: f64) -> ConfidenceFactors {
    ConfidenceFactors { historical_accuracy: 0.5 + 0.4 * level, data_completeness: 0.96, ensemble_agreement: 0.4 + 0.5 * level }
}

fn scaled(amount: Money, low: f64, high: f64) -> Interval {
    Interval { low: money(amount.to_f64() * low), high: money(amount.to_f64() * high) }
}

fn money(units: f64) -> Money {
    Money::try_from(units).expect("an amount")
}

fn uuid_v7(at: DateTime<Utc>, salt: u8) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(at.timestamp_millis().unsigned_abs(), &[salt, 1, 2, 3, 4, 5, 6, 7, 8, 9]).into_uuid()
}

/// Numbers that look random and are always the same (splitmix64).
fn hash(seed: &[u64]) -> u64 {
    seed.iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, part| {
        let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

fn unit(seed: &[u64]) -> f64 {
    (hash(seed) >> 11) as f64 / (1_u64 << 53) as f64
}

fn dear_models() -> DearRecord {
    let model = |model: &str, periods, loss| DearModel { model: model.to_owned(), periods, loss };
    DearRecord {
        chosen: "theta".to_owned(),
        models: vec![model("neural", 3, Some(0.012)), model("theta", 5, Some(-0.034)), model("tsb", 0, None)],
    }
}
