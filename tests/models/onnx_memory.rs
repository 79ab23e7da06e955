//! The memory needed to read hostile ONNX files is a small multiple of the file's size.

use signal::models::{Model, ModelError, Onnx};
use support::meters;

/// What any file may take, for tables that do not depend on its size.
const FLOOR: usize = 32 << 20;

fn varint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The fields of a message: each a number and its bytes.
fn message(fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        varint(&mut bytes, number << 3 | 2);
        varint(&mut bytes, value.len());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// An integer field.
fn int(number: usize, value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, number << 3);
    varint(&mut bytes, value);
    bytes
}

/// An input or output of `[batch, width]` floats.
fn port(name: &[u8], width: usize) -> Vec<u8> {
    let dims = message(&[(1, &[]), (1, &int(1, width))]);
    let kind = [int(1, 1), message(&[(2, &dims)])].concat();
    message(&[(1, name), (2, &message(&[(1, &kind)]))])
}

fn model(graph: &[(usize, &[u8])]) -> Vec<u8> {
    let opset = |domain: &[u8], version| [message(&[(1, domain)]), int(2, version)].concat();
    let rest = message(&[
        (7, &message(graph)),
        (8, &opset(b"", 17)),
        (8, &opset(b"ai.onnx.ml", 3)),
    ]);
    [int(1, 8), rest].concat()
}

/// Parses the bytes, which must take little memory beyond the file's size.
fn read(what: &str, bytes: &[u8]) -> Result<Onnx, ModelError> {
    let (read, peak) = meters::peak(|| Onnx::parse(bytes, &[]));
    let most = FLOOR + 12 * bytes.len();
    println!("{what}: a file of {} bytes takes {peak}", bytes.len());
    assert!(peak <= most, "{what}: {peak} bytes for {}", bytes.len());
    if let Err(error) = &read {
        let len = error.to_string().len();
        assert!(len < 2000, "{what}: an error of {len} bytes");
    }
    read
}

fn refused(what: &str, bytes: &[u8], expected: &str) {
    let error = read(what, bytes).unwrap_err().to_string();
    assert!(error.contains(expected), "{what}: {error}");
}

#[test]
fn small_files_take_little_memory() {
    let (x, y) = (port(b"x", 2), port(b"y", 2));
    let identity = message(&[(1, b"x"), (2, b"y"), (4, b"Identity")]);
    let good = model(&[(1, &identity), (11, &x), (12, &y)]);
    assert_eq!(
        read("two values", &good).unwrap().outputs(),
        ["y[0]", "y[1]"]
    );

    let wide = port(b"x", 31_000_000);
    let file = model(&[(1, &identity), (11, &wide), (12, &y)]);
    refused("31 million values", &file, "more than 65536 values");

    let full = port(b"x", 65_536);
    let mut graph: Vec<(usize, &[u8])> = vec![(1, &identity), (11, &full)];
    graph.extend([(12, &y[..]); 40]);
    refused("an output 40 times", &model(&graph), "is there twice");

    let long = vec![b'y'; 1 << 20];
    let made = message(&[(1, b"x"), (2, &long), (4, b"Identity")]);
    let end = port(&long, 2);
    let file = model(&[(1, &made), (11, &full), (12, &end)]);
    refused("a long name", &file, "a name of 1048576 bytes");

    let longest = vec![b'y'; 512];
    let made = message(&[(1, b"x"), (2, &longest), (4, b"Identity")]);
    let end = port(&longest, 65_536);
    let file = model(&[(1, &made), (11, &full), (12, &end)]);
    let (read_one, peak) = meters::peak(|| Onnx::parse(&file, &[]).unwrap());
    assert_eq!(read_one.outputs().len(), 65_536);
    // This includes a name for each value.
    assert!(peak < 80 << 20, "{peak}");

    let leaf = leaf();
    let far = port(b"x", 60_000_000);
    let file = model(&[(1, &leaf), (11, &far), (12, &y)]);
    refused(
        "a leaf over 60 million values",
        &file,
        "more than 65536 values",
    );

    // Entries that take only two bytes of the file each, or one.
    let lists = [
        [
            [0x0a, 0].repeat(5 << 20),
            message(&[(2, b"y"), (4, b"Concat")]),
        ]
        .concat(),
        message(&[(1, b"x"), (2, b"y"), (4, b"Concat"), (5, &names())]),
    ];
    for (list, expected) in lists.iter().zip(["262144 names", "16777216 entries"]) {
        let file = model(&[(1, list), (11, &x), (12, &y)]);
        refused(expected, &file, expected);
    }
    let add = message(&[(1, b"x"), (1, b"c"), (2, b"y"), (4, b"Add")]);
    for (field, expected) in [(1, "8 integers"), (7, "has dimensions")] {
        let ones = vec![1; 10 << 20];
        let tensor = [message(&[(8, b"c"), (field, &ones)]), int(2, 7)].concat();
        let file = model(&[(1, &add), (5, &tensor), (11, &x), (12, &y)]);
        refused(expected, &file, expected);
    }
    let mut random = fastrand::Rng::with_seed(11);
    for turn in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let (_, peak) = meters::peak(|| Onnx::parse(&bytes, &[]).map(drop));
        assert!(peak <= FLOOR, "{peak} bytes in turn {turn}: {bytes:?}");
    }
}

/// An attribute with more texts than the reader accepts.
fn names() -> Vec<u8> {
    [message(&[(1, b"axis")]), [0x4a, 0].repeat((1 << 24) + 1)].concat()
}

/// A tree with a single leaf.
fn leaf() -> Vec<u8> {
    let mut attributes = Vec::new();
    for name in [
        "treeids",
        "nodeids",
        "featureids",
        "truenodeids",
        "falsenodeids",
    ] {
        let name = format!("nodes_{name}");
        attributes.push([message(&[(1, name.as_bytes())]), int(8, 0)].concat());
    }
    for name in ["treeids", "nodeids", "ids"] {
        let name = format!("target_{name}");
        attributes.push([message(&[(1, name.as_bytes())]), int(8, 0)].concat());
    }
    for name in [&b"nodes_values"[..], b"target_weights"] {
        attributes.push(message(&[(1, name), (7, &1f32.to_le_bytes())]));
    }
    attributes.push(message(&[(1, b"nodes_modes"), (9, b"LEAF")]));
    let mut fields: Vec<(usize, &[u8])> = vec![
        (1, b"x"),
        (2, b"y"),
        (4, b"TreeEnsembleRegressor"),
        (7, b"ai.onnx.ml"),
    ];
    fields.extend(attributes.iter().map(|attribute| (5, &attribute[..])));
    message(&fields)
}
