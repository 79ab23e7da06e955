//! The page of `signal report` in a real browser.

use std::fs;

use super::*;

/// The browsers that these tests know to drive.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Looks at the page as it stands, and leaves what it found in the document.
const LOOK: &str = r#"<script>
addEventListener('load', () => setTimeout(() => {
  const drawn = (canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
    return colours.size;
  };
  const charts = [...document.querySelectorAll('.chart canvas')].map(drawn);
  const rows = [...document.querySelectorAll('details table')].map((table) => table.rows.length);
  const found = { charts, rows, beyond: document.documentElement.scrollWidth - innerWidth, loaded: performance.getEntriesByType('resource').length };
  document.body.dataset.found = JSON.stringify(found);
}, 200));
</script></body>"#;

/// The browser, or a word that there is none.
fn browser() -> Option<&'static str> {
    let found = BROWSERS
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        support::skip("chromium");
    }
    found
}

/// What the page shows in a window of this width, and what the browser's console says.
fn look(browser: &str, dir: &Path, text: &str, width: u32) -> (serde_json::Value, Vec<String>) {
    let page = write(dir, "looked-at.html", text.as_bytes());
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let found = out
        .split("data-found=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let found = found.unwrap_or_else(|| panic!("the page was not looked at: {out}\n{err}"));
    let said = err
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned);
    (
        serde_json::from_str(&found.replace("&quot;", "\"")).expect("JSON"),
        said.collect(),
    )
}

#[test]
fn charts_have_data_and_nothing_is_loaded_or_complained_of() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let one = report::made(dir.path(), "one", 3_000, "");
    let two = report::made(dir.path(), "two", 3_000, "");
    let page = dir.path().join("page.html");
    run(&[
        "report",
        path(&two),
        "--baseline",
        path(&one),
        "--slo",
        "losses <= 0",
        "-o",
        path(&page),
    ]);
    let text = fs::read_to_string(&page).expect("the page");
    let text = text.replacen("</body>", LOOK, 1);
    for width in [390, 820, 1280] {
        let (found, said) = look(browser, dir.path(), &text, width);
        assert_eq!(said, [] as [String; 0], "at {width}");
        let charts = found["charts"].as_array().expect("charts");
        assert_eq!(charts.len(), 3, "{found}");
        // Axes alone have few colours: their own and those of smoothed edges.
        assert!(
            charts.iter().all(|colours| colours.as_u64() > Some(8)),
            "at {width}: {found}"
        );
        let rows = found["rows"].as_array().expect("tables");
        assert!(
            rows.len() >= 3 && rows.iter().all(|rows| rows.as_u64() > Some(2)),
            "at {width}: {found}"
        );
        assert!(
            found["beyond"].as_i64() <= Some(0),
            "wider than a window of {width}: {found}"
        );
        assert_eq!(found["loaded"], 0, "{found}");
    }
    // The test would see a complaint, and a chart without its line.
    let broken = text.replace("\"by_percentile\":[[", "\"by_percentile\":[],\"was\":[[");
    let broken = broken.replacen(
        "<script>",
        "<script>console.error('seen');</script><script>",
        1,
    );
    let (found, said) = look(browser, dir.path(), &broken, 820);
    assert!(said.iter().any(|line| line.contains("seen")), "{said:?}");
    assert_eq!(found["charts"].as_array().map(Vec::len), Some(2), "{found}");
}
