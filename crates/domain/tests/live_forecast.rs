//! Live forecasts: what they begin and end with, how they narrow, that parts add up, and that they are worth having.

use chrono::{DateTime, Utc};
use chrono_tz::America::New_York;
use proptest::prelude::*;
use sellcast_domain::window::{Quantity, Sums};
use sellcast_domain::{
    Course, Dispersion, Expected, HourlySales, Interval, Money, Period, SalesProfile, Scatter, ShopDay, TimeFrame, chances, moved_chance,
};

fn expected(cents: i64, price: i64, low: f64, high: f64) -> Expected {
    let part = |share: f64| Money::from_cents((cents as f64 * share).round() as i64);
    Expected {
        amount: Money::from_cents(cents),
        quantity: cents as f64 / price as f64,
        interval: Interval { low: part(low), high: part(high) },
    }
}

fn sold(purchases: i32, units_each: i64, price: i64) -> Sums {
    let units = i64::from(purchases) * units_each;
    Sums { quantity: Quantity::from_thousandths(units * 1000), amount: Money::from_cents(units * price), transactions: purchases }
}

fn course(elapsed: f64, dispersion: f64) -> Course {
    Course { elapsed, dispersion }
}

/// A week that sells so much in each of its hours.
fn a_week(sales: &[f64]) -> HourlySales {
    let monday: ShopDay = "2017-10-30".parse().expect("a day");
    let mut week = HourlySales::none(monday, 7);
    for (hour, amount) in sales.iter().enumerate() {
        week.add(monday + (hour / 24) as i64, hour % 24, *amount, 1.0);
    }
    week
}

fn a_forecast() -> impl Strategy<Value = Expected> {
    (0..500_000_i64, 50..2_000_i64, 0.0..1.0, 1.0..3.0).prop_map(|(cents, price, low, high)| expected(cents, price, low, high))
}

