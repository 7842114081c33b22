//! The pages' style, script and icon, built into the binary. Their addresses carry a fingerprint of their
//! content, so browsers keep them for good and a new binary brings new addresses.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{Problem, ProblemKind};
use std::sync::LazyLock;

use crate::answers::fingerprint;
use crate::problems::ApiError;
use crate::query::Segment;

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/app.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// The addresses of the assets.
pub(crate) struct Addresses {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
}

/// Where this binary's assets are.
pub(crate) static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| Addresses {
    style: address("style", STYLE, "css"),
    script: address("app", SCRIPT, "js"),
    icon: address("icon", ICON, "svg"),
});

/// `/assets/{name}`.
pub(crate) async fn serve(Segment(name): Segment) -> Result<Response, ApiError> {
    let path = format!("/assets/{name}");
    let (content_type, content) = match path.as_str() {
        path if path == ADDRESSES.style => ("text/css; charset=utf-8", STYLE),
        path if path == ADDRESSES.script => ("text/javascript; charset=utf-8", SCRIPT),
        path if path == ADDRESSES.icon => ("image/svg+xml", ICON),
        _ => return Err(Problem::new(ProblemKind::NotFound, "no such asset; reload the page for the present ones").into()),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, content).into_response())
}

fn address(name: &str, content: &str, kind: &str) -> String {
    format!("/assets/{name}-{:016x}.{kind}", fingerprint(content.as_bytes()))
}
