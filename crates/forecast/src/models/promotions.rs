//! Which features tell planned promotions, and which rows are under one.

use sellcast_domain::TimeFrame;
use sellcast_features::Definitions;
use serde::{Deserialize, Serialize};

use crate::models::boosted::Table;
use crate::rows::TrainingRows;

/// Fewer rows under promotion than this teach no model of their own.
pub(crate) const LEAST_ROWS: usize = 500;

/// Themes of features about promotions of the target period.
const THEMES: [&str; 4] = ["on display", "in the mailer", "planned promotions", "rivals' promotions"];

/// The features of planned promotions, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// All of them, also of rivals and of other horizons.
    features: Vec<String>,
    /// Those that say of a row that it is itself under promotion in the target period.
    own: Vec<String>,
}

impl Planned {
    /// The planned promotions of a frame's target period; of long frames as far ahead as the features look.
    pub(crate) fn new(definitions: &Definitions, frame: TimeFrame) -> Self {
        let horizon = match frame {
            TimeFrame::Day => "_next_day",
            TimeFrame::Week => "_next_week",
            _ => "_next_month",
        };
        let planned = definitions.features().iter().filter(|definition| THEMES.contains(&definition.theme));
        let features: Vec<String> = planned.map(|definition| definition.name.clone()).collect();
        let own = ["display", "mailer"].map(|kind| format!("{kind}{horizon}")).into_iter().filter(|name| features.contains(name)).collect();
        Self { features, own }
    }

    /// The rows whose product is under promotion in the target period.
    pub(crate) fn promoted<'a>(&self, table: impl Into<Table<'a>>) -> Vec<usize> {
        let table = table.into();
        let places = places(table.names, &self.own);
        let width = table.names.len().max(1);
        table.values.chunks_exact(width).enumerate().filter(|(_, row)| places.iter().any(|at| row[*at] > 0.0)).map(|(row, _)| row).collect()
    }

    /// The rows' values with every planned promotion hidden.
    pub(crate) fn hidden(&self, rows: &TrainingRows) -> Vec<f32> {
        let mut values = rows.values.to_vec();
        self.hide(&rows.names, &mut values);
        values
    }

    /// Hides every planned promotion from row-major `values`.
    pub(crate) fn hide(&self, names: &[String], values: &mut [f32]) {
        let places = places(names, &self.features);
        for row in values.chunks_exact_mut(names.len().max(1)) {
            places.iter().for_each(|at| row[*at] = f32::NAN);
        }
    }
}

fn places(names: &[String], wanted: &[String]) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| wanted.contains(name)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_looks_at_its_own_horizon() {
        let definitions = Definitions::current();
        for (frame, name) in
            [(TimeFrame::Day, "display_next_day"), (TimeFrame::Week, "mailer_next_week"), (TimeFrame::Year, "display_next_month")]
        {
            let planned = Planned::new(&definitions, frame);
            assert!(planned.own.iter().any(|own| own == name), "{planned:?}");
            for told in ["category_display_next_week", "planned_lift_week", "planned_8w"] {
                assert!(planned.features.iter().any(|feature| feature == told), "{told}");
            }
        }
    }
}
