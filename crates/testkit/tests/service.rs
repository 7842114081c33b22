//! Real servers start, serve, and are gone with whoever started them.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sellcast_testkit::{MySql, MySqlKind, Postgres, TestDir, free_port, until};
use sqlx::{Connection, MySqlConnection, PgConnection};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_keeps_its_data_over_a_restart_and_is_gone_when_dropped() -> anyhow::Result<()> {
    let server = Postgres::start()?;
    let url = server.database().await?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("create table kept (n int); insert into kept values (7)").execute(&mut connection).await?;
    server.service().stop()?;
    assert!(PgConnection::connect(&url).await.is_err(), "it was stopped");
    server.service().restart()?;
    let kept: i32 = sqlx::query_scalar("select n from kept").fetch_one(&mut PgConnection::connect(&url).await?).await?;
    assert_eq!(kept, 7);
    let (port, folder) = (server.service().port(), server.service().folder().to_owned());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err() && !folder.exists());
    Ok(())
}

#[tokio::test]
async fn a_server_ends_with_its_owner_however_that_ends() -> anyhow::Result<()> {
    let (folder, port) = (TestDir::new("owned")?, free_port()?);
    let mut owner = Command::new("sleep").arg("600").spawn()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services/postgres.sh");
    let inside = folder.join("server");
    std::fs::create_dir(&inside)?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let started = Command::new(script)
        .arg("up")
        .env("SERVICE_DIR", &inside)
        .env("SERVICE_PORT", port.to_string())
        .env("SERVICE_OWNER", owner.id().to_string())
        .stdin(Stdio::null())
        .output()?;
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    TcpStream::connect(("127.0.0.1", port))?;
    owner.kill()?;
    owner.wait()?;
    until("the server's end", PATIENCE, || async { TcpStream::connect(("127.0.0.1", port)).is_err() && !inside.exists() }).await
}

#[tokio::test]
async fn tests_share_a_server_and_not_a_database() -> anyhow::Result<()> {
    for kind in [MySqlKind::MariaDb, MySqlKind::MySql] {
        let (one, other) = (MySql::shared(kind)?.database().await?, MySql::shared(kind)?.database().await?);
        assert_ne!(one, other);
        sqlx::raw_sql("create table mine (n int)").execute(&mut MySqlConnection::connect(&one).await?).await?;
        let tables: Vec<String> = sqlx::query_scalar("show tables").fetch_all(&mut MySqlConnection::connect(&other).await?).await?;
        assert!(tables.is_empty(), "{tables:?}");
    }
    Ok(())
}
