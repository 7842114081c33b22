//! The honest fall-back for frames that the history cannot train: the next shorter frame's forecast scaled up, with
//! wider intervals, lower confidence, and a sentence that says so.

use sellcast_domain::{Period, Stage, TimeFrame, TopK};

use crate::cold_start::Launches;
use crate::forecaster::FrameForecast;
use crate::ledger::ForecastPeriod;

/// Extends `shorter` to `frame`. `seasonal` is the ratio of daily sales in the longer to the shorter period a year ago.
pub(crate) fn extend(shorter: &FrameForecast, frame: TimeFrame, history_days: i64, seasonal: f64) -> FrameForecast {
    let base = &shorter.forecast;
    let period = Period::starting(frame, base.period.start());
    let ratio = period.days() as f64 / base.period.days() as f64;
    let scale = (ratio * seasonal) as f32;
    let scaled = |values: &[f32]| -> Vec<f32> { values.iter().map(|value| value * scale).collect() };
    let amount = scaled(&base.amount);
    // Errors of consecutive periods are partly shared: relative intervals widen with the square root of the length.
    let widening = (ratio as f32).sqrt().min(2.0);
    let wider = |row: usize, (low, high): (f32, f32)| {
        let (amount, low, high) = (base.amount[row] * scale, low * scale, high * scale);
        ((amount - (amount - low) * widening).max(0.0), amount + (high - amount) * widening)
    };
    let (low, high) = (0..base.len()).map(|row| wider(row, (base.low[row], base.high[row]))).unzip();
    let wide = base.wide.iter().enumerate().map(|(row, wide)| wider(row, *wide)).collect();
    let sizes = sizes(base);
    // Towards the chance of an order by lot.
    let less_sure = |row: usize, k: TopK, said: f32| {
        let chance = (f64::from(k.get()) / f64::from(sizes[&base.categories[row]]).max(1.0)).min(1.0);
        (chance + (f64::from(said) - chance) / ratio.sqrt().min(2.0)) as f32
    };
    let confidence = (0..base.len()).map(|row| less_sure(row, TopK::holding(base.rank[row]), base.confidence[row])).collect();
    let all = |(row, chances): (usize, &[f32; 5])| TopK::ALL.map(|k| less_sure(row, k, chances[k.index()]));
    let chances = base.chances.iter().enumerate().map(all).collect();
    let mut forecast = ForecastPeriod {
        period,
        stage: Stage::Baselines,
        candidates: [("scaled".to_owned(), amount.clone())].into(),
        launches: Launches::default(),
        amount,
        quantity: scaled(&base.quantity),
        units: scaled(&base.units),
        low,
        high,
        wide,
        chances,
        confidence,
        ..base.clone()
    };
    forecast.category_confidence = shorter.learned.category_confidences(&forecast, shorter.factor * widening);
    let season = if (seasonal - 1.0).abs() > 1e-9 { " and last year's season" } else { "" };
    let fallback = format!(
        "{history_days} days of sales are too few to train a {} forecast, which needs two such periods after eight weeks: this is the {} forecast scaled up by its length{season}, with wider ranges and less certainty",
        name(frame),
        name(base.period.frame()),
    );
    FrameForecast {
        forecast,
        learned: shorter.learned.clone(),
        factor: shorter.factor * widening,
        fallback: Some(fallback),
        based_on: shorter.based_on,
    }
}

pub(crate) fn name(frame: TimeFrame) -> &'static str {
    match frame {
        TimeFrame::Day => "day",
        TimeFrame::Week => "week",
        TimeFrame::Month => "month",
        TimeFrame::Quarter => "quarter",
        TimeFrame::HalfYear => "half-year",
        TimeFrame::Year => "year",
    }
}

fn sizes(forecast: &ForecastPeriod) -> std::collections::HashMap<sellcast_domain::CategoryId, u32> {
    let mut sizes = std::collections::HashMap::new();
    for category in &forecast.categories {
        *sizes.entry(*category).or_default() += 1;
    }
    sizes
}
