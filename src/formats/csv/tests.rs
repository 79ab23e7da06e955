//! Tests of the capture reader.

use std::io::Write;

use crate::abi::{EventKind, HostEvent, SYMBOL_LEN, Ticker, Trade, text};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const HEADER: &str =
    "type,ts_ns,symbol,trade_id,price,qty,side,bid_px,bid_qty,ask_px,ask_qty,recv_ns,seq";

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join(name);
    std::fs::write(&file, bytes).expect("a file");
    (dir, file)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn fails(bytes: &[u8]) -> String {
    let (_dir, file) = write("bad.csv", bytes);
    let error = read(&[&file]).expect_err("an error").to_string();
    assert!(error.contains("bad.csv"), "{error}");
    error
}

#[track_caller]
fn fails_with(lines: &str, parts: &[&str]) {
    let error = fails(format!("{HEADER}\n{lines}").as_bytes());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

const TRADE: &str = "trade,20,BTCUSDT,7,101.5,0.25,sell,,,,,200,2\n";
const TICKER: &str = "ticker,10,BTCUSDT,,,,,1,2,3,4,100,1\n";

#[test]
fn reads_plain_and_gzip_in_the_order_of_seq() {
    let text = format!("{HEADER}\n{TRADE}{TICKER}");
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        // The name does not have to match the content.
        let (_dir, file) = write("feed.gz", &bytes);
        let feed = read(&[&file]).expect("a feed");
        let [first, second] = feed.events() else {
            panic!("{:?}", feed.events());
        };
        assert_eq!((first.kind, first.recv_ns), (EventKind::Ticker, 100));
        assert_eq!((second.kind, second.recv_ns), (EventKind::Trade, 200));
        let ticker: Ticker = *bytemuck::from_bytes(feed.payload(first));
        assert_eq!(text_of(&ticker.symbol), "btc_usdt");
        assert_eq!(text_of(&ticker.exchange_id), "binance");
        assert_eq!(
            (ticker.bid_price.get(), ticker.ask_volume.get()),
            (1.0, 4.0)
        );
        let trade: Trade = *bytemuck::from_bytes(feed.payload(second));
        assert_eq!((trade.trade_time.get(), trade.side), (20, SELL));
        assert_eq!((trade.trade_id.get(), trade.volume.get()), (7, 0.25));
    }
}

const SELL: i8 = crate::abi::SIDE_SELL;

fn text_of(field: &[u8]) -> String {
    String::from_utf8_lossy(text(field)).into_owned()
}

