//! What WebDriver itself does not have, asked of chromedriver directly: the page's console, exact viewports, and the
//! colour scheme that the reader prefers.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// One session of a chromedriver.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    session: String,
    client: reqwest::Client,
}

impl Console {
    pub(crate) fn of(driver: &str, session: &str) -> Self {
        Self { session: format!("{driver}/session/{session}"), client: reqwest::Client::new() }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let url = format!("{}/{path}", self.session);
        let response = self.client.post(&url).json(&body).send().await.with_context(|| format!("cannot reach chromedriver at `{url}`"))?;
        let status = response.status();
        let answer: Value = response.json().await.context("chromedriver answered no JSON")?;
        ensure!(status.is_success(), "chromedriver refused `{path}`: {answer}");
        Ok(answer["value"].clone())
    }

    /// Runs a command of Chrome's developer protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Result<()> {
        self.post("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await.map(drop)
    }

    /// Errors that were written to the console since the last call: failed requests, exceptions, broken policies.
    pub(crate) async fn errors(&self) -> Result<Vec<String>> {
        let entries = self.post("se/log", json!({ "type": "browser" })).await?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }
}
