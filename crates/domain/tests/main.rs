//! The arrows between the crates, read from cargo itself: they are what keeps the product simple.

mod windows;

use std::process::Command;

/// Names of the packages that `package` builds on, itself included.
fn builds_on(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn check(package: &str, never: &[&str]) {
    let packages = builds_on(package);
    assert!(packages.iter().any(|name| name == package), "{packages:?}");
    for name in never {
        assert!(!packages.iter().any(|package| package == name), "`{package}` must not build on `{name}`");
    }
}

#[test]
fn the_domain_knows_no_runtime_and_no_engine() {
    check("sellcast-domain", &["tokio", "datafusion", "sqlx", "axum"]);
}

#[test]
fn the_server_reads_published_documents_only() {
    check("sellcast-server", &["sellcast-warehouse", "sellcast-features", "sellcast-forecast", "datafusion", "deltalake"]);
}

#[test]
fn the_warehouse_knows_neither_forecasts_nor_pages() {
    check("sellcast-warehouse", &["sellcast-features", "sellcast-forecast", "sellcast-store", "axum"]);
}

#[test]
fn the_batch_side_knows_no_store() {
    check("sellcast-forecast", &["sellcast-store", "sellcast-server", "redb"]);
}
