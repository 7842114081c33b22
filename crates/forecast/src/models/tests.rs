//! The models on made rows whose answer is known, and their files.

use sellcast_domain::{CategoryId, Period, ProductId, ShopDay, TimeFrame};
use sellcast_features::Definitions;

use super::boosted::{BoostSettings, TrainingMatrix};
use super::file::seal;
use super::kind::ModelKind;
use super::promotions::Planned;
use super::{Fitted, Lesson, Said, Scene};
use crate::cold_start::Launches;
use crate::error::ForecastError;
use crate::rows::{Rows, TrainingRows};
use crate::series::Series;

const NAMES: [&str; 5] = ["rank_13w", "display_next_week", "price_91d", "quality", "mean_4w"];
const SETTINGS: BoostSettings = BoostSettings { rounds: 60, seed: 7, leaves: 16, leaf_weight: 5.0 };

/// A repeatable number from 0 to 1.
fn noise(at: usize) -> f32 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1_u64 << 24) as f32
}

/// Twelve origins of ten categories of forty products. `quality` (0 to 1) and a display (threefold sales, one product in
/// eight) multiply a steady expectation; category 3 has a law of its own: there quality works the other way round.
fn shop() -> TrainingRows {
    let mut rows = TrainingRows { names: NAMES.map(str::to_owned).to_vec(), ..TrainingRows::default() };
    let first: ShopDay = "2017-03-06".parse().expect("a day");
    for origin in 0..12 {
        for category in 0..10_usize {
            let mut amounts = Vec::new();
            for product in 0..40_usize {
                let at = (origin * 10 + category) * 40 + product;
                let (quality, display) = (noise(at), if noise(at + 70_000) < 0.125 { 5.0 } else { 0.0 });
                let start = 4.0 + 4.0 * noise(product + 900);
                let power = if category == 3 { 1.0 - quality } else { quality };
                let amount = start * (1.0 + 3.0 * power) * if display > 0.0 { 3.0 } else { 1.0 };
                std::sync::Arc::make_mut(&mut rows.values).extend([product as f32 + 1.0, display, 2.0, quality, start]);
                amounts.push(amount);
                rows.starts.push(start);
                rows.products.push(ProductId::from((category * 40 + product) as i64));
                rows.categories.push(CategoryId::from(category as i64));
                rows.origins.push(first + 7 * origin as i64);
            }
            let rank = |amount: &f32| amounts.iter().filter(|other| *other > amount).count() as u32 + 1;
            rows.ranks.extend(amounts.iter().map(rank));
            rows.quantities.extend(amounts.iter().map(|amount| amount / 2.0));
            rows.weights.extend(amounts.iter().map(|_| 1.0));
            rows.amounts.extend(amounts);
        }
    }
    rows
}

/// The rows of the newest origin as rows to forecast, and their truth.
fn newest(rows: &TrainingRows) -> (Rows, Vec<f64>, Vec<f32>) {
    let chosen: Vec<usize> = (rows.len() - 400..rows.len()).collect();
    let part = rows.select(&chosen);
    let scene = Rows {
        period: Period::starting(TimeFrame::Week, part.origins[0]),
        products: part.products.clone(),
        categories: part.categories.clone(),
        names: part.names.clone(),
        values: part.values.to_vec(),
        history_days: 100,
        launches: Launches::default(),
        unsold_units: Vec::new(),
    };
    (scene, part.starts.iter().map(|start| f64::from(*start)).collect(), part.amounts)
}

fn planned() -> Planned {
    Planned::new(&Definitions::current(), TimeFrame::Week)
}

fn fit(kind: ModelKind, rows: &TrainingRows) -> Result<Fitted, ForecastError> {
    let series = Series::weekly(20, vec![1.0; 20 * 400]);
    let matrix = TrainingMatrix::of(rows)?;
    Fitted::fit(kind, &Lesson { rows, matrix: &matrix, planned: &planned(), series: Some((&series, 400)), settings: SETTINGS })
}

