//! `sellcast backtest`.

use clap::Args;
use sellcast_domain::{Metrics, ShopDay, TimeFrame};
use sellcast_forecast::{Backtest as Plan, BacktestReport, Groups, ListCalls, ModelKind};

use super::{Failure, Place, now, print, print_json};
use crate::progress::Reporter;

#[derive(Args)]
pub(super) struct Backtest {
    #[command(flatten)]
    place: Place,
    /// day, week, month, quarter, half_year or year.
    #[arg(long)]
    frame: TimeFrame,
    /// Origins, comma-separated (default: eight Mondays, for the day frame 28 days, that end a week before the last sale).
    #[arg(long, value_delimiter = ',', value_name = "DAYS")]
    origins: Vec<ShopDay>,
    /// Number of categories that are scored, those with the highest sales before the first origin.
    #[arg(long, default_value_t = 100)]
    categories: usize,
    /// Models to train beside the core, comma-separated, instead of the configured ones; a wrong name lists them all.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    models: Vec<ModelKind>,
    /// As if no promotion were announced before its period.
    #[arg(long)]
    without_promotions: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Backtest {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("backtest").await?;
        let mut forecaster = engine.forecaster().await?;
        if !self.models.is_empty() {
            forecaster = forecaster.training(self.models.iter().copied().collect());
        }
        if self.without_promotions {
            forecaster = forecaster.without_planned_promotions();
        }
        let panel = forecaster.panel();
        let mut plan = Plan::usual(self.frame, panel.first_day(), panel.last_day());
        if !self.origins.is_empty() {
            let mut origins = self.origins.clone();
            origins.sort();
            plan = Ok(Plan { frame: self.frame, origins, categories: self.categories });
        }
        let mut plan = plan?;
        plan.categories = self.categories;
        let reporter = Reporter::new();
        let now = now(&engine.config, None, Some(panel.last_day() + 1));
        let report = forecaster.backtest(&plan, now, &|step| reporter.line(step)).await;
        reporter.done();
        let report = report?;
        if self.json {
            return print_json(&report);
        }
        print(&table(&report));
        Ok(())
    }
}

fn table(report: &BacktestReport) -> String {
    let header = format!("{:<18}  P@5    P@10   NDCG   WAPE    bias    cover  ECE    Brier  weight", "model");
    let number = |value: Option<f64>| value.map_or("     -".to_owned(), |v| format!("{v:6.3}"));
    let line = |name: &str, m: &Metrics| {
        format!(
            "{name:<18} {:6.3} {:6.3} {:6.3} {} {:>7} {} {} {} {}",
            m.precision_at_5,
            m.precision_at_10,
            m.ndcg_at_10,
            number(m.wape),
            m.bias.map_or("-".to_owned(), |b| format!("{b:+.3}")),
            number(m.coverage_80),
            number(m.ece),
            number(m.brier),
            number(report.weights.get(name).copied()),
        )
    };
    let mut lines = vec![format!("{} frame, {} origins, {:.0} s", report.frame, report.origins.len(), report.seconds), header];
    lines.extend(report.models.iter().map(|(name, metrics)| line(name, metrics)));
    lines.push("the categories themselves".into());
    lines.extend(report.categories.iter().map(|(name, metrics)| line(name, metrics)));
    lines.extend(groups(&report.groups));
    let launches = report.launch_weights.iter().map(|(days, weight)| format!("{days} days {weight:.2}"));
    lines.push(format!("weight of launch curves: {}", launches.collect::<Vec<_>>().join(", ")));
    lines.join("\n")
}

/// The published forecast by group.
fn groups(groups: &Groups) -> Vec<String> {
    let share = |value: Option<f64>| value.map_or("     -".to_owned(), |v| format!("{v:6.3}"));
    let line = |name: String, items: u64, (wape, bias, cover): (Option<f64>, Option<f64>, Option<f64>)| {
        format!("{name:<18} {items:>8} {} {:>7} {}", share(wape), bias.map_or("-".to_owned(), |b| format!("{b:+.3}")), share(cover))
    };
    let mut lines = vec![format!("{:<18}    items  WAPE    bias    cover", "days on sale")];
    lines.extend(groups.ages.iter().map(|age| line(age.days.to_owned(), age.items, (age.wape, age.bias, age.coverage_80))));
    lines.push("the largest categories".into());
    lines.extend(groups.categories.iter().map(|c| line(c.category_id.to_string(), c.items, (c.wape, c.bias, c.coverage_80))));
    for (title, lists) in [("confidence shown", &groups.lists), ("chance of each", &groups.chances)] {
        lines.push(format!("{title:<18}    calls  base   Brier  of base skill   ECE"));
        lines.extend(lists.iter().map(calls));
    }
    lines.push(format!("{:<18}    calls    from      to  said  came", "factors"));
    lines.extend(groups.factors.iter().map(|third| {
        let name = if third.third == "lowest" { third.factor } else { "" };
        format!("{name:<19} {:>8}  {:6.3}  {:6.3} {:5.3} {:5.3}", third.calls, third.from, third.to, third.confidence, third.came_true)
    }));
    lines
}

fn calls(list: &ListCalls) -> String {
    format!(
        "top {:<14} {:>8} {:6.3} {:6.3} {:6.3} {} {:6.3}",
        list.k,
        list.calls,
        list.base_rate,
        list.brier,
        list.brier_base,
        list.skill.map_or("      -".to_owned(), |skill| format!("{skill:+7.3}")),
        list.ece
    )
}
