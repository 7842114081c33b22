//! The cache of ready answers in front of the API: bytes and headers by path, looked up before any other
//! work. An entry is valid for one snapshot and one shop day; the ETag names generation and representation.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use metrics::{Counter, Histogram, counter, histogram};
use moka::future::Cache;
use sellcast_domain::{GenerationId, Problem, ProblemKind};

use crate::forecasts::Edition;
use crate::layers;
use crate::metrics::{CACHE_HITS, CACHE_MISSES, REQUEST_SECONDS, REQUESTS};
use crate::problems::ApiError;
use crate::query::USER_KEY;
use crate::state::AppState;

/// Says in words why an answer is stale; stands beside `Age`.
pub(crate) const STALE_REASON: HeaderName = HeaderName::from_static("stale-reason");
/// The arm of the running experiment that answered.
pub(crate) const ARM: HeaderName = HeaderName::from_static("x-arm");
/// Longer addresses are answered, but not kept.
const MAX_KEY_BYTES: usize = 512;
/// No answer of the API is larger.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What a handler says of an answer so that it can be kept.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) generation: GenerationId,
    pub(crate) stale: Option<(String, DateTime<Utc>)>,
    /// The arm of the running experiment that the user falls to.
    pub(crate) arm: Option<String>,
}

impl Answered {
    pub(crate) fn in_arm(self, arm: Option<String>) -> Self {
        Self { arm, ..self }
    }

    pub(crate) fn by(edition: &Edition) -> Self {
        let stale = edition.stale_reason().map(|reason| (reason, edition.generation.generated_at));
        Self { generation: edition.id(), stale, arm: None }
    }
}

/// What an entry was made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    snapshot: u64,
    days_late: i64,
    live: u64,
}

struct Kept {
    stamp: Stamp,
    etag: HeaderValue,
    content_type: HeaderValue,
    encoding: Option<HeaderValue>,
    stale: Option<(HeaderValue, DateTime<Utc>)>,
    arm: Option<HeaderValue>,
    body: Bytes,
    meters: Meters,
}

/// The metrics of an answer given from the cache, found once instead of at every request.
struct Meters {
    hits: Counter,
    seconds: Histogram,
    given: Counter,
    unchanged: Counter,
}

impl Meters {
    fn of(route: &str) -> Self {
        let route = route.to_owned();
        Self {
            hits: counter!(CACHE_HITS),
            seconds: histogram!(REQUEST_SECONDS, "route" => route.clone()),
            given: counter!(REQUESTS, "route" => route.clone(), "status" => "200"),
            unchanged: counter!(REQUESTS, "route" => route, "status" => "304"),
        }
    }
}

/// Ready answers, plain and compressed.
pub(crate) struct Answers {
    plain: Cache<String, Arc<Kept>>,
    zipped: Cache<String, Arc<Kept>>,
}

impl Answers {
    pub(crate) fn new(most_bytes: u64) -> Self {
        let cache = || {
            // A quarter of a KiB stands for an entry's headers and its place in the cache.
            let weigh = |key: &String, kept: &Arc<Kept>| u32::try_from(key.len() + kept.body.len() + 256).unwrap_or(u32::MAX);
            Cache::builder().max_capacity(most_bytes / 2).weigher(weigh).build()
        };
        Self { plain: cache(), zipped: cache() }
    }
}

/// Gives a ready answer before any other work, or lets the request through.
pub(crate) async fn give(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    match ready(&state, request.method(), request.uri(), request.headers(), began).await {
        Some(ready) => ready,
        None => next.run(request).await,
    }
}

async fn ready(state: &AppState, method: &Method, uri: &Uri, headers: &HeaderMap, began: Instant) -> Option<Response> {
    let (answers, _) = cache_for(state, method, uri, headers)?;
    let kept = answers.get(key(uri, headers).as_ref()).await.filter(|kept| kept.stamp == stamp(state))?;
    let mut response = respond(state, &kept, headers, method == Method::HEAD);
    layers::guard(&mut response);
    kept.meters.hits.increment(1);
    kept.meters.seconds.record(began.elapsed().as_secs_f64());
    let unchanged = response.status() == StatusCode::NOT_MODIFIED;
    if unchanged {
        kept.meters.unchanged.increment(1)
    } else {
        kept.meters.given.increment(1)
    }
    Some(response)
}