fn say(kind: ModelKind, model: &Fitted, rows: &Rows, starts: &[f64], reference: &[f32]) -> Result<Vec<f32>, ForecastError> {
    let series = Series::weekly(20, vec![1.0; 20 * rows.len()]);
    let prices = vec![2.0; rows.len()];
    let scene = Scene { rows, starts, prices: &prices, series: Some(&series), reference };
    Ok(match model.say(kind, &scene, &planned())? {
        Said::Amounts(values) | Said::Units(values) | Said::Membership(values) => values,
    })
}

fn wape(said: &[f32], truth: &[f32], rows: impl Fn(usize) -> bool) -> f32 {
    let chosen: Vec<usize> = (0..truth.len()).filter(|row| rows(*row)).collect();
    chosen.iter().map(|row| (said[*row] - truth[*row]).abs()).sum::<f32>() / chosen.iter().map(|row| truth[*row]).sum::<f32>()
}

/// Mean precision of the first ten of each category.
fn precision(said: &[f32], truth: &[f32]) -> f32 {
    let top = |values: &[f32], category: usize| {
        let mut order: Vec<usize> = (category * 40..category * 40 + 40).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        order.truncate(10);
        order
    };
    let hits: usize = (0..10).map(|category| top(said, category).iter().filter(|row| top(truth, category).contains(row)).count()).sum();
    hits as f32 / 100.0
}

#[test]
fn rankers_order_better_than_the_reference_and_keep_its_amounts() -> Result<(), ForecastError> {
    let rows = shop();
    let (scene, starts, truth) = newest(&rows);
    let reference: Vec<f32> = starts.iter().map(|start| *start as f32).collect();
    for kind in [ModelKind::LambdaMart, ModelKind::GbmTopK] {
        let said = say(kind, &fit(kind, &rows)?, &scene, &starts, &reference)?;
        let (ours, before) = (precision(&said, &truth), precision(&reference, &truth));
        assert!(ours > 0.75 && ours > before + 0.2, "{kind}: {ours} against {before}");
        for category in 0..10 {
            let sorted = |values: &[f32]| {
                let mut values = values[category * 40..category * 40 + 40].to_vec();
                values.sort_by(f32::total_cmp);
                values
            };
            assert_eq!(sorted(&said), sorted(&reference), "{kind}: the same amounts, dealt out anew");
        }
    }
    Ok(())
}

#[test]
fn the_promoted_model_learns_the_lift_and_leaves_the_others_alone() -> Result<(), ForecastError> {
    let rows = shop();
    let (scene, starts, truth) = newest(&rows);
    let reference = vec![1.0; truth.len()];
    let said = say(ModelKind::GbmPromoted, &fit(ModelKind::GbmPromoted, &rows)?, &scene, &starts, &reference)?;
    let display = scene.column("display_next_week");
    assert!(wape(&said, &truth, |row| display[row] > 0.0) < 0.2, "{}", wape(&said, &truth, |row| display[row] > 0.0));
    assert!((0..truth.len()).filter(|row| display[*row] == 0.0).all(|row| said[row] == 1.0));
    Ok(())
}

#[test]
fn the_model_without_promotions_tells_what_would_sell_anyway() -> Result<(), ForecastError> {
    let rows = shop();
    let (mut scene, starts, _) = newest(&rows);
    let model = fit(ModelKind::GbmNoPromotions, &rows)?;
    let said = say(ModelKind::GbmNoPromotions, &model, &scene, &starts, &[])?;
    assert!(model.importance().iter().all(|(feature, _)| feature != "display_next_week"), "{:?}", model.importance());
    scene.values.iter_mut().skip(1).step_by(NAMES.len()).for_each(|display| *display = 9.0);
    assert_eq!(said, say(ModelKind::GbmNoPromotions, &model, &scene, &starts, &[])?, "a planned display changes nothing");
    Ok(())
}

