//! `sellcast serve` and `sellcast run`, and how a server is started for any of the commands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use sellcast_domain::{LiveStatus, ShopDay};
use sellcast_server::{AppState, Clock, ServerSettings};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::work::start_nights;
use super::{Failure, Place, print, told_to_stop};
use crate::engine::Engine;
use crate::online;
use crate::stream::Following;
use crate::what_if::Answerer;

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: Place,
    /// Port to listen on (default: of the configuration, 8080; 0 takes a free one).
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Args)]
pub(super) struct Run {
    #[command(flatten)]
    place: Place,
    /// Port to listen on (default: of the configuration, 8080; 0 takes a free one).
    #[arg(long)]
    port: Option<u16>,
}

/// A server that runs until it is told to stop.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
    following: Option<Following>,
}

impl Running {
    /// Binds the port and serves in the background.
    pub(super) async fn start(engine: &Arc<Engine>, port: Option<u16>) -> anyhow::Result<Self> {
        let server = &engine.config.server;
        let (host, port) = (server.address.as_str(), port.unwrap_or(server.port));
        let listener = match TcpListener::bind((host, port)).await {
            Ok(listener) => listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                bail!("port {port} of {host} is taken by another program: name a free one with --port, or take any with --port 0")
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {host}:{port}")),
        };
        let address = listener.local_addr()?;
        let settings = ServerSettings::new(engine.config.shop.name.clone(), engine.config.shop.time_zone);
        let what_if = Arc::new(Answerer::new(engine));
        let clock: Clock = {
            let engine = engine.clone();
            Arc::new(move || engine.shop_time())
        };
        let mut state = AppState::new(engine.store.clone(), engine.board.clone(), clock, settings).answering(what_if);
        state = state.reading(Arc::new(online::Reader::new(engine)));
        tokio::spawn(online::watch(Arc::downgrade(engine)));
        let following = Following::start(engine).await?;
        if let Some(following) = &following {
            state = state.following(following.sales());
        }
        let (stop, mut stopped) = watch::channel(false);
        let shutdown = async move {
            stopped.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
        };
        let task = tokio::spawn(sellcast_server::serve(listener, state, shutdown));
        Ok(Self { address, stop, task, following })
    }

    /// Waits for Ctrl-C or SIGTERM, then stops.
    pub(super) async fn until_stopped(self) -> anyhow::Result<()> {
        told_to_stop().await?;
        self.stop.send_replace(true);
        if let Some(following) = self.following {
            following.stop().await;
        }
        match tokio::time::timeout(Duration::from_secs(5), self.task).await {
            Ok(served) => Ok(served??),
            Err(_) => Ok(()),
        }
    }
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("serve").await?;
        let server = Running::start(&engine, self.port).await?;
        print(&format!("serving http://{}", server.address));
        Ok(server.until_stopped().await?)
    }
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        config.mapping(&self.place.dir).map_err(super::usage)?;
        let engine = self.place.engine_with("run", config).await?;
        let server = Running::start(&engine, self.port).await?;
        print(&format!("serving http://{}", server.address));
        start_nights(&engine).await?;
        Ok(server.until_stopped().await?)
    }
}

/// Tells the pages what the machine is doing.
pub(super) fn tell(engine: &Engine, now: DateTime<Utc>, activity: &str) {
    let activity = (!activity.is_empty()).then(|| activity.to_owned());
    let before = engine.board.status();
    let shop_day = ShopDay::of(now, engine.config.shop.time_zone);
    engine.board.set_status(LiveStatus {
        shop_time: now,
        shop_day,
        sold_so_far: before.as_ref().and_then(|status| status.sold_so_far),
        expected_today: before.as_ref().and_then(|status| status.expected_today),
        replay: before.and_then(|status| status.replay),
        activity,
    });
}
