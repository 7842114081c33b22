//! Waiting for a condition with a limit, in place of sleeping and hoping.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until `condition` holds.
///
/// # Errors
/// When it does not hold within `limit`; the message names `what`.
pub async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> Result<()> {
    until_some(what, limit, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await
}

/// Waits until `attempt` gives a value, and returns it.
///
/// # Errors
/// When it gives none within `limit`; the message names `what`.
pub async fn until_some<T, F: Future<Output = Option<T>>>(what: &str, limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return Ok(value);
        }
        if started.elapsed() > limit {
            bail!("waited {:.0?} in vain for {what}", started.elapsed());
        }
        sleep(PAUSE).await;
    }
}
