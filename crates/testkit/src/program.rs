//! The real program as a child process: started with arguments, waited for by URL, ended politely or by `kill -9`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::wait::until_some;

/// A port on 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When the system gives none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port")?;
    Ok(listener.local_addr().context("cannot read the free port")?.port())
}

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    /// Starts `binary` (in an integration test of its crate: `env!("CARGO_BIN_EXE_sellcast")`) in `folder`, where its
    /// output goes to `<name>.out` and `<name>.err`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        binary: impl AsRef<OsStr>,
        name: &str,
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        Self::start_with(binary, name, folder, arguments, [])
    }

    /// The same with environment variables, such as the name of a point to fail at.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with<'a, S: AsRef<OsStr>>(
        binary: impl AsRef<OsStr>,
        name: &str,
        folder: &Path,
        arguments: impl IntoIterator<Item = S>,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let (stdout, stderr) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).with_context(|| format!("cannot write `{}`", path.display()));
        let child = Command::new(binary.as_ref())
            .args(arguments)
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file(&stdout)?)
            .stderr(file(&stderr)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{}`", binary.as_ref().display()))?;
        Ok(Self { child, name: name.to_owned(), stdout, stderr })
    }

    /// The process, until its end was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until `url` answers with a success.
    ///
    /// # Errors
    /// When the program ends or `limit` passes before that; the message has the end of its output.
    pub async fn wait_for(&mut self, url: &str, limit: Duration) -> Result<()> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().context("cannot make an HTTP client")?;
        let child = std::sync::Mutex::new(&mut self.child);
        let outcome = until_some(&format!("`{url}`"), limit, || async {
            if let Ok(mut child) = child.lock()
                && let Ok(Some(status)) = child.try_wait()
            {
                return Some(Err(status));
            }
            let answer = client.get(url).send().await.ok()?;
            answer.status().is_success().then_some(Ok(()))
        })
        .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("`{}` ended with {status} before `{url}` answered:\n{}", self.name, self.last_words()),
            Err(error) => Err(error.context(self.last_words())),
        }
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => status.with_context(|| format!("cannot wait for `{}`", self.name)),
            Err(_) => bail!("`{}` still runs after {limit:?}:\n{}", self.name, self.last_words()),
        }
    }

    /// Ends it as `kill -9` does: no handler runs, nothing is flushed.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill_9(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot kill `{}`", self.name))
    }

    /// Asks it to end (SIGTERM, as a supervisor does) and waits for that.
    ///
    /// # Errors
    /// When it has ended already, or has not ended within `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        self.wait(limit).await
    }

    /// Sends a signal by its name: `STOP` pauses, `CONT` lets it go on.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().with_context(|| format!("`{}` has ended already", self.name))?;
        let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await.context("cannot run `kill`")?;
        if !sent.success() {
            bail!("cannot signal `{}`", self.name);
        }
        Ok(())
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let output = format!("{}{}", self.stdout(), self.stderr());
        let lines: Vec<_> = output.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