/// Lets a request through and keeps its answer for the next one.
pub(crate) async fn keep(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some((answers, zipped)) = cache_for(&state, request.method(), request.uri(), request.headers()) else {
        return next.run(request).await;
    };
    counter!(CACHE_MISSES).increment(1);
    let key = key(request.uri(), request.headers()).into_owned();
    let meters = Meters::of(request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str));
    let stamp = stamp(&state);
    let asked = request.headers().clone();
    let head = request.method() == Method::HEAD;
    *request.method_mut() = Method::GET;
    // One representation per cache, whatever else the client would take.
    request.headers_mut().remove(ACCEPT_ENCODING);
    if zipped {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let response = next.run(request).await;
    let Some(answered) = response.extensions().get::<Answered>().cloned() else { return response };
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ANSWER_BYTES).await else {
        return ApiError(Problem::new(ProblemKind::Internal, "the answer cannot be put together; ask for fewer items")).into_response();
    };
    let kept = Arc::new(Kept {
        stamp,
        etag: etag(answered.generation, &body),
        content_type: parts.headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("application/json")),
        encoding: parts.headers.get(CONTENT_ENCODING).cloned(),
        stale: answered.stale.and_then(|(reason, made)| Some((HeaderValue::from_str(&reason).ok()?, made))),
        arm: answered.arm.and_then(|arm| HeaderValue::from_str(&arm).ok()),
        body,
        meters,
    });
    if key.len() <= MAX_KEY_BYTES {
        answers.insert(key, kept.clone()).await;
    }
    respond(&state, &kept, &asked, head)
}

/// The cache that answers a request, and whether it holds compressed answers; `None` for what is never kept.
fn cache_for<'a>(state: &'a AppState, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<(&'a Cache<String, Arc<Kept>>, bool)> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if !reads || !uri.path().starts_with("/api/") {
        return None;
    }
    let zipped = accepts_gzip(headers);
    Some((if zipped { &state.answers().zipped } else { &state.answers().plain }, zipped))
}

/// The address, with the user's key where one is given: users may fall to different arms of an experiment.
fn key<'a>(uri: &'a Uri, headers: &HeaderMap) -> Cow<'a, str> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match headers.get(USER_KEY) {
        Some(user) => Cow::Owned(format!("{path} {}", String::from_utf8_lossy(user.as_bytes()))),
        None => Cow::Borrowed(path),
    }
}

fn stamp(state: &AppState) -> Stamp {
    let (snapshot, as_of) = state.forecasts().stamp();
    Stamp { snapshot, days_late: as_of.map_or(0, |as_of| state.today().days_since(as_of).max(0)), live: state.live_frames().round() }
}

fn respond(state: &AppState, kept: &Kept, asked: &HeaderMap, head: bool) -> Response {
    let unchanged = asked.get(IF_NONE_MATCH).is_some_and(|tags| names(tags, &kept.etag));
    let body = if unchanged || head { Body::empty() } else { Body::from(kept.body.clone()) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(ETAG, kept.etag.clone());
    let varies = if kept.arm.is_some() { "accept-encoding, x-user-key" } else { "accept-encoding" };
    headers.insert(VARY, HeaderValue::from_static(varies));
    if let Some(arm) = &kept.arm {
        headers.insert(ARM, arm.clone());
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some((reason, made)) = &kept.stale {
        headers.insert(AGE, HeaderValue::from((state.now() - made).num_seconds().max(0)));
        headers.insert(STALE_REASON, reason.clone());
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, kept.content_type.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(kept.body.len()));
    if let Some(encoding) = &kept.encoding {
        headers.insert(CONTENT_ENCODING, encoding.clone());
    }
    response
}

/// `If-None-Match` compares weakly: a cache on the way may have marked our tag as weak.
fn names(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn etag(generation: GenerationId, body: &[u8]) -> HeaderValue {
    let text = format!("\"{}-{:016x}\"", generation.uuid().simple(), fingerprint(body));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"unknown\""))
}

/// FNV-1a. Tells representations of one generation apart; guards nothing.
pub(crate) const fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut place = 0;
    while place < bytes.len() {
        hash = (hash ^ bytes[place] as u64).wrapping_mul(0x0100_0000_01b3);
        place += 1;
    }
    hash
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        gzip && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_unless_it_is_refused() {
        for (accepted, expected) in [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("identity", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(accepts_gzip(&headers), expected, "{accepted}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_found_in_a_list_and_when_weak() {
        let etag = HeaderValue::from_static("\"a-1\"");
        for (tags, expected) in [("\"a-1\"", true), ("\"x\", W/\"a-1\"", true), ("*", true), ("\"a-2\"", false), ("a-1", false)] {
            assert_eq!(names(&HeaderValue::from_static(tags), &etag), expected, "{tags}");
        }
    }
}
