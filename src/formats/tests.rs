//! Tests of the streaming reader: its events equal those of reading whole files.

use std::path::{Path, PathBuf};

use super::*;
use crate::abi::{EventKind, HostEvent};

const HEADER: &str = "type,ts_ns,symbol,trade_id,price,qty,side,bid_px,bid_qty,ask_px,ask_qty,\
                      bid_px_1,bid_sz_1,ask_px_1,ask_sz_1,recv_ns,seq";

/// A capture of trades: arrival and `seq` of each, one per line in this order.
fn trades(dir: &Path, name: &str, rows: &[(i64, i64)]) -> PathBuf {
    let mut text = format!("{HEADER}\n");
    for (line, (recv_ns, seq)) in rows.iter().enumerate() {
        text += &format!("trade,{line},A,{line},1.5,2,buy,,,,,,,,,{recv_ns},{seq}\n");
    }
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn options(window: usize) -> ReadOptions {
    ReadOptions {
        window,
        ..ReadOptions::default()
    }
}

/// All events: kind, arrival, payload.
type Seen = Vec<(EventKind, i64, Vec<u8>)>;

fn streamed(files: &[PathBuf], options: &ReadOptions) -> Result<Seen, Error> {
    let mut reader = Reader::open(files, options)?;
    let mut seen = Vec::new();
    while let Some(event) = reader.next()? {
        seen.push((event.kind, event.recv_ns, event.payload.to_vec()));
    }
    let whole: u64 = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!(reader.bytes(), (whole, whole));
    Ok(seen)
}

fn whole(files: &[PathBuf]) -> Seen {
    let feed = read(files).unwrap();
    let events = feed.events().iter();
    events
        .map(|event| (event.kind, event.recv_ns, feed.payload(event).to_vec()))
        .collect()
}

#[test]
fn any_number_of_files_come_in_the_order_of_the_whole_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(4);
    for round in 0..6 {
        // The last rounds have more files than the reader keeps open.
        let files: Vec<_> = (0..1 + round * 8)
            .map(|number| {
                let mut rows: Vec<_> = (0..random.i64(1..300))
                    // Clocks step back; `seq` values and arrivals repeat.
                    .map(|place| (place * 10 + random.i64(-40..40), place / 2))
                    .collect();
                for late in 0..rows.len() {
                    let other = (late + random.usize(0..20)).min(rows.len() - 1);
                    rows.swap(late, other);
                }
                trades(dir.path(), &format!("{round}-{number}.csv"), &rows)
            })
            .collect();
        for window in [400, 65_536] {
            let streamed = streamed(&files, &options(window)).unwrap();
            assert!(streamed == whole(&files), "{round} with {window}");
        }
    }
}

#[test]
fn a_row_comes_in_its_turn_up_to_the_window_and_is_refused_beyond() {
    let dir = tempfile::tempdir().unwrap();
    // Row 0 is `late` rows after its proper position.
    for (late, window, good) in [
        (5, 5, true),
        (6, 5, false),
        (1, 1, true),
        (1, 0, false),
        (0, 0, true),
    ] {
        let mut rows: Vec<_> = (1..20).map(|seq| (seq, seq)).collect();
        rows.insert(late, (0, 0));
        let file = trades(dir.path(), "late.csv", &rows);
        match streamed(std::slice::from_ref(&file), &options(window)) {
            Ok(seen) => assert!(good && seen == whole(&[file]), "{late} in {window}"),
            Err(error) => {
                assert!(!good, "{late} in {window}: {error}");
                let line = format!("late.csv: line {}, column `seq`: 0 comes", late + 2);
                assert!(error.to_string().contains(&line), "{error}");
                assert!(error.to_string().contains(&format!("{window} rows late")));
            }
        }
    }
    // Rows with equal `seq` keep the order of lines, whatever their arrival times are.
    let file = trades(dir.path(), "equal.csv", &[(3, 1), (1, 1), (2, 1)]);
    assert!(streamed(std::slice::from_ref(&file), &options(0)).unwrap() == whole(&[file]));
}

#[test]
fn files_of_two_sessions_are_refused_as_whole_ones_are() {
    let dir = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000_000;
    let first = trades(dir.path(), "first.csv", &[(0, 0), (5, 1)]);
    for (gap, good) in [(hour, true), (hour + 1, false)] {
        let second = trades(dir.path(), "second.csv", &[(5 + gap, 0)]);
        let both = [second.clone(), first.clone()];
        assert_eq!(read(&both).is_ok(), good);
        match streamed(&both, &options(10)) {
            Ok(_) => assert!(good),
            Err(error) => assert!(
                !good && error.to_string().contains("one session"),
                "{error}"
            ),
        }
    }
    // A single file may have any gap.
    let alone = trades(dir.path(), "alone.csv", &[(0, 0), (3 * hour, 1)]);
    assert_eq!(streamed(&[alone], &options(10)).unwrap().len(), 2);
}

