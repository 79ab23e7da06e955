//! `include/signal.h` alone is enough for a host, and describes the events as the library
//! knows them.

use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use signal::abi::{
    Depth, EXCHANGE_LEN, INSTRUMENT_TYPES, IndexPrice, LEVELS, SIDE_BUY, SIDE_SELL, SYMBOL_LEN,
    TYPE_DEPTH, TYPE_INDEX_PRICE, TYPE_TICKER, TYPE_TRADE, Ticker, Trade,
};
use signal::ffi;
use support::ROOT;
use support::host::{has_tool, host, run};

/// What the program should print about a struct.
macro_rules! layout {
    ($lines:ident, $name:literal, $type:ident: $($field:ident)*) => {
        $lines.push(format!("{} {}", $name, size_of::<$type>()));
        $($lines.push(format!("{}.{} {}", $name, stringify!($field), offset_of!($type, $field)));)*
    };
}

fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    layout!(lines, "depth", Depth: source_id symbol exchange_id data_time instrument_type
        bid_price ask_price bid_volume ask_volume);
    layout!(lines, "ticker", Ticker: source_id symbol exchange_id data_time instrument_type
        bid_price bid_volume ask_price ask_volume);
    layout!(lines, "trade", Trade: client_id symbol exchange_id instrument_type trade_id ask_id
        bid_id price volume side position_side trade_time);
    layout!(lines, "index_price", IndexPrice: symbol exchange_id instrument_type price);
    for (name, number) in [
        ("TYPE_DEPTH", TYPE_DEPTH),
        ("TYPE_TICKER", TYPE_TICKER),
        ("TYPE_TRADE", TYPE_TRADE),
        ("TYPE_INDEX_PRICE", TYPE_INDEX_PRICE),
        ("SIDE_BUY", SIDE_BUY.into()),
        ("SIDE_SELL", SIDE_SELL.into()),
        ("SYMBOL_LEN", SYMBOL_LEN as i32),
        ("EXCHANGE_LEN", EXCHANGE_LEN as i32),
        ("LEVELS", LEVELS as i32),
    ] {
        lines.push(format!("{name} {number}"));
    }
    for (number, name) in INSTRUMENT_TYPES.iter().enumerate() {
        lines.push(format!("INSTRUMENT_{} {number}", name.to_uppercase()));
    }
    // The last factor of `market`: by how much the mid price of 100 is above the index price of 50.
    lines.push("signal BTCUSDT 7 15 1".to_owned());
    lines.push("taken 4".to_owned());
    lines
}

#[test]
fn the_header_lays_events_out_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(ROOT).join("tests/hosts/header/events.c");
    for (tool, flags) in [
        ("gcc", &["-std=c11"][..]),
        ("g++", &["-x", "c++", "-std=c++17"]),
    ] {
        if !has_tool(tool) {
            continue;
        }
        let program = folder.path().join(tool);
        let more = std::env::var("SIGNAL_HOST_FLAGS").unwrap_or_default();
        let mut compiler = Command::new(tool);
        compiler
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-stringop-truncation"])
            .args(more.split_whitespace())
            .args(flags)
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .arg("-ldl");
        run(&mut compiler).expect_code(0);
        let output = run(&mut host(&program));
        output.expect_code(0);
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(lines, expected(), "{tool}");
    }
}

#[test]
fn a_host_that_packs_its_structs_has_the_librarys_sizes() {
    macro_rules! sizes {
        ($($type:ident)*) => {
            [$(format!("{} {}\n", stringify!($type), size_of::<ffi::$type>())),*].concat()
        };
    }
    let ours = sizes!(signal_instrument_t signal_egress_t signal_result_t signal_stats_t
        signal_hop_t signal_lane_t signal_ring_t);
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(ROOT).join("tests/hosts/header/packed.c");
    for (tool, language) in [("gcc", "c"), ("g++", "c++")] {
        if !has_tool(tool) {
            continue;
        }
        let program = folder.path().join(tool);
        let compiled = |flag: Option<&str>| {
            let mut compiler = Command::new(tool);
            compiler.args(flag).args(["-x", language]).arg(&source);
            run(compiler.arg("-o").arg(&program))
        };
        for (flag, own) in [(None, 16), (Some("-DPACKED"), 9)] {
            compiled(flag).expect_code(0);
            let output = run(&mut Command::new(&program));
            output.expect_code(0);
            let expected = format!("{ours}struct of_the_hosts_own {own}\n");
            assert_eq!(output.stdout, expected, "{tool} {flag:?}");
        }
        // No pragma is of use there.
        let output = compiled(Some("-fpack-struct"));
        output.expect_code(1);
        let why = "sizeof(signal_instrument_t) == 32";
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
}

/// Other compilers or switches lay structs out differently.
#[test]
fn a_layout_that_is_not_the_hosts_does_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let header = Path::new(ROOT).join("include/signal.h");
    let text = std::fs::read_to_string(header).unwrap();
    let padded = text.replace("#pragma pack(push, 1)", "");
    assert_ne!(padded, text);
    let file = folder.path().join("padded.h");
    std::fs::write(&file, padded.replace("#pragma pack(pop)", "")).unwrap();
    for (tool, language, standard) in [("gcc", "c", "-std=c11"), ("g++", "c++", "-std=c++11")] {
        if !has_tool(tool) {
            continue;
        }
        let mut compiler = Command::new(tool);
        let output = run(compiler
            .args(["-x", language, standard, "-fsyntax-only"])
            .arg(&file));
        output.expect_code(1);
        assert!(output.stderr.contains("393"), "{}", output.stderr);
    }
}
