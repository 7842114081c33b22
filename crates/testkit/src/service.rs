//! Real servers, started by the scripts that `./dev services` runs, each on a free port and in a folder of its own. They end
//! when dropped, and also when the process that started them ends in any other way.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::program::free_port;

/// Ports are taken by others between the search for a free one and the server's start: so often is another one tried.
const ATTEMPTS: usize = 3;

/// A running server.
#[derive(Debug)]
pub struct Service {
    script: PathBuf,
    folder: PathBuf,
    port: u16,
    address: String,
}

impl Service {
    /// Starts the server of `scripts/services/<name>.sh`, which installs it first where that is allowed.
    ///
    /// # Errors
    /// When it cannot be installed or does not start; the message says what to do.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[])
    }

    /// The same with arguments of the script's own after `up`.
    ///
    /// # Errors
    /// When it cannot be installed or does not start; the message says what to do.
    pub fn start_with(name: &str, arguments: &[&str]) -> Result<Self> {
        let up: Vec<&str> = std::iter::once("up").chain(arguments.iter().copied()).collect();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services").join(format!("{name}.sh"));
        let mut refusals = Vec::new();
        for _ in 0..ATTEMPTS {
            let folder = tempfile::Builder::new().prefix(&format!("sellcast-{name}-")).tempdir().context("cannot make a folder")?.keep();
            let mut service = Self { script: script.clone(), folder, port: free_port()?, address: String::new() };
            let output = service.act(&up)?;
            if output.status.success() {
                String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut service.address);
                return Ok(service);
            }
            refusals.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        bail!("cannot start {name}: {}", refusals.join("; "))
    }

    /// Its address, as its script prints it: for databases a URL with user and password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, with its logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends it, as an operator does. Its data stay until it is dropped.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        self.expect(&["down"])
    }

    /// Starts it again with its data, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<()> {
        self.expect(&["up"])
    }

    /// Runs another action of its script.
    ///
    /// # Errors
    /// When the action fails.
    pub fn expect(&self, arguments: &[&str]) -> Result<()> {
        let output = self.act(arguments)?;
        if !output.status.success() {
            let action = arguments.join(" ");
            bail!("`{} {action}` failed: {}", self.script.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn act(&self, arguments: &[&str]) -> Result<Output> {
        Command::new(&self.script)
            .args(arguments)
            .env("SERVICE_DIR", &self.folder)
            .env("SERVICE_PORT", self.port.to_string())
            .env("SERVICE_OWNER", std::process::id().to_string())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{}`", self.script.display()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.act(&["down"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
