//! Metric names and the recorder behind `/metrics`. One recorder serves the whole process, because the
//! `metrics` facade is global; other crates' metrics appear beside the server's.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::live_sales::LiveSales;

/// Requests by route and status.
pub(crate) const REQUESTS: &str = "sellcast_http_requests_total";
/// Seconds from the first byte in to the head of the answer, by route.
pub(crate) const REQUEST_SECONDS: &str = "sellcast_http_request_seconds";
/// Answers given from the cache of ready answers.
pub(crate) const CACHE_HITS: &str = "sellcast_answer_cache_hits_total";
/// Answers that had to be made.
pub(crate) const CACHE_MISSES: &str = "sellcast_answer_cache_misses_total";
/// Seconds between the making of the current generation and now, by the shop's clock.
pub(crate) const GENERATION_AGE: &str = "sellcast_generation_age_seconds";
/// Open event streams.
pub(crate) const VIEWERS: &str = "sellcast_event_streams";
/// Requests turned away because too many ran at once or one took too long.
pub(crate) const TURNED_AWAY: &str = "sellcast_http_turned_away_total";

/// Seconds between now and the instant up to which all sales are known, by the shop's clock.
const STREAM_AGE: &str = "sellcast_stream_age_seconds";
/// Whether the stream has not come further for longer than it may.
const STREAM_STILL: &str = "sellcast_stream_still";
/// Messages that wait.
const STREAM_LAG: &str = "sellcast_stream_lag_messages";
/// Rows by outcome.
const STREAM_ROWS: &str = "sellcast_stream_rows_total";
/// Events of the source by kind.
const STREAM_CHANGES: &str = "sellcast_stream_changes_total";
/// Live generations by outcome.
pub(crate) const LIVE_GENERATIONS: &str = "sellcast_live_generations_total";

/// From a tenth of a millisecond, where cached answers are, to the time limit.
const SECONDS_BUCKETS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// Installs the process-wide recorder once and returns its handle; later calls return the same one.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS);
            let recorder = builder.expect("a fixed list of buckets that is not empty").build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed, `/metrics` stays empty");
            }
            describe_counter!(REQUESTS, "Requests by route and status.");
            describe_histogram!(REQUEST_SECONDS, "Seconds until the head of the answer, by route.");
            describe_counter!(CACHE_HITS, "Answers given from the cache.");
            describe_counter!(CACHE_MISSES, "Answers that had to be made.");
            describe_gauge!(GENERATION_AGE, "Age of the current generation by the shop's clock.");
            describe_gauge!(VIEWERS, "Open event streams.");
            describe_gauge!(STREAM_AGE, "Age of the newest instant up to which all sales are known.");
            describe_gauge!(STREAM_STILL, "1 while the stream stands still and published forecasts serve in its place.");
            describe_gauge!(STREAM_LAG, "Messages of the source that are not followed yet.");
            describe_counter!(STREAM_ROWS, "Rows of sales by what became of them, since the windows' state began.");
            describe_counter!(STREAM_CHANGES, "Events of the source by kind; poison are dead letters.");
            describe_counter!(LIVE_GENERATIONS, "Live generations for the prediction store, by outcome.");
            describe_counter!(TURNED_AWAY, "Requests turned away, by reason.");
            handle
        })
        .clone()
}

/// Drains the histograms from time to time, so that they do not grow while nobody reads them.
pub(crate) async fn upkeep(handle: PrometheusHandle, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// Sets what is known of the stream, to be scraped.
pub(crate) fn tell_stream(sales: &dyn LiveSales, now: DateTime<Utc>) {
    let standing = sales.standing();
    if let Some(as_of) = standing.as_of {
        gauge!(STREAM_AGE).set((now - as_of).as_seconds_f64());
    }
    gauge!(STREAM_STILL).set(if standing.is_still { 1.0 } else { 0.0 });
    if let Some(lag) = sales.lag() {
        gauge!(STREAM_LAG).set(lag as f64);
    }
    for (kind, count) in sales.changes() {
        counter!(STREAM_CHANGES, "kind" => kind).absolute(count);
    }
    let Some(rows) = sales.rows() else { return };
    let told = [
        ("applied", rows.applied),
        ("known", rows.known),
        ("late", rows.late),
        ("past", rows.past),
        ("future", rows.future),
        ("moved", rows.moved),
    ];
    for (outcome, count) in told {
        counter!(STREAM_ROWS, "outcome" => outcome).absolute(count);
    }
}
