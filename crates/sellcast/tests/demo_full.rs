//! The demo on real servers, from the script that a user starts: PostgreSQL, Debezium, Kafka, Redis, Cassandra, an object store, and every
//! role in a process of its own. A few weeks of the year are enough to see sales arrive, nights pass, and live forecasts scored.

use std::fs::Permissions;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sellcast_testkit::{Program, TestDir, free_port, until};

use crate::shop::{PROGRAM, Server};

/// Servers are installed, started and filled, and two nights pass.
const LIMIT: Duration = Duration::from_secs(900);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/demo-full.sh");
const LIST: &str = "/api/v1/predictions/categories?timeFrame=day&limit=10";

/// What a role has written.
fn log(folder: &Path, role: &str) -> String {
    std::fs::read_to_string(folder.join("logs").join(format!("{role}.log"))).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn the_demo_on_real_servers_sells_forecasts_live_and_scores_that() {
    let folder = TestDir::new("demo-full").expect("a folder");
    // Servers that do not run as root pass through it.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("rights");
    let (demo, port) = (folder.join("demo"), free_port().expect("a port").to_string());
    let arguments = ["--dir", "demo", "--port", &port, "--until", "2017-02-01", "--speed", "15s"];
    let script = Program::start_with(SCRIPT, "demo", folder.path(), arguments, [("SELLCAST", PROGRAM)]).expect("the script");
    let mut server = Server { url: format!("http://127.0.0.1:{port}"), program: script };
    server.program.wait_for(&format!("{}/health/ready", server.url), LIMIT).await.expect("a forecast");

    until("a live forecast", LIMIT, || async { server.list(LIST).await["basis"] == "live" }).await.expect("sales arrive");
    let kept = || async { server.get("/metrics").await.text.contains("sellcast_live_generations_total{outcome=\"kept\"}") };
    until("a live generation in Cassandra", LIMIT, kept).await.expect("it is kept");
    until("two nights", LIMIT, || async { log(&demo, "till").contains("2017-02-02 closed") }).await.expect("they pass");
    let scored = || async { server.get("/record?frame=day").await.text.contains("Live, while sales came") };
    until("the scores on the page", LIMIT, scored).await.expect("another process has scored them");
    assert!(log(&demo, "work").contains("live forecasts scored"), "{}", log(&demo, "work"));
    let list = server.list(LIST).await;
    assert!(list["categories"].as_array().is_some_and(|categories| categories.len() == 10), "{list}");
    for role in ["work", "serve", "stream-1", "stream-2", "till"] {
        let log = log(&demo, role);
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{role}: {log}");
    }

    let status = server.program.terminate(LIMIT).await.expect("an end");
    assert_eq!(status.code(), Some(143), "{}", server.program.stderr());
    assert!(server.program.stderr().contains("every process and server is stopped"), "{}", server.program.stderr());
    assert!(TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).is_err(), "nobody serves any more");
}
