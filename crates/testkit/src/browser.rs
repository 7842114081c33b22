//! A headless Chromium with a profile of its own, driven over WebDriver. Where it is not installed the test fails and
//! says what to install.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::console::Console;
use crate::folder::TestDir;
use crate::program::free_port;
use crate::wait::{until, until_some};

/// How long a page may take to show what it must.
const PATIENCE: Duration = Duration::from_secs(10);

/// Size of the page in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewport {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Viewport {
    /// A laptop.
    pub const DESKTOP: Self = Self { width: 1280, height: 900 };
    /// A phone held upright.
    pub const PHONE: Self = Self { width: 390, height: 844 };
}

/// A browser with one page. Call [`Browser::close`] at the end; when dropped without, its processes are killed.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    console: Console,
    driver: Child,
    profile: TestDir,
}

impl Browser {
    /// Starts chromedriver on a free port and Chromium under it.
    ///
    /// # Errors
    /// When `chromium` or `chromedriver` is not installed or does not start.
    pub async fn start() -> Result<Self> {
        let chromium = find("chromium")
            .or_else(|| find("google-chrome"))
            .context("no `chromium` on this machine: apt-get install chromium chromium-driver")?;
        let chromedriver = find("chromedriver").context("no `chromedriver` on this machine: apt-get install chromium chromium-driver")?;
        let profile = TestDir::new("browser")?;
        let port = free_port()?;
        let driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start `chromedriver`")?;
        let address = format!("http://127.0.0.1:{port}");
        let status = format!("{address}/status");
        until("chromedriver", PATIENCE, || async { reqwest::get(&status).await.is_ok() }).await?;
        let client = connect(&address, &chromium, profile.path()).await?;
        let session = client.session_id().await?.context("chromedriver gave no session")?;
        let browser = Self { client, console: Console::of(&address, &session), driver, profile };
        browser.set_viewport(Viewport::DESKTOP).await?;
        Ok(browser)
    }

    /// Opens `url` and waits until it is loaded.
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn goto(&self, url: &str) -> Result<()> {
        self.client.goto(url).await.with_context(|| format!("cannot open `{url}`"))
    }

    /// The address that is shown.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn url(&self) -> Result<String> {
        Ok(self.client.current_url().await?.to_string())
    }

    /// Gives the page another size.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn set_viewport(&self, viewport: Viewport) -> Result<()> {
        let phone = viewport.width < 600;
        let metrics = json!({ "width": viewport.width, "height": viewport.height, "deviceScaleFactor": 1, "mobile": phone });
        self.console.devtools("Emulation.setDeviceMetricsOverride", metrics).await
    }

    /// Sets one preference of the reader, such as `prefers-color-scheme` to `dark`.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn prefer(&self, feature: &str, value: &str) -> Result<()> {
        self.console.devtools("Emulation.setEmulatedMedia", json!({ "features": [{ "name": feature, "value": value }] })).await
    }

    /// The value of a JavaScript expression in the page.
    ///
    /// # Errors
    /// When it throws.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        self.client.execute(&format!("return {expression};"), vec![]).await.with_context(|| format!("cannot evaluate `{expression}`"))
    }

    /// Waits until an element is there and returns its text as it is shown.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn text(&self, css: &str) -> Result<String> {
        let element =
            self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.with_context(|| format!("no `{css}` in the page"))?;
        Ok(element.text().await?)
    }

    /// Number of elements that match.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn count(&self, css: &str) -> Result<usize> {
        Ok(self.client.find_all(Locator::Css(css)).await?.len())
    }

    /// Waits until the text of an element contains `text`.
    ///
    /// # Errors
    /// When it does not within `limit`; the message has what it says instead.
    pub async fn wait_for_text(&self, css: &str, text: &str, limit: Duration) -> Result<()> {
        let seen = std::sync::Mutex::new(String::new());
        let found = until_some(&format!("`{text}` in `{css}`"), limit, || async {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            let shown = element.text().await.ok()?;
            let found = shown.contains(text);
            if let Ok(mut seen) = seen.lock() {
                *seen = shown;
            }
            found.then_some(())
        })
        .await;
        found.with_context(|| format!("`{css}` says `{}`", seen.lock().map(|seen| seen.clone()).unwrap_or_default()))
    }

    /// Clicks the first element that matches, as a person does: it must be visible and not covered.
    ///
    /// # Errors
    /// When there is none or it cannot be clicked.
    pub async fn click(&self, css: &str) -> Result<()> {
        let element =
            self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.with_context(|| format!("no `{css}` in the page"))?;
        element.click().await.with_context(|| format!("cannot click `{css}`"))
    }

    /// Types into whatever has the focus.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn type_keys(&self, keys: &str) -> Result<()> {
        Ok(self.client.active_element().await?.send_keys(keys).await?)
    }

    /// Presses one special key, such as [`Key::Down`], on whatever has the focus.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn press(&self, key: Key) -> Result<()> {
        self.type_keys(&char::from(key).to_string()).await
    }

    /// Errors in the console since the last call.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn console_errors(&self) -> Result<Vec<String>> {
        self.console.errors().await
    }

    /// By how many pixels the page is wider than the viewport; 0 for a page that does not scroll sideways.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn sideways_overflow(&self) -> Result<i64> {
        let pixels = self
            .eval("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - document.documentElement.clientWidth")
            .await?;
        pixels.as_i64().context("the page has no width")
    }

    /// Writes a picture of what is shown, as PNG.
    ///
    /// # Errors
    /// When it cannot be taken or written.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        let picture = self.client.screenshot().await.context("cannot take a picture")?;
        ensure!(picture.starts_with(b"\x89PNG"), "the picture is no PNG");
        tokio::fs::write(file, picture).await.with_context(|| format!("cannot write `{}`", file.display()))
    }

    /// The WebDriver client itself, for what has no method here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the browser and waits for it.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn close(mut self) -> Result<()> {
        self.client.clone().close().await.context("cannot close the browser")?;
        self.driver.kill().await.context("cannot end chromedriver")?;
        drop(self.profile);
        Ok(())
    }
}

async fn connect(address: &str, chromium: &str, profile: &Path) -> Result<Client> {
    let options = json!({
        "binary": chromium,
        "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars", format!("--user-data-dir={}", profile.display()),
        ],
    });
    let mut capabilities = fantoccini::wd::Capabilities::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(address)
        .await
        .context("chromium does not start: does `chromium --version` work, and is chromedriver of the same version?")
}

/// The path of a program, looked for in `PATH`.
fn find(program: &str) -> Option<String> {
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file())?;
    found.to_str().map(str::to_owned)
}