#[test]
fn symbols_are_utf_8_and_end_where_the_hosts_field_does() {
    let long = "币".repeat(12);
    let rows =
        format!("trade,20,币安人生USDT,7,1,1,sell,,,,,1,1\ntrade,20,{long},7,1,1,sell,,,,,2,2\n");
    let (_dir, file) = write("feed.csv", format!("{HEADER}\n{rows}").as_bytes());
    let feed = read(&[&file]).expect("a feed");
    let symbols: Vec<[u8; SYMBOL_LEN]> = feed
        .iter()
        .map(|event| match event {
            HostEvent::Trade(trade) => trade.symbol,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(text_of(&symbols[0]), "币安人生_usdt");
    assert_eq!(symbols[1], long.as_bytes()[..SYMBOL_LEN]);
}

#[test]
fn merges_files_of_one_session_only() {
    let (_one, first) = write("one.csv", format!("{HEADER}\n{TRADE}").as_bytes());
    let (_two, second) = write("two.csv", format!("{HEADER}\n{TICKER}").as_bytes());
    let feed = read(&[&first, &second]).expect("a feed");
    assert_eq!(feed.events()[0].kind, EventKind::Ticker);

    let late = "ticker,10,BTCUSDT,,,,,1,2,3,4,9000000000000,1\n";
    let (_three, third) = write("three.csv", format!("{HEADER}\n{late}").as_bytes());
    let error = read(&[&first, &third]).expect_err("an error").to_string();
    assert!(error.contains("one session"), "{error}");
}

#[test]
fn bad_fields_name_line_and_column() {
    let row = |row: &str| format!("{TRADE}{row}\n");
    fails_with(
        &row("tick,1,A,,,,,,,,,1,3"),
        &["line 3", "`type`", "\"tick\""],
    );
    fails_with(
        &row("ticker,x,A,,,,,1,2,3,4,1,3"),
        &["line 3", "`ts_ns`", "whole number"],
    );
    fails_with(
        &row("ticker,1,A,,,,,1,,3,4,1,3"),
        &["line 3", "`bid_qty`", "a number"],
    );
    fails_with(
        &row("ticker,1,A,,,,,NaN,2,3,4,1,3"),
        &["`bid_px`", "a price, a number above 0"],
    );
    fails_with(
        &row("trade,1,A,1,1,1,up,,,,,1,3"),
        &["line 3", "`side`", "\"up\""],
    );
    fails_with(
        &row("ticker,1,,,,,,1,2,3,4,1,3"),
        &["`symbol`", "expected a symbol"],
    );
    fails_with(
        &row("depth,1,A,,,,,,,,,1,3"),
        &["line 3", "`bid_px_1`", "header"],
    );
    fails_with(&row("ticker,1,A"), &["line 3", "13 fields", "found 3"]);
}

#[test]
fn bad_files_are_named() {
    assert!(fails(b"").contains("empty"));
    assert!(fails(b"\n\n\r\n").contains("only empty lines"));
    for nothing in [&b""[..], b"\n"] {
        let error = fails(&gzip(nothing));
        assert!(error.contains("nothing in its gzip data"), "{error}");
    }
    assert!(fails(format!("{HEADER}\n").as_bytes()).contains("no event"));
    assert!(fails(b"\x7fELF\x02\x01\xff\xfe,\n\n").contains("`type`"));
    let bytes = gzip(format!("{HEADER}\n{}", TRADE.repeat(5_000)).as_bytes());
    assert!(fails(&bytes[..bytes.len() / 2]).contains("cut off"));
    assert!(fails(&bytes[..5]).contains("cut off"));
    let mut broken = bytes.clone();
    broken[20..40].fill(0xff);
    assert!(fails(&broken).contains("line"));
    let error = read(&["missing.csv"]).expect_err("an error").to_string();
    assert!(error.starts_with("missing.csv: No such file"), "{error}");
}

#[test]
fn a_line_without_an_end_is_refused_at_its_bound() {
    let rows = format!("{HEADER}\n{TRADE}{TICKER}");
    let nuls = "\0".repeat(3 << 20);
    let open = "trade,20,\"BTC";
    let lines = TRADE.repeat(60_000);
    for (text, line) in [
        (nuls.clone(), 1),
        (format!("{rows}{nuls}"), 4),
        // A quote that nothing closes takes in all lines behind it.
        (format!("{rows}{open}{lines}"), 4),
        (format!("{rows}{}", ",".repeat(3 << 20)), 4),
    ] {
        for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
            let error = fails(&bytes);
            let told = format!("line {line}: it has more than 1048576 bytes; expected shorter");
            assert!(error.contains(&told), "{error}");
        }
    }
    // Columns that are not read may be long.
    let long = "x".repeat(900_000);
    let trade = TRADE.trim_end();
    let text = format!("{HEADER},more\n{}", format!("{trade},{long}\n").repeat(3));
    let (_dir, file) = write("long.csv", text.as_bytes());
    assert_eq!(read(&[&file]).expect("a feed").events().len(), 3);
}

#[test]
fn a_column_that_is_there_twice_is_refused() {
    let row = |more: &str| TRADE.replace('\n', more);
    for more in ["symbol", "price", "recv_ns", "bid_px", "type"] {
        let text = format!("{HEADER},{more}\n{}", row(",1\n"));
        let error = fails(text.as_bytes());
        assert!(
            error.contains(&format!("`{more}`: it is in the header line twice")),
            "{error}"
        );
    }
    let error = fails(format!("{HEADER},ask_sz_10,ask_sz_10\n{}", row(",1,1\n")).as_bytes());
    assert!(
        error.contains("`ask_sz_10`: it is in the header line twice"),
        "{error}"
    );
    // Columns that are never read may appear any number of times.
    let (_dir, file) = write(
        "more.csv",
        format!("{HEADER},x,x\n{}", row(",1,2\n")).as_bytes(),
    );
    read(&[&file]).expect("a feed");
}

#[test]
fn what_is_no_csv_and_what_was_joined_is_named() {
    for (bytes, part) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "a zip archive"),
        (b"\xff\xfet\0y\0p\0e\0,\0", "UTF-16"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "git lfs pull",
        ),
        (&gzip(&gzip(b"type")), "gzip data"),
    ] {
        let error = fails(bytes);
        assert!(
            error.contains(part) && error.contains("expected CSV"),
            "{error}"
        );
    }
    let joined = format!("{HEADER}\n{TRADE}{HEADER}\n{TICKER}");
    let error = fails(joined.as_bytes());
    assert!(
        error.contains("line 3") && error.contains("header line comes again"),
        "{error}"
    );
    let members = [
        gzip(format!("{HEADER}\n{TRADE}").as_bytes()),
        gzip(joined.as_bytes()),
    ]
    .concat();
    assert!(fails(&members).contains("header line comes again"));
}
