//! ONNX files that no exporter here would write.

/// A field of a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short field");
    let mut field = vec![number << 3 | 2, length & 0x7f | 0x80, length >> 7];
    field.extend(bytes);
    field
}

/// `y = x + w`, each of two numbers; these entries say where those of `w` are.
pub fn with_external_data(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| {
        field(
            13,
            &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat(),
        )
    };
    let stored: Vec<u8> = entries.iter().flat_map(entry).collect();
    let tensor = [vec![8, 2, 0x10, 1], field(8, b"w"), stored, vec![0x70, 1]].concat();
    let node = [
        field(1, b"x"),
        field(1, b"w"),
        field(2, b"y"),
        field(4, b"Add"),
    ]
    .concat();
    let port = |name: &[u8]| {
        let dims = field(2, &[field(1, &[0x12, 1, b'n']), field(1, &[8, 2])].concat());
        let tensor = field(1, &[vec![8, 1], dims].concat());
        [field(1, name), field(2, &tensor)].concat()
    };
    let graph = [
        field(1, &node),
        field(5, &tensor),
        field(11, &port(b"x")),
        field(12, &port(b"y")),
    ];
    let graph = graph.concat();
    let mut length = Vec::new();
    let mut left = graph.len();
    while left >= 0x80 {
        length.push(left as u8 | 0x80);
        left >>= 7;
    }
    length.push(left as u8);
    let opset = field(8, &[0x10, 17]);
    [vec![8, 8, 0x3a], length, graph, opset].concat()
}