#[test]
fn a_category_with_a_law_of_its_own_gets_a_model_of_its_own() -> Result<(), ForecastError> {
    // The pooled model cannot see the category here: only a model of its own finds the law.
    let mut rows = shop();
    for _ in 0..2 {
        let again = rows.select(&(0..rows.len()).collect::<Vec<_>>());
        std::sync::Arc::make_mut(&mut rows.values).extend_from_slice(&again.values);
        rows.amounts.extend(again.amounts);
        rows.quantities.extend(again.quantities);
        rows.weights.extend(again.weights);
        rows.starts.extend(again.starts);
        rows.products.extend(again.products);
        rows.categories.extend(again.categories);
        rows.origins.extend(again.origins);
        rows.ranks.extend(again.ranks);
    }
    let model = fit(ModelKind::GbmTopCategories, &rows)?;
    let Fitted::TopCategories(models) = &model else { panic!("another kind of model") };
    assert!(models.categories().contains(&CategoryId::from(3)), "{:?}", models.categories());
    let (scene, starts, truth) = newest(&rows);
    let reference: Vec<f32> = starts.iter().map(|start| *start as f32).collect();
    let said = say(ModelKind::GbmTopCategories, &model, &scene, &starts, &reference)?;
    let error = wape(&said, &truth, |row| scene.categories[row] == CategoryId::from(3));
    assert!(error < 0.2, "{error}");
    Ok(())
}

#[test]
fn the_net_learns_a_multiplicative_effect_the_same_each_time() -> Result<(), ForecastError> {
    let rows = shop();
    let (scene, starts, truth) = newest(&rows);
    let model = fit(ModelKind::Neural, &rows)?;
    let said = say(ModelKind::Neural, &model, &scene, &starts, &[])?;
    let steady: Vec<f32> = starts.iter().map(|start| *start as f32 * 2.5).collect();
    let (ours, before) = (wape(&said, &truth, |_| true), wape(&steady, &truth, |_| true));
    assert!(ours < 0.2 && before > 0.3, "{ours} against {before}");
    let again = say(ModelKind::Neural, &fit(ModelKind::Neural, &rows)?, &scene, &starts, &[])?;
    assert_eq!(said, again, "the same rows and seed give the same net");
    assert!(model.importance()[..3].iter().any(|(feature, _)| feature == "display_next_week"), "{:?}", model.importance());
    Ok(())
}

#[test]
fn every_model_comes_back_from_its_file_as_it_was_and_damage_is_refused() -> Result<(), ForecastError> {
    let rows = shop();
    let (scene, starts, _) = newest(&rows);
    let reference: Vec<f32> = starts.iter().map(|start| *start as f32).collect();
    for kind in ModelKind::all() {
        let model = fit(kind, &rows)?;
        let file = model.encode(kind)?;
        let again = Fitted::decode(kind, &rows.names, &file)?;
        let (first, second) = (say(kind, &model, &scene, &starts, &reference)?, say(kind, &again, &scene, &starts, &reference)?);
        assert_eq!(first, second, "{kind}");
        let mut damaged = file.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        for bytes in [&damaged[..], &file[..file.len() - 1], &[]] {
            let error = Fitted::decode(kind, &rows.names, bytes).expect_err("damaged").to_string();
            assert!(error.contains(kind.name()), "{error}");
        }
        // Whole, but not what this model writes: an error, not a panic.
        if !matches!(kind, ModelKind::Ets | ModelKind::Theta) {
            assert!(Fitted::decode(kind, &rows.names, &seal(&[1, 0, 0, 0, 9, 9])).is_err(), "{kind}");
        }
    }
    Ok(())
}

#[test]
fn one_category_of_zeros_and_one_of_a_single_product_break_nothing() -> Result<(), ForecastError> {
    let mut rows = shop();
    for row in 0..rows.len() {
        if rows.categories[row] == CategoryId::from(0) {
            rows.amounts[row] = 0.0;
            rows.ranks[row] = u32::MAX;
        } else if rows.products[row] == ProductId::from(399) {
            rows.categories[row] = CategoryId::from(99);
            rows.ranks[row] = 1;
        }
    }
    let (scene, starts, _) = newest(&rows);
    let reference: Vec<f32> = starts.iter().map(|start| *start as f32).collect();
    for kind in ModelKind::all() {
        let said = say(kind, &fit(kind, &rows)?, &scene, &starts, &reference)?;
        let may_be_negative = kind == ModelKind::Logistic;
        assert!(said.iter().all(|value| value.is_finite() && (may_be_negative || *value >= 0.0)), "{kind}");
    }
    Ok(())
}
