//! The browser, on a page served by a few lines of TCP.

use std::time::Duration;

use fantoccini::key::Key;
use sellcast_testkit::{Browser, TestDir, Viewport, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PAGE: &str = "<!doctype html><title>Shop</title><link rel=icon href=data:,><meta name=viewport content='width=device-width'>
<style>body { margin: 0 } .wide { width: 600px } @media (prefers-color-scheme: dark) { body { color: red } }</style>
<h1>Milk</h1><button onclick=\"document.querySelector('h1').textContent = 'Bread'\">change</button><input autofocus>
<div class=wide>wide</div>";

async fn serve() -> String {
    let port = free_port().expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let missing = String::from_utf8_lossy(&request[..read]).starts_with("GET /missing");
            let (status, body) = if missing { ("404 Not Found", "") } else { ("200 OK", PAGE) };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_shown_clicked_measured_and_pictured() {
    let folder = TestDir::new("picture").expect("a folder");
    let url = serve().await;
    let browser = Browser::start().await.expect("a browser");
    browser.goto(&url).await.expect("the page");
    assert_eq!(browser.text("h1").await.expect("a heading"), "Milk");
    browser.click("button").await.expect("a click");
    browser.wait_for_text("h1", "Bread", Duration::from_secs(5)).await.expect("the change");
    let error = browser.wait_for_text("h1", "Milk", Duration::from_millis(200)).await.expect_err("no way back");
    assert!(format!("{error:#}").contains("`h1` says `Bread`"), "{error:#}");

    assert_eq!(browser.eval("[innerWidth, innerHeight].join('x')").await.expect("a size"), "1280x900");
    assert_eq!(browser.sideways_overflow().await.expect("a width"), 0);
    browser.set_viewport(Viewport::PHONE).await.expect("a phone");
    assert_eq!(browser.eval("document.documentElement.clientWidth").await.expect("a width"), 390);
    assert_eq!(browser.sideways_overflow().await.expect("a width"), 210);

    assert_eq!(browser.eval("getComputedStyle(document.body).color").await.expect("a colour"), "rgb(0, 0, 0)");
    browser.prefer("prefers-color-scheme", "dark").await.expect("dark mode");
    assert_eq!(browser.eval("getComputedStyle(document.body).color").await.expect("a colour"), "rgb(255, 0, 0)");

    browser.eval("document.querySelector('input').focus()").await.expect("the focus");
    browser.type_keys("ab").await.expect("keys");
    browser.press(Key::Backspace).await.expect("a key");
    assert_eq!(browser.eval("document.querySelector('input').value").await.expect("a value"), "a");

    assert_eq!(browser.console_errors().await.expect("a log"), Vec::<String>::new());
    browser.eval("fetch('/missing').then(() => 1)").await.expect("a request");
    let errors = browser.console_errors().await.expect("a log");
    assert!(errors.iter().any(|error| error.contains("404")), "{errors:?}");

    let picture = folder.join("page.png");
    browser.screenshot(&picture).await.expect("a picture");
    assert!(std::fs::metadata(&picture).expect("the picture").len() > 1_000);
    browser.close().await.expect("the end");
}
