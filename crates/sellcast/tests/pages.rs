//! The pages in a real browser, at the width of a laptop and of a phone.

use std::time::Duration;

use sellcast_testkit::{Browser, Viewport};

use crate::shop::{Server, Shop, Stage};

async fn first_link(browser: &Browser, css: &str) -> String {
    let address = browser.eval(&format!("document.querySelector('{css}').href")).await.expect("a link");
    address.as_str().expect("an address").to_owned()
}

/// The addresses of the four pages, found by following the first link of each list.
async fn pages(browser: &Browser, server: &Server) -> [(String, &'static str); 4] {
    let home = format!("{}/", server.url);
    browser.goto(&home).await.expect("the home page");
    let category = first_link(browser, "table.list tbody th a").await;
    browser.goto(&category).await.expect("a category");
    let product = first_link(browser, "table.list tbody th a").await;
    [
        (home, "Top categories"),
        (category, "Garden"),
        (product, "Weekly sales and forecast"),
        (format!("{}/record", server.url), "Track record"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_its_screen_and_has_no_errors() {
    let shop = Shop::at(Stage::Trained).await;
    let server = shop.serve().await;
    let browser = Browser::start().await.expect("a browser");
    let pages = pages(&browser, &server).await;
    for viewport in [Viewport::DESKTOP, Viewport::PHONE] {
        browser.set_viewport(viewport).await.expect("a size");
        for (url, _) in &pages {
            browser.goto(url).await.expect("a page");
            let heading = browser.text("h1").await.expect("a heading");
            assert!(!heading.is_empty(), "{url}");
            assert_eq!(browser.sideways_overflow().await.expect("a width"), 0, "{url} at {viewport:?}");
            assert_eq!(browser.console_errors().await.expect("a log"), Vec::<String>::new(), "{url} at {viewport:?}");
        }
    }
    let (product, heading) = &pages[2];
    browser.goto(product).await.expect("a product");
    assert!(browser.text("main").await.expect("a page").contains(heading));
    assert!(browser.count("main svg").await.expect("charts") >= 1);
    browser.goto(&pages[3].0).await.expect("the record");
    assert!(browser.count("table.list tbody tr").await.expect("rows") >= 1, "trained frames have a record at once");
    browser.close().await.expect("the end");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_switched_and_the_search_is_reached_by_a_key() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let browser = Browser::start().await.expect("a browser");
    browser.goto(&format!("{}/", server.url)).await.expect("the home page");
    assert_eq!(browser.text("nav.frames a.on").await.expect("a frame"), "Week");
    let week = browser.text("main .facts").await.expect("the sum");
    let month = first_link(&browser, "nav.frames a[href*=month]").await;
    browser.click("nav.frames a[href*=month]").await.expect("a click");
    browser.wait_for_text("nav.frames a.on", "Month", Duration::from_secs(10)).await.expect("the month");
    assert_eq!(browser.url().await.expect("an address"), month);
    assert_ne!(browser.text("main .facts").await.expect("the sum"), week);
    browser.eval("document.body.focus()").await.expect("the focus");
    browser.type_keys("/").await.expect("a key");
    assert_eq!(browser.eval("document.activeElement.id").await.expect("an id"), "q");
    browser.type_keys("Garden\u{e007}").await.expect("words");
    browser.wait_for_text("main", "Garden", Duration::from_secs(10)).await.expect("what is found");
    assert!(browser.url().await.expect("an address").contains("/search?"));
    assert_eq!(browser.console_errors().await.expect("a log"), Vec::<String>::new());
    browser.close().await.expect("the end");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prefers_the_dark_gets_light_text_on_a_dark_page() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let browser = Browser::start().await.expect("a browser");
    let mut brightness = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme).await.expect("a preference");
        browser.goto(&format!("{}/", server.url)).await.expect("the home page");
        for property in ["backgroundColor", "color"] {
            let sum = format!(
                "getComputedStyle(document.body).{property}.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)"
            );
            brightness.push(browser.eval(&sum).await.expect("a colour").as_i64().expect("a number"));
        }
    }
    assert!(brightness[0] > brightness[1] + 300, "light: {brightness:?}");
    assert!(brightness[3] > brightness[2] + 300, "dark: {brightness:?}");
    browser.close().await.expect("the end");
    server.stop().await;
}
