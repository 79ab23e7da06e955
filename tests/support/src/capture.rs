//! A generated capture, for tests that must not depend on recorded data.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Rows of each kind, except index prices, of which there are fewer.
pub const ROWS: usize = 10_000;

/// Writes a random walk of one instrument in the format of recorded captures: books of ten
/// levels with gaps, trades that come in bursts and out of time order, tickers and index
/// prices.
pub fn write(folder: &Path) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(5);
    let sides = ["bid_px", "bid_sz", "ask_px", "ask_sz"];
    let levels = sides.map(|side| (1..=10).map(|n| format!("{side}_{n}")).collect::<Vec<_>>());
    let mut text = format!(
        "type,ts_ns,symbol,recv_ns,seq,{},trade_id,price,qty,side,bid_px,bid_qty,ask_px,ask_qty\n",
        levels.concat().join(",")
    );
    let no_book = ",".repeat(39);
    let (mut tick, mut time, mut seq) = (200_000i64, 1_700_000_000_000_000_000i64, 0);
    for step in 0..ROWS {
        tick += random.i64(-5..=5);
        // Sometimes many rows share a second, and sometimes there is a pause.
        time += [1_000, 300_000, 40_000_000, 2_000_000_000][random.usize(..16).saturating_sub(12)];
        let (bid, ask) = (tick, tick + random.i64(1..=4));
        let price = |ticks: i64| ticks as f64 / 10.0;
        let mut size = || (random.u32(0..100_000) as f64) / 1000.0;
        let mut head = |kind: &str, time: i64| {
            seq += 1;
            format!("{kind},{time},BTCUSDT,{},{seq}", time + 1_000)
        };
        let mut row = head("trade", time - i64::from(step % 7 == 0) * 900_000_000);
        let side = if step % 3 == 0 { "buy" } else { "sell" };
        write!(
            row,
            ",{no_book},{step},{},{},{side},,,,",
            price(bid),
            size()
        )
        .unwrap();
        text += &row;
        row = head("ticker", time);
        write!(
            row,
            ",{no_book},,,,,{},{},{},{}",
            price(bid),
            size(),
            price(ask),
            size()
        )
        .unwrap();
        text += "\n";
        text += &row;
        if step % 20 == 0 {
            row = head("index", time);
            write!(row, ",{no_book},,{},,,,,,", price(tick - 30)).unwrap();
            text += "\n";
            text += &row;
        }
        row = head("depth", time);
        for (first, step) in [(bid, -1), (ask, 1)] {
            for level in 0..10 {
                write!(row, ",{}", price(first + step * level)).unwrap();
            }
            for _ in 0..10 {
                write!(row, ",{}", size()).unwrap();
            }
        }
        text += "\n";
        text += &row;
        text += ",,,,,,,,\n";
    }
    let path = folder.join("capture.csv");
    std::fs::write(&path, text).unwrap();
    path
}
