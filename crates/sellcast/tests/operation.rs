//! What an operator runs into: wrong keys, taken ports, a folder in use, damaged models, a full disk.

use std::fs;
use std::net::TcpListener;

use sellcast_testkit::Program;

use crate::shop::{PATIENCE, PROGRAM, Shop, Stage, run_plain};

const WEEK: &str = "/api/v1/predictions/categories?timeFrame=week&limit=100";

#[tokio::test]
async fn every_command_explains_itself() {
    let shop = Shop::at(Stage::Mapped).await;
    let overview = run_plain(shop.folder(), &["--help"]).await.done().stdout;
    for command in [
        "demo", "init", "check", "ingest", "train", "forecast", "backtest", "models", "replay", "serve", "run", "work", "jobs", "stream",
        "config",
    ] {
        assert!(overview.contains(command), "`{command}` is not in {overview}");
        let help = run_plain(shop.folder(), &[command, "--help"]).await.done().stdout;
        assert!(help.contains("Usage: sellcast") && help.contains(command) && help.lines().count() >= 5, "{help}");
    }
    run_plain(shop.folder(), &["fly"]).await.refused(2, &["fly"]);
    run_plain(shop.folder(), &["backtest", "--frame", "fortnight"]).await.refused(2, &["fortnight", "half_year"]);
    let oracle = ["backtest", "--frame", "week", "--models", "tsb,oracle"];
    run_plain(shop.folder(), &oracle).await.refused(2, &["`oracle`", "`gbm_amount`", "`lambdamart`", "`tsb`"]);
}

/// The allocator tells its options as it starts, first with those of the process as it was begun.
#[cfg(unix)]
#[test]
fn memory_is_kept_for_a_minute_unless_the_environment_says_otherwise() {
    let told = |delay: Option<&str>| {
        let mut version = std::process::Command::new(PROGRAM);
        version.arg("--version").env("MIMALLOC_VERBOSE", "1").env_remove("MIMALLOC_PURGE_DELAY");
        delay.into_iter().for_each(|delay| {
            version.env("MIMALLOC_PURGE_DELAY", delay);
        });
        let done = version.output().expect("it starts");
        assert!(done.status.success() && done.stdout.starts_with(b"sellcast "), "{done:?}");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        told.lines().filter_map(|line| line.strip_prefix("option 'purge_delay': ")).map(|delay| delay.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(None), ["1000", "60000"]);
    assert_eq!(told(Some("5")), ["5"]);
}

#[tokio::test]
async fn an_unknown_configuration_key_is_named() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.reconfigure("rounds = 20", "rouns = 20");
    for command in [["check"], ["ingest"], ["serve"]] {
        shop.run(&command).await.refused(2, &["`forecast", "rouns", "rounds"]);
    }
    shop.reconfigure("rouns = 20", "rounds = 20\nmodels = [\"oracle\"]");
    shop.run(&["check"]).await.refused(2, &["forecast.models", "`oracle`", "`gbm_amount`", "`ets`"]);
    assert!(!shop.data().join("warehouse").exists(), "nothing is made under a wrong configuration");
}

#[tokio::test]
async fn a_folder_without_a_mapping_says_what_to_do() {
    let shop = Shop::at(Stage::Mapped).await;
    fs::remove_file(shop.data().join("sellcast.toml")).expect("the configuration");
    for command in [["check"], ["ingest"]] {
        shop.run(&command).await.refused(2, &["[source]", "sellcast.toml"]);
    }
    shop.run(&["ingest", "--config", "nowhere.toml"]).await.refused(2, &["nowhere.toml"]);
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let shop = Shop::at(Stage::Published).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    shop.run(&["serve", "--port", &port]).await.refused(1, &[&port, "taken", "--port"]);
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_folder() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    for command in [&["ingest"][..], &["forecast"], &["train"], &["serve", "--port", "0"]] {
        shop.run(command).await.refused(1, &["in use by `sellcast serve`", "process"]);
    }
    server.stop().await;
    shop.run(&["models"]).await.done();
}

#[tokio::test]
async fn a_damaged_model_is_refused_and_baselines_take_its_place() {
    let shop = Shop::at(Stage::Trained).await;
    let models = shop.run(&["models", "--json"]).await.json();
    for model in models.as_array().expect("a list") {
        let folder = shop.data().join("models").join(model["version"].as_str().expect("a version"));
        let mut files: Vec<_> = fs::read_dir(&folder).expect("files").map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        for file in files {
            let bytes = fs::read(&file).expect("a file");
            fs::write(&file, &bytes[..bytes.len() / 2]).expect("half a file");
        }
    }
    let ran = shop.run(&["forecast", "--json"]).await.done();
    assert!(ran.stderr.contains("a model is refused"), "{}", ran.stderr);
    assert_eq!(ran.json()["stage"], "baselines");
    let server = shop.serve().await;
    assert_eq!(server.list(WEEK).await["totalCategories"], 20);
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_during_publication_leaves_the_old_generation() {
    let shop = Shop::at(Stage::Published).await;
    let before = {
        let server = shop.serve().await;
        let list = server.list(WEEK).await;
        server.stop().await;
        list
    };
    shop.change("update order_lines set total_price = '99.00', updated_at = '2017-05-02T02:00:00Z' where line_id > 9000").await;
    shop.run(&["ingest", "--now", "2017-05-02T03:59:59Z"]).await.done();
    // No file may grow beyond what the store has now: writing further fails as on a full disk.
    let kibibytes = fs::metadata(shop.data().join("predictions.redb")).expect("the store").len() / 1024;
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" forecast --dir data");
    let mut full = Program::start("bash", "full", shop.folder(), ["-c", &script, PROGRAM]).expect("a shell");
    let status = full.wait(PATIENCE).await.expect("an end");
    let said = full.stderr();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("no room on the disk") && said.contains("former") && !said.contains("panicked"), "{said}");
    let server = shop.serve().await;
    assert_eq!(server.list(WEEK).await, before, "the old generation is served");
    server.stop().await;
    shop.run(&["forecast"]).await.done();
    let server = shop.serve().await;
    assert_ne!(server.list(WEEK).await, before, "with room again the new one is published");
    server.stop().await;
}
