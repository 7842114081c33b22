//! The cache of ready answers: tags, 304, compression, stale answers, and that a publication empties it.

use axum::http::StatusCode;

use crate::app::App;
use crate::shop;

const WEEK: &str = "/api/v1/predictions/categories?timeFrame=week&limit=100";

#[tokio::test]
async fn an_unchanged_answer_is_304_until_a_new_generation() {
    let app = App::open().await;
    let first = app.get(WEEK).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(app.get(WEEK).await.body, first.body, "the kept answer is the made one");
    for asked in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = app.get_with(WEEK, &[("if-none-match", &asked)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{asked}");
        assert!(again.body.is_empty());
        assert_eq!(again.header("etag"), Some(tag.as_str()));
    }
    assert_eq!(app.get_with(WEEK, &[("if-none-match", "\"other\"")]).await.status, StatusCode::OK);
    app.store.publish(shop::generation(shop::day("2017-12-04"), 2)).await.expect("published");
    app.state.caught_up().await;
    let after = app.get_with(WEEK, &[("if-none-match", &tag)]).await;
    assert_eq!(after.status, StatusCode::OK, "the new generation is another representation");
    assert_ne!(after.header("etag"), Some(tag.as_str()));
    assert_ne!(after.body, first.body);
}

#[tokio::test]
async fn representations_have_tags_of_their_own() {
    let app = App::open().await;
    let mut tags = std::collections::BTreeSet::new();
    let paths = [WEEK.to_owned(), WEEK.replace("week", "day"), WEEK.replace("100", "10"), format!("{WEEK}&date=2017-12-03")];
    for path in &paths {
        tags.insert(app.get(path).await.header("etag").expect("a tag").to_owned());
    }
    let zipped = app.get_with(WEEK, &[("accept-encoding", "gzip")]).await;
    tags.insert(zipped.header("etag").expect("a tag").to_owned());
    assert_eq!(tags.len(), paths.len() + 1);
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_accept_it() {
    let app = App::open().await;
    let plain = app.get(WEEK).await;
    assert_eq!(plain.header("content-encoding"), None);
    for _ in 0..2 {
        let zipped = app.get_with(WEEK, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(zipped.header("content-encoding"), Some("gzip"));
        assert!(zipped.header("vary").is_some_and(|vary| vary.contains("accept-encoding")));
        assert_eq!(zipped.body[..2], [0x1f, 0x8b]);
        assert!(zipped.body.len() * 3 < plain.body.len(), "{} of {}", zipped.body.len(), plain.body.len());
        assert_eq!(zipped.header("content-length"), Some(zipped.body.len().to_string().as_str()));
    }
    assert_eq!(app.get_with(WEEK, &[("accept-encoding", "gzip;q=0")]).await.body, plain.body);
}

#[tokio::test]
async fn a_stale_answer_says_why_and_claims_less() {
    let app = App::open().await;
    let fresh = app.get(WEEK).await;
    assert_eq!(fresh.header("age"), None);
    assert_eq!(fresh.header("stale-reason"), None);
    // One minute past midnight in New York on the 7th: three days late.
    app.set_now("2017-12-07T05:01:00Z");
    for _ in 0..2 {
        let stale = app.get(WEEK).await;
        assert_eq!(stale.status, StatusCode::OK);
        assert_eq!(stale.header("age"), Some((3 * 86_400 - 4 * 60).to_string().as_str()), "since it was made at 00:05 on the 4th");
        assert!(stale.header("stale-reason").is_some_and(|reason| reason.contains("3 days")), "{:?}", stale.headers);
        let (said, claimed) = (fresh.json(), stale.json());
        assert!(claimed["staleReason"].as_str().is_some_and(|reason| reason.contains("2017-12-04")));
        for (said, claimed) in said["categories"].as_array().expect("a list").iter().zip(claimed["categories"].as_array().expect("a list"))
        {
            let (said, claimed) =
                (said["confidenceScore"].as_f64().expect("a number"), claimed["confidenceScore"].as_f64().expect("a number"));
            assert!((claimed - said * 0.7).abs() < 2e-4, "seven of ten days: {said} became {claimed}");
        }
    }
    let asked_for = app.get(&format!("{WEEK}&date=2017-12-04")).await;
    assert_eq!(asked_for.header("age"), None, "who asks for that day gets what was said then");
}

#[tokio::test]
async fn the_evening_in_new_york_is_not_yet_the_next_day() {
    let app = App::open().await;
    app.set_now("2017-12-05T04:59:00Z");
    assert_eq!(app.get(WEEK).await.header("age"), None);
    app.set_now("2017-12-05T05:00:00Z");
    assert!(app.get(WEEK).await.header("age").is_some());
}

#[tokio::test]
async fn errors_are_not_kept() {
    let app = App::empty();
    assert_eq!(app.get(WEEK).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.get(WEEK).await.header("cache-control"), Some("no-store"));
    app.store.publish(shop::generation(shop::day("2017-12-04"), 1)).await.expect("published");
    app.state.caught_up().await;
    assert_eq!(app.get(WEEK).await.status, StatusCode::OK);
}
