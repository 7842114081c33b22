//! A small shop in a folder of its own, and the program run on it. Stages that many scenarios begin with (ingested,
//! published, trained) are made once in a run of the tests and copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sellcast_domain::ShopDay;
use sellcast_testkit::{Program, TestDir, TinyShop, until_some};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tokio::sync::OnceCell;

/// No step on so small a shop takes this long, on the slowest of machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// The shop's first day with sales, and the number of days.
pub(crate) const FIRST_DAY: &str = "2017-01-02";
pub(crate) const DAYS: i64 = 120;
/// The first day without sales: what forecasts are made for.
pub(crate) const AS_OF: &str = "2017-05-02";
/// The end of the last day with sales, in New York.
pub(crate) const NOW: &str = "2017-05-02T03:59:59Z";

/// How far a shop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A shop's database and a configuration.
    Mapped,
    /// Its sales are in the warehouse.
    Ingested,
    /// Baselines are published.
    Published,
    /// Models are trained and published.
    Trained,
}

static STAGES: [OnceCell<PathBuf>; 4] = [const { OnceCell::const_new() }; 4];

/// A data folder (`data`) with the shop's database and configuration, in a folder of the test's own.
#[derive(Debug)]
pub(crate) struct Shop {
    folder: TestDir,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The command must have succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The command must have failed with this exit code, in these words, and without a panic.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Its one JSON document.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.done();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
    }
}

impl Shop {
    /// A shop that has come as far as `stage`.
    pub(crate) async fn at(stage: Stage) -> Self {
        let folder = TestDir::new("scenario").expect("a folder");
        copy(&template(stage).await, folder.path());
        Self { folder }
    }

    /// The same as another shop is now, in a folder of its own.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let folder = TestDir::new("scenario").expect("a folder");
        copy(&other.data(), &folder.join("data"));
        Self { folder }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the program's own output goes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command on the data folder to its end.
    pub(crate) async fn run(&self, command: &[&str]) -> Ran {
        run(self.folder.path(), command).await
    }

    /// Starts a command on the data folder.
    pub(crate) fn start(&self, name: &str, command: &[&str]) -> Program {
        Program::start(PROGRAM, name, self.folder.path(), with_data(command)).expect("the program")
    }

    /// Starts a command that is to die at a named point.
    pub(crate) fn start_dying(&self, name: &str, command: &[&str], point: &str) -> Program {
        let environment = [("SELLCAST_FAIL_AT", point)];
        Program::start_with(PROGRAM, name, self.folder.path(), with_data(command), environment).expect("the program")
    }

    /// Serves the data folder on a free port, with its newest forecast.
    pub(crate) async fn serve(&self) -> Server {
        Server::of(self.start("serve", &["serve", "--port", "0"])).await.ready().await
    }

    /// A connection to the shop's own database, as the shop has it.
    pub(crate) async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.data().join("shop.db")).foreign_keys(false);
        options.connect().await.expect("the shop's database")
    }

    /// Changes the shop's database.
    pub(crate) async fn change(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.database().await).await.expect(sql);
    }

    /// Replaces a part of the configuration.
    pub(crate) fn reconfigure(&self, from: &str, to: &str) {
        let file = self.data().join("sellcast.toml");
        let text = fs::read_to_string(&file).expect("the configuration");
        assert!(text.contains(from), "`{from}` is not in the configuration");
        fs::write(&file, text.replace(from, to)).expect("the configuration");
    }

    /// Reads the source as of the shop's last evening.
    pub(crate) async fn ingest(&self) -> Value {
        self.run(&["ingest", "--now", NOW, "--json"]).await.json()
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) program: Program,
}

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, kind, headers, text: response.text().await.expect("a text") }
    }
}

impl Server {
    /// Waits until a started program has told its address and answers there.
    pub(crate) async fn of(mut program: Program) -> Self {
        let told = until_some("an address on stdout", PATIENCE, || async { address_in(&program.stdout()) }).await;
        let url = told.unwrap_or_else(|error| panic!("{error}: {}", program.stderr()));
        program.wait_for(&format!("{url}/health/live"), PATIENCE).await.expect("an answer");
        Self { url, program }
    }