#[test]
fn what_live_would_be_refused_and_counted_is_handed_out_unless_strict() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("odd.csv");
    let rows = [
        // The ask side is empty.
        ("depth,1,A,,,,,,,,,9,1,,,1,1", [9.0, 1.0, 0.0, 0.0]),
        ("depth,1,A,,,,,,,,,9,1,NaN,1,1,1", [9.0, 1.0, f64::NAN, 1.0]),
        // A price without a size is not a size of 0.
        ("depth,1,A,,,,,,,,,9,1,10,,1,1", [9.0, 1.0, 10.0, f64::NAN]),
        ("ticker,1,A,,,,,,,10,2,,,,,1,1", [0.0, 0.0, 10.0, 2.0]),
        (
            "ticker,1,A,,,,,9,inf,10,2,,,,,1,1",
            [9.0, f64::INFINITY, 10.0, 2.0],
        ),
        ("trade,1,A,1,,2,buy,,,,,,,,,1,1", [0.0, 2.0, 0.0, 0.0]),
        ("trade,1,A,1,3,,buy,,,,,,,,,1,1", [3.0, f64::NAN, 0.0, 0.0]),
        ("index,1,A,,,,,,,,,,,,,1,1", [0.0; 4]),
        // What a feed writes for "no value".
        ("depth,1,A,,,,,,,,,9,1,0,0,1,1", [9.0, 1.0, 0.0, 0.0]),
        ("ticker,1,A,,,,,-1,2,10,2,,,,,1,1", [-1.0, 2.0, 10.0, 2.0]),
        ("ticker,1,A,,,,,9,-2,10,2,,,,,1,1", [9.0, -2.0, 10.0, 2.0]),
        (
            "trade,1,A,1,1e308,2,buy,,,,,,,,,1,1",
            [1e308, 2.0, 0.0, 0.0],
        ),
        ("trade,1,A,1,9,1e19,buy,,,,,,,,,1,1", [9.0, 1e19, 0.0, 0.0]),
    ];
    let deeper: String = ["bid_px", "bid_sz", "ask_px", "ask_sz"]
        .iter()
        .flat_map(|side| (2..=10).map(move |level| format!(",{side}_{level}")))
        .collect();
    for (row, expected) in rows {
        let text = format!("{HEADER}{deeper}\n{row}{}\n", ",".repeat(36));
        std::fs::write(&file, text).unwrap();
        let mut reader = Reader::open(&[&file], &options(10)).unwrap();
        let event = reader.next().unwrap().unwrap();
        let values = match event.event() {
            HostEvent::Depth(depth) => [
                depth.bid_price[0].get(),
                depth.bid_volume[0].get(),
                depth.ask_price[0].get(),
                depth.ask_volume[0].get(),
            ],
            HostEvent::Ticker(ticker) => [
                ticker.bid_price.get(),
                ticker.bid_volume.get(),
                ticker.ask_price.get(),
                ticker.ask_volume.get(),
            ],
            HostEvent::Trade(trade) => [trade.price.get(), trade.volume.get(), 0.0, 0.0],
            HostEvent::IndexPrice(index) => [index.price.get(), 0.0, 0.0, 0.0],
        };
        assert_eq!(format!("{values:?}"), format!("{expected:?}"), "{row}");
        let strict = ReadOptions {
            strict: true,
            ..options(10)
        };
        for error in [
            read(&[&file]).map(drop),
            Reader::open(&[&file], &strict).map(drop),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("line 2, column") && error.contains("number"),
                "{error}"
            );
        }
    }
    // Text that is not a number is damage, live or not.
    std::fs::write(
        &file,
        format!("{HEADER}\ntrade,1,A,1,x,2,buy,,,,,,,,,1,1\n"),
    )
    .unwrap();
    let error = Reader::open(&[&file], &options(10))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`price`") && error.contains("\"x\""),
        "{error}"
    );
}

#[test]
fn a_wait_for_a_pipe_ends_when_it_shall() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let name = std::ffi::CString::new(pipe.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: the name ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let file = trades(dir.path(), "rows.csv", &[(1, 1), (2, 2), (3, 3)]);
    let rows = std::fs::read(file).unwrap();
    let (told, writer) = std::sync::mpsc::channel::<()>();
    let to = pipe.clone();
    let writes = std::thread::spawn(move || {
        let mut file = std::fs::File::options().write(true).open(to).unwrap();
        std::io::Write::write_all(&mut file, &rows).unwrap();
        // The pipe stays open, and nothing more is written.
        let _ = writer.recv();
    });
    let mut reader = Reader::open(&[&pipe], &options(0)).unwrap();
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    reader.stop_when(&flag);
    // Rows that are already in the pipe are still read.
    flag.store(true, std::sync::atomic::Ordering::Relaxed);
    for arrival in 1..=2 {
        assert_eq!(reader.next().unwrap().unwrap().recv_ns, arrival);
    }
    while let Ok(event) = reader.next() {
        assert_eq!(event.unwrap().recv_ns, 3);
    }
    drop(told);
    writes.join().unwrap();
}
