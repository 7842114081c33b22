//! What stands around every request: counting and timing, the bound on requests at once, the time limit, the
//! answer after a panic, security headers, and errors drawn as pages for people.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::{counter, histogram};
use sellcast_domain::{Problem, ProblemKind};

use crate::metrics::{REQUEST_SECONDS, REQUESTS, TURNED_AWAY};
use crate::pages;
use crate::problems::ApiError;
use crate::state::AppState;

/// Nothing from elsewhere, nothing inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Counts and times requests by route, and guards their answers. Ready answers count themselves.
pub(crate) async fn measured(request: Request, next: Next) -> Response {
    let began = Instant::now();
    // The pattern, not the path: otherwise every id would be a series of its own.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    guard(&mut response);
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str).to_owned();
    histogram!(REQUEST_SECONDS, "route" => route.clone()).record(began.elapsed().as_secs_f64());
    counter!(REQUESTS, "route" => route, "status" => response.status().as_str().to_owned()).increment(1);
    response
}

/// Sets the headers that browsers need to be strict.
pub(crate) fn guard(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// Turns requests away when too many run, and gives up those that take too long.
pub(crate) async fn bounded(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Ok(_permit) = state.permits().try_acquire() else {
        counter!(TURNED_AWAY, "reason" => "concurrency").increment(1);
        return ApiError(Problem::new(ProblemKind::Overloaded, "too many requests run at once; try again in two seconds")).into_response();
    };
    match tokio::time::timeout(state.settings().timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            counter!(TURNED_AWAY, "reason" => "timeout").increment(1);
            ApiError(Problem::new(ProblemKind::Overloaded, "the answer took too long; ask for fewer items or try again")).into_response()
        }
    }
}

/// The answer after a panic: a fixed text outside, the reason in the log.
pub(crate) fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let reason = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(error = reason.unwrap_or("no text"), "a request panicked");
    ApiError(Problem::new(ProblemKind::Internal, "this request failed unexpectedly; the log of the server says why")).into_response()
}

/// Draws an error as a page when a person asked for one.
pub(crate) async fn drawn(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let person = wants_page(&request);
    let address = request.uri().clone();
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>().filter(|_| person) else { return response };
    let mut page = pages::error_page(&state, &problem, &address);
    for (name, value) in response.headers() {
        if !page.headers().contains_key(name) && name != axum::http::header::CONTENT_LENGTH {
            page.headers_mut().append(name, value.clone());
        }
    }
    page.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    if head {
        *page.body_mut() = axum::body::Body::empty();
    }
    page
}

fn wants_page(request: &Request) -> bool {
    let path = request.uri().path();
    let machine =
        ["/api/", "/graphql", "/health/", "/metrics", "/openapi.json", "/events", "/assets/"].iter().any(|start| path.starts_with(start));
    !machine && request.headers().get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// No such path.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError(Problem::new(
        ProblemKind::NotFound,
        "there is nothing at this address; `/openapi.json` describes the API, `/` shows the forecast",
    ))
}

/// The path exists, but not with this method.
pub(crate) async fn no_such_method() -> ApiError {
    ApiError(Problem::new(ProblemKind::MethodNotAllowed, "use one of the methods in the `Allow` header"))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn fails() -> &'static str {
        let nothing: [u8; 0] = [];
        std::hint::black_box(&nothing[..]).first().map(|_| "there").expect("the planted panic")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_no_secrets() {
        let router: Router = Router::new().route("/", get(fails)).layer(CatchPanicLayer::custom(after_panic));
        let request = Request::builder().uri("/").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(text.contains("\"code\":\"INTERNAL\"") && !text.contains("planted"), "{text}");
    }
}
