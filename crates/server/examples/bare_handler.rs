//! The yardstick of the API's speed: an axum server without any layer whose one handler returns the bytes of a
//! file. `cargo run -p sellcast-server --example bare_handler -- 8091 answer.json`.

use std::error::Error;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("give a port")?.parse()?;
    let body = Bytes::from(std::fs::read(arguments.next().ok_or("give a file")?)?);
    let handler = move || async move { ([(CONTENT_TYPE, "application/json")], body) };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?.tap_io(|connection| {
        // As the real server does.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/", get(handler))).await?;
    Ok(())
}
