//! Live forecasts are kept while sales come, scored when their day is over, and shown beside what was published.

use sellcast_testkit::until;

use crate::live::{CATEGORY, DAY, forecast, sell, shop};
use crate::shop::PATIENCE;

const KEPT: &str = "sellcast_live_generations_total{outcome=\"kept\"}";
const SCORED: &str = "live forecasts scored";

#[tokio::test]
async fn a_live_forecast_is_scored_when_its_day_is_over() {
    let shop = shop().await;
    sell(&shop, 900_001, 500_000).await;
    let server = shop.serve().await;
    until("a live generation", PATIENCE, || async { server.get("/metrics").await.text.contains(KEPT) }).await.expect("it is kept");
    let (basis, live) = forecast(&server, DAY, CATEGORY).await;
    assert!(basis == "live" && live > 5_000.0, "{basis} {live}");
    assert!(!server.get("/record?frame=day").await.text.contains("Live, while sales came"));
    server.stop().await;

    shop.run(&["ingest", "--now", "2017-05-03T03:59:59Z"]).await.done();
    let first = shop.run(&["forecast", "--as-of", "2017-05-03"]).await.done();
    assert!(first.stderr.contains(SCORED), "{}", first.stderr);
    let server = shop.serve().await;
    let page = server.get("/record?frame=day").await.text;
    // Five thousand were sold that nobody had foreseen: the live forecast was nearer to the truth.
    let row = page.split("Live, while sales came").nth(1).expect("the table").split("</tr>").nth(1).expect("a row").to_owned();
    assert!(row.contains("0:00\u{a0}– 6:00") && row.contains("class=\"num up\""), "{row}");
    server.stop().await;
    let again = shop.run(&["forecast", "--as-of", "2017-05-03"]).await.done();
    assert!(!again.stderr.contains(SCORED), "once is enough: {}", again.stderr);
}