proptest! {
    #[test]
    fn it_begins_with_the_batch_forecast_and_ends_with_what_was_sold(
        batch in a_forecast(), purchases in 0..200, each in 1..4_i64, dispersion in 1.0..30.0,
    ) {
        let begins = batch.live(Sums::NONE, course(0.0, dispersion));
        prop_assert_eq!((begins.amount, begins.interval), (batch.amount, batch.interval));
        prop_assert!((begins.quantity - batch.quantity).abs() < 1e-9 && (begins.width - 1.0).abs() < 1e-9);
        let sold = sold(purchases, each, 199);
        let ends = batch.live(sold, course(1.0, dispersion));
        prop_assert_eq!((ends.amount, ends.interval.low, ends.interval.high), (sold.amount, sold.amount, sold.amount));
        prop_assert_eq!((ends.quantity, ends.width), (sold.quantity.to_f64(), 0.0));
    }

    #[test]
    fn while_nothing_more_is_sold_it_falls_and_narrows(
        batch in a_forecast(), purchases in 0..50, from in 0.0..1.0, step in 0.0..1.0, dispersion in 1.0..30.0,
    ) {
        let sold = sold(purchases, 1, 199);
        let (before, after) = (batch.live(sold, course(from, dispersion)), batch.live(sold, course(from + (1.0 - from) * step, dispersion)));
        prop_assert!(after.amount <= before.amount && after.width <= before.width + 1e-12);
        let wide = |live: sellcast_domain::LiveForecast| (live.interval.high - live.interval.low).cents();
        prop_assert!(wide(after) <= wide(before) + 2, "{before:?} {after:?}");
        for live in [before, after] {
            prop_assert!(live.interval.low <= live.amount && live.amount <= live.interval.high, "{live:?}");
            prop_assert!(live.interval.low >= sold.amount);
        }
    }

    #[test]
    fn more_sales_never_lower_it(batch in a_forecast(), purchases in 0..50, more in 1..50, elapsed in 0.0..1.0, dispersion in 1.0..30.0) {
        let course = course(elapsed, dispersion);
        let (few, many) = (batch.live(sold(purchases, 1, 199), course), batch.live(sold(purchases + more, 1, 199), course));
        prop_assert!(many.amount >= few.amount && many.interval.high >= few.interval.high);
    }

    #[test]
    fn parts_add_up_to_the_whole(
        parts in prop::collection::vec((1..50_000_i64, 50..2_000_i64, 0..20_i32), 1..30),
        elapsed in 0.0..1.0,
        unlisted in 0..5_i32,
        dispersion in 1.0..30.0,
    ) {
        let of = |(cents, price, purchases): (i64, i64, i32)| (expected(cents, price, 0.5, 1.8), sold(purchases, 1, price));
        let parts: Vec<(Expected, Sums)> = parts.into_iter().map(of).collect();
        let amount = parts.iter().map(|(part, _)| part.amount).sum::<Money>();
        let whole = Expected { quantity: parts.iter().map(|(part, _)| part.quantity).sum(), ..expected(amount.cents(), 100, 0.9, 1.1) };
        // What sold without having been forecast belongs to the whole alone.
        let all = parts.iter().fold(sold(unlisted, 1, 300), |sum, (_, sold)| sum + *sold);
        let live = whole.live(all, course(elapsed, dispersion));
        let of_parts = whole.live_parts(all, &parts, course(elapsed, dispersion));
        let sum = of_parts.iter().map(|part| part.amount).sum::<Money>() + sold(unlisted, 1, 300).amount;
        prop_assert!((sum - live.amount).cents().abs() <= 1, "{sum} {}", live.amount);
        let unsold: Vec<_> = parts.iter().map(|(part, _)| (*part, Sums::NONE)).collect();
        let at_first: Vec<Money> = whole.live_parts(Sums::NONE, &unsold, course(0.0, dispersion)).iter().map(|part| part.amount).collect();
        prop_assert_eq!(at_first, parts.iter().map(|(part, _)| part.amount).collect::<Vec<_>>());
    }

    #[test]
    fn a_period_passes_from_nothing_to_all_of_it(sales in prop::collection::vec(0.0..100.0, 168), frame in 0..6_usize, minutes in 0..600_000_i64) {
        let profile = SalesProfile::learnt(&a_week(&sales), &SalesProfile::uniform(), 10.0);
        let start: ShopDay = "2017-10-30".parse().expect("a day");
        let period = Period::starting(TimeFrame::ALL[frame], start);
        let at = |minutes: i64| start.starts_at(New_York) + chrono::Duration::minutes(minutes);
        let (now, later) = (profile.elapsed(period, at(minutes), New_York), profile.elapsed(period, at(minutes + 61), New_York));
        // The hour that is lived twice in November is passed once.
        prop_assert!((0.0..=1.0).contains(&now) && later >= now - 1e-12);
        prop_assert_eq!(profile.elapsed(period, at(0), New_York), 0.0);
        prop_assert_eq!(profile.elapsed(period, (period.last_day() + 1).starts_at(New_York), New_York), 1.0);
    }
}

