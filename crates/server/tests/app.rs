//! The app under test: a store in a folder of its own, a clock that the test sets, and requests through the
//! whole router.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, Utc};
use sellcast_server::{AppState, ServerSettings, router};
use sellcast_store::{LiveBoard, PredictionStore};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::shop;

pub(crate) struct App {
    pub(crate) state: AppState,
    pub(crate) store: PredictionStore,
    pub(crate) live: LiveBoard,
    router: Router,
    now: Arc<Mutex<DateTime<Utc>>>,
    _folder: TempDir,
}

/// An answer read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

impl App {
    /// Nothing published.
    pub(crate) fn empty() -> Self {
        Self::with(ServerSettings::new("Corner Market", chrono_tz::America::New_York))
    }

    pub(crate) fn with(settings: ServerSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = PredictionStore::open(&folder.path().join("predictions.redb")).expect("a store");
        let now = Arc::new(Mutex::new("2017-12-04T19:20:00Z".parse().expect("an instant")));
        let live = LiveBoard::new();
        let clock = now.clone();
        let tell = Arc::new(move || *clock.lock().expect("a clock"));
        let state = AppState::new(store.clone(), live.clone(), tell, settings);
        Self { router: router(state.clone()), state, store, live, now, _folder: folder }
    }

    /// Monday 4 December 2017 is the shop's day and is published; so are 1 and 3 December.
    pub(crate) async fn open() -> Self {
        let app = Self::empty();
        for day in ["2017-12-01", "2017-12-03", "2017-12-04"] {
            app.store.publish(shop::generation(shop::day(day), 1)).await.expect("published");
        }
        app.state.caught_up().await;
        app
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        *self.now.lock().expect("a clock")
    }

    pub(crate) fn set_now(&self, instant: &str) {
        *self.now.lock().expect("a clock") = instant.parse().expect("an instant");
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router does not fail");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::GET, path, headers, Body::empty()).await
    }

    /// A page as a browser asks for it.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        self.get_with(path, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await
    }

    pub(crate) async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body).expect("a request")).await
    }

    /// The response before its body is read, for streams.
    pub(crate) async fn begin(&self, path: &str) -> axum::response::Response {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        self.router.clone().oneshot(request).await.expect("the router does not fail")
    }
}
