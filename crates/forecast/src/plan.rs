//! Which origins a frame trains and calibrates on, and whether its history suffices at all.

use sellcast_domain::{Period, ShopDay, TimeFrame};

/// Days of lags that a training row needs before its origin.
const LEAST_HISTORY_DAYS: i64 = 56;
/// Most days for which calibration lets one training speak: forecasts by older models are worse than those that are published,
/// and what is learnt from them is too cautious.
const MOST_DAYS_A_MODEL: i64 = 28;

/// The origins of one frame for a forecast at one as_of. Every target in it ends before as_of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramePlan {
    /// The frame.
    pub frame: TimeFrame,
    /// Origins to train on, newest first.
    pub training: Vec<ShopDay>,
    /// Origins to learn weights and calibration on, oldest first, parted by the models that speak at them.
    pub calibration: Vec<Calibration>,
}

/// Calibration origins that one training speaks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// The origins, oldest first.
    pub origins: Vec<ShopDay>,
    /// Origins to train on, newest first: their targets end before the first of `origins`.
    pub training: Vec<ShopDay>,
}

/// Numbers of origins and the days between them, by frame: enough rows to train on, few enough to train in seconds.
const fn shape(frame: TimeFrame) -> (usize, usize, i64) {
    match frame {
        TimeFrame::Day => (14, 7, 1),
        TimeFrame::Week => (12, 8, 7),
        TimeFrame::Month => (12, 6, 7),
        _ => (10, 5, 7),
    }
}

impl FramePlan {
    /// The plan for `as_of` with sales since `first_day`; `None` when the history cannot train the frame. It can when,
    /// after eight weeks of lags, two targets follow each other without overlap.
    pub fn new(frame: TimeFrame, first_day: ShopDay, as_of: ShopDay) -> Option<Self> {
        if as_of.days_since(first_day) < LEAST_HISTORY_DAYS + 2 * frame.typical_days() {
            return None;
        }
        let (trained, calibrated, step) = shape(frame);
        let earliest = first_day + LEAST_HISTORY_DAYS;
        let training = origins(frame, as_of, step, earliest, trained);
        let mut calibration = origins(frame, as_of, step, earliest, calibrated);
        calibration.reverse();
        // Give the calibration up from its old end until something is left to train on before it.
        while let Some(first) = calibration.first() {
            let trainable = origins(frame, *first, step, earliest, 3).len();
            if trainable >= 3 || (calibration.len() == 1 && trainable > 0) {
                break;
            }
            calibration.remove(0);
        }
        let parts = (calibration.len() * step as usize).div_ceil(MOST_DAYS_A_MODEL as usize).max(1);
        let calibration: Vec<_> = calibration
            .chunks(calibration.len().div_ceil(parts).max(1))
            .map(|part| Calibration { origins: part.to_vec(), training: origins(frame, part[0], step, earliest, trained) })
            .collect();
        (!training.is_empty() && !calibration.is_empty()).then_some(Self { frame, training, calibration })
    }

    /// Origins of calibration alone, for frames or stages without trained models: at most four, of long frames three, because
    /// their periods overlap.
    pub fn baseline_calibration(frame: TimeFrame, first_day: ShopDay, as_of: ShopDay) -> Vec<ShopDay> {
        // Few are enough for averages, and the first page waits for their features. Days share those of the weeks.
        let most = if frame.typical_days() > 7 { 3 } else { 4 };
        let earliest = first_day + LEAST_HISTORY_DAYS.min(as_of.days_since(first_day) / 3);
        let mut days = origins(frame, as_of, 7, earliest, most);
        days.reverse();
        days
    }
}

/// Newest first: days `step` apart whose period ends before `before`, none earlier than `earliest`.
fn origins(frame: TimeFrame, before: ShopDay, step: i64, earliest: ShopDay, most: usize) -> Vec<ShopDay> {
    // On a grid back from as_of, so that frames with the same step share its feature sets too.
    let mut newest = before - step;
    while Period::starting(frame, newest).last_day() >= before {
        newest = newest - step;
    }
    (0..most as i64).map(|i| newest - i * step).take_while(|origin| *origin >= earliest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> ShopDay {
        text.parse().expect("a day")
    }

    #[test]
    fn no_target_reaches_into_what_it_is_learnt_for() {
        for frame in TimeFrame::ALL {
            for as_of in ["2017-10-30", "2017-12-01", "2018-01-01", "2019-03-31"] {
                let as_of = day(as_of);
                let Some(plan) = FramePlan::new(frame, day("2017-01-01"), as_of) else { continue };
                let ends = |origins: &[ShopDay]| origins.iter().map(|o| Period::starting(frame, *o).last_day()).max().expect("one");
                assert!(ends(&plan.training) < as_of, "{frame}");
                for Calibration { origins, training } in &plan.calibration {
                    assert!(ends(origins) < as_of, "{frame}");
                    assert!(ends(training) < origins[0], "{frame}");
                    assert!(origins[origins.len() - 1].days_since(origins[0]) < MOST_DAYS_A_MODEL, "{frame}");
                }
            }
        }
    }

    #[test]
    fn eleven_months_train_all_but_the_longest_frames() {
        let can = |frame| FramePlan::new(frame, day("2017-01-01"), day("2017-12-01")).is_some();
        assert!(can(TimeFrame::Day) && can(TimeFrame::Week) && can(TimeFrame::Month) && can(TimeFrame::Quarter));
        assert!(!can(TimeFrame::HalfYear) && !can(TimeFrame::Year));
    }
}