#[test]
fn hours_count_as_the_shop_sells_in_them() {
    let mut sold = vec![0.0; 168];
    // Mondays from ten to noon, twice as much in the second hour.
    (sold[10], sold[11]) = (100.0, 200.0);
    let profile = SalesProfile::learnt(&a_week(&sold), &SalesProfile::uniform(), 0.0);
    let monday = Period::starting(TimeFrame::Day, "2017-12-04".parse().expect("a day"));
    let share = |time: &str| profile.elapsed(monday, time.parse::<DateTime<Utc>>().expect("an instant"), New_York);
    assert_eq!((share("2017-12-04T14:59:00Z"), share("2017-12-04T17:00:00Z")), (0.0, 1.0));
    assert!((share("2017-12-04T16:00:00Z") - 1.0 / 3.0).abs() < 1e-9);
    assert!((share("2017-12-04T16:30:00Z") - 2.0 / 3.0).abs() < 1e-9);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Knuth's; the mean is small here.
    fn poisson(&mut self, mean: f64) -> i32 {
        let (end, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > end {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// Products whose sales differ from their forecasts by factors of 0.4 to 2.2: at half-time the live forecast must be nearer to the
/// truth, and also nearer than what was sold with the unchanged rest of the batch forecast.
#[test]
fn at_half_time_it_is_nearer_to_the_truth_than_the_batch_forecast() {
    let mut random = Random(7);
    let (mut live, mut batch, mut unlearnt, mut actual, mut inside) = (0.0, 0.0, 0.0, 0.0, 0);
    let products = 2_000;
    for _ in 0..products {
        let mean = 2.0 + 18.0 * random.unit();
        let factor = 0.4 + 1.8 * random.unit();
        let price = 100 + (900.0 * random.unit()) as i64;
        let forecast = expected((mean * price as f64).round() as i64, price, 0.4, 2.0);
        let (first, second) = (random.poisson(mean * factor / 2.0), random.poisson(mean * factor / 2.0));
        let came = sold(first + second, 1, price).amount.to_f64();
        let at_half = forecast.live(sold(first, 1, price), course(0.5, 1.0));
        live += (at_half.amount.to_f64() - came).abs();
        batch += (forecast.amount.to_f64() - came).abs();
        unlearnt += (sold(first, 1, price).amount.to_f64() + forecast.amount.to_f64() / 2.0 - came).abs();
        actual += came;
        inside += i32::from(at_half.interval.low.to_f64() <= came && came <= at_half.interval.high.to_f64());
    }
    let (live, batch, unlearnt) = (live / actual, batch / actual, unlearnt / actual);
    let coverage = f64::from(inside) / f64::from(products);
    assert!(live < 0.6 * batch && live < 0.95 * unlearnt, "WAPE live {live:.3}, batch {batch:.3}, sold and half the batch {unlearnt:.3}");
    assert!((0.7..0.97).contains(&coverage), "{coverage}");
}

/// A hundred weeks of categories whose lines come in baskets, on days that are good or bad.
fn baskets(random: &mut Random, lines: i32, good: f64) -> HourlySales {
    let monday: ShopDay = "2016-01-04".parse().expect("a day");
    let mut sold = HourlySales::none(monday, 100 * 7);
    for day in 0..100 * 7 {
        let rate = if random.unit() < 0.5 { 1.0 + good } else { 1.0 - good };
        for hour in 8..20 {
            let baskets = random.poisson(2.0 * rate);
            sold.add(monday + day, hour, f64::from(baskets * lines) * 3.0, f64::from(baskets * lines));
        }
    }
    sold
}

#[test]
fn dispersion_is_that_of_baskets_within_the_day_and_of_good_days_within_the_week() {
    let dispersion = |lines, good| {
        let sold = baskets(&mut Random(3), lines, good);
        let profile = SalesProfile::learnt(&sold, &SalesProfile::uniform(), 0.0);
        Scatter::of(&sold, &profile).dispersion(Dispersion::POISSON, 0.0)
    };
    let single = dispersion(1, 0.0);
    assert!((0.95..1.1).contains(&single.of_hours) && (0.9..1.2).contains(&single.of_days), "{single:?}");
    // Lines that come four at a time scatter four times as much.
    let fours = dispersion(4, 0.0);
    assert!((3.7..4.4).contains(&fours.of_hours) && (3.4..4.8).contains(&fours.of_days), "{fours:?}");
    // Days that sell .7 or 1.3 of 24 lines: 1 + .09 * 24.
    let good_days = dispersion(1, 0.3);
    assert!((0.95..1.1).contains(&good_days.of_hours) && (2.7..3.7).contains(&good_days.of_days), "{good_days:?}");
    // A week alone tells nothing, and few lines tell less than many.
    let week = a_week(&[1.0; 168]);
    assert_eq!(Scatter::of(&week, &SalesProfile::uniform()), Scatter::default());
    let towards = Dispersion { of_hours: 2.0, of_days: 3.0 };
    assert_eq!(Scatter::default().dispersion(towards, 200.0), towards);
}

/// Days whose lines come three at a time: intervals that know it hold eight of ten, those that do not hold far fewer, and the forecast
/// that knows it is nearer to the truth.
#[test]
fn intervals_hold_as_often_as_they_say_when_lines_come_in_baskets() {
    let score = |dispersion: f64| {
        let mut random = Random(11);
        let (mut inside, mut missed, days) = (0, 0.0, 4_000);
        for _ in 0..days {
            // The forecast expects 30 baskets; its interval knows of baskets and of days that differ by 20 %.
            let factor = 1.0 + 0.2 * ((0..12).map(|_| random.unit()).sum::<f64>() - 6.0);
            let half = 1.2816 * (0.04_f64 + 1.0 / 30.0).sqrt();
            let forecast = expected(90 * 300, 300, 1.0 - half, 1.0 + half);
            let (first, second) = (random.poisson(15.0 * factor.max(0.1)), random.poisson(15.0 * factor.max(0.1)));
            let live = forecast.live(sold(3 * first, 1, 300), course(0.5, dispersion));
            let came = sold(3 * (first + second), 1, 300).amount;
            inside += i32::from(live.interval.low <= came && came <= live.interval.high);
            missed += (live.amount - came).to_f64().abs();
        }
        (f64::from(inside) / f64::from(days), missed)
    };
    let ((knowing, near), (blind, far)) = (score(3.0), score(1.0));
    assert!((0.77..0.83).contains(&knowing) && blind < 0.7, "{knowing} {blind}");
    assert!(near < far, "{near} {far}");
}

/// Lists of products of which most sell less than once: the chances that begin as those of the forecasts become certain with what is sold,
/// are always nearer to what comes than those of the beginning, and come true as often as they say.
#[test]
fn chances_of_lists_come_true_and_become_certain() {
    let parts = [0.0, 0.3, 0.6, 0.9, 1.0];
    let mut scores = parts.map(|_| (0.0_f64, 0.0_f64, 0.0_f64, [(0.0_f64, 0.0_f64, 0.0_f64); 4]));
    let mut random = Random(5);
    for _ in 0..150 {
        let mut products: Vec<(Expected, i64, Vec<i32>)> = (0..80)
            .map(|_| {
                let mean = 0.05 * 160.0_f64.powf(random.unit());
                let factor = 0.4 + 1.2 * random.unit();
                let price = 100 + (400.0 * random.unit()) as i64;
                let pieces = parts.windows(2).map(|part| random.poisson(mean * factor * (part[1] - part[0]))).collect();
                (expected((mean * price as f64).round() as i64, price, 0.0, 1.9), price, pieces)
            })
            .collect();
        products.sort_by_key(|(expected, ..)| -expected.amount.cents());
        let whole = expected(products.iter().map(|(expected, ..)| expected.amount.cents()).sum(), 250, 0.8, 1.2);
        let until = |product: &(Expected, i64, Vec<i32>), part: usize| sold(product.2[..part].iter().sum(), 1, product.1);
        let mut came: Vec<(i64, usize)> =
            products.iter().enumerate().map(|(at, product)| (-until(product, parts.len() - 1).amount.cents(), at)).collect();
        came.sort_unstable();
        let best: Vec<usize> = came.iter().take(10).filter(|(amount, _)| *amount < 0).map(|(_, at)| *at).collect();
        for (part, (elapsed, score)) in parts.iter().zip(&mut scores).enumerate() {
            let sums: Vec<(Expected, Sums)> = products.iter().map(|product| (product.0, until(product, part))).collect();
            let all = sums.iter().fold(Sums::NONE, |sum, (_, sold)| sum + *sold);
            let live = whole.live_parts(all, &sums, course(*elapsed, 1.0));
            let before = chances(&live.iter().map(|live| live.before).collect::<Vec<_>>());
            let now = chances(&live.iter().map(|live| live.now).collect::<Vec<_>>());
            for at in 0..products.len() {
                // What is published is that of the beginning here.
                let chance = moved_chance(Some(before[at][1]), before[at][1], now[at][1]);
                let is_in = f64::from(u8::from(best.contains(&at)));
                score.0 += (chance - is_in).powi(2);
                score.1 += chance;
                score.2 += is_in;
                let bin = &mut score.3[((chance * 4.0) as usize).min(3)];
                (bin.0, bin.1, bin.2) = (bin.0 + chance, bin.1 + is_in, bin.2 + 1.0);
            }
        }
    }
    let count = 150.0 * 80.0;
    for pair in scores.windows(2) {
        assert!(pair[1].0 < 0.9 * pair[0].0, "it becomes more certain: {} to {} of {count}", pair[0].0, pair[1].0);
    }
    for (elapsed, (_, said, came, bins)) in parts.iter().zip(&scores) {
        assert!((said - came).abs() < 0.01 * count, "at {elapsed}: said {said}, came {came}");
        for (said, came, count) in bins.iter().filter(|bin| bin.2 > 200.0) {
            assert!((said - came).abs() < 0.07 * count, "at {elapsed}: said {}, came {} of {count}", said / count, came / count);
        }
    }
    assert!(scores[4].0 < 0.001 * count, "at the end nothing is left to chance: {}", scores[4].0);
}