    /// Waits until the newest forecast is loaded.
    pub(crate) async fn ready(mut self) -> Self {
        self.program.wait_for(&format!("{}/health/ready", self.url), PATIENCE).await.expect("a forecast");
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(reqwest::Client::new().get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn graphql(&self, query: &str) -> Answer {
        let body = serde_json::json!({ "query": query });
        Answer::of(reqwest::Client::new().post(format!("{}/graphql", self.url)).json(&body)).await
    }

    /// A list of the API that must be there.
    pub(crate) async fn list(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// Ends it politely.
    pub(crate) async fn stop(mut self) {
        let status = self.program.terminate(Duration::from_secs(20)).await.expect("an end");
        assert!(status.success(), "{status}: {}", self.program.stderr());
    }
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sellcast");

/// Runs a command to its end in `folder`, on the data folder `data` in it.
pub(crate) async fn run(folder: &Path, command: &[&str]) -> Ran {
    run_plain(folder, &with_data(command)).await
}

/// Runs the program with exactly these arguments.
pub(crate) async fn run_plain(folder: &Path, arguments: &[&str]) -> Ran {
    let name = format!("{}-{}", arguments.first().unwrap_or(&"none").trim_start_matches('-'), uuid::Uuid::now_v7());
    let mut program = Program::start(PROGRAM, &name, folder, arguments).expect("the program");
    let status = program.wait(PATIENCE).await.expect("an end");
    Ran { code: status.code(), stdout: program.stdout(), stderr: program.stderr() }
}

fn with_data<'a>(command: &[&'a str]) -> Vec<&'a str> {
    command.iter().copied().chain(["--dir", "data"]).collect()
}

fn address_in(stdout: &str) -> Option<String> {
    let start = stdout.find("http://")?;
    stdout[start..].split_whitespace().next().map(str::to_owned)
}

/// The folder to copy for a stage.
async fn template(stage: Stage) -> PathBuf {
    let made = STAGES[stage as usize].get_or_init(|| async move {
        let folder = templates().join(format!("{stage:?}"));
        let before = match stage {
            Stage::Mapped => None,
            Stage::Ingested => Some(Stage::Mapped),
            Stage::Published => Some(Stage::Ingested),
            Stage::Trained => Some(Stage::Published),
        };
        match before {
            None => write_shop(&folder.join("data")).await,
            Some(before) => copy(&Box::pin(template(before)).await, &folder),
        }
        match stage {
            Stage::Mapped => {}
            Stage::Ingested => drop(run(&folder, &["ingest", "--now", NOW]).await.done()),
            Stage::Published => drop(run(&folder, &["forecast"]).await.done()),
            Stage::Trained => {
                run(&folder, &["train"]).await.done();
                run(&folder, &["forecast"]).await.done();
            }
        }
        folder
    });
    made.await.clone()
}

async fn write_shop(data: &Path) {
    fs::create_dir_all(data).expect("a folder");
    let first_day: ShopDay = FIRST_DAY.parse().expect("a day");
    let builder = TinyShop::builder().products(150).days(first_day, DAYS).orders_a_day(30);
    let shop = builder.write(&data.join("shop.db")).await.expect("a shop");
    assert_eq!(shop.end.to_string(), AS_OF);
    // The same key in each folder, so that the tables of two shops can be compared.
    fs::write(data.join("pseudonym.key"), [7; 32]).expect("a key");
    let config = shop.config().replace(&shop.file().display().to_string(), "shop.db");
    let config = config.replace("country = \"US\"", "country = \"US\"\nclock = \"data\"").replace("level = 2", "level = 2\nrounds = 20");
    fs::write(data.join("sellcast.toml"), config).expect("a configuration");
}

/// The folder of this run's stages; those of earlier runs are cleared away.
fn templates() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let own = root.join(format!("stages-{}", std::process::id()));
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(process) = name.strip_prefix("stages-")
            && !Path::new("/proc").join(process).exists()
        {
            // Another run may clear the same one at the same time.
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
    own
}

/// Copies a folder and what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target)
        } else {
            let _bytes = fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
