//! The models' rows: called as the model stage does, through `Model`.

use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;

use signal::models::{self, LightGbm, Model};
use signal_bench::folder::Folder;
use signal_bench::{feed, forest, workload};

use crate::Row;

/// A power of two.
const VECTORS: usize = 2048;
/// Of the repository: a network of the 15 factors.
const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/move.onnx");

pub fn rows() -> Result<Vec<Row>, String> {
    let vectors = Rc::new(feed::market_rows(VECTORS, 1)?);
    let mut rows = Vec::new();
    let mut add = |title: String, mut model: Box<dyn Model>| {
        let vectors = vectors.clone();
        let mut out = vec![0.0; model.outputs().len()];
        rows.push(Row::new(title, move |number| {
            model.run(
                signal::InstrumentId(0),
                &vectors[number % VECTORS],
                &mut out,
            );
            black_box(&mut out);
        }));
    };
    let registry = models::Registry::builtin();
    let names = vec!["factor"; vectors[0].len()];
    for name in ["test0000", "none"] {
        let make = registry
            .get(name)
            .ok_or_else(|| format!("there is no model {name}"))?;
        add(format!("model {name}"), make(&names));
    }
    let load = |path: &Path| models::load(path, None, &[]).map_err(|error| error.to_string());
    let folder = Folder::new("parts")?;
    let linear = load(&workload::linear_model(&folder)?)?;
    add("linear, 15 factors".into(), linear);
    add(
        "network of examples/models, ONNX".into(),
        load(Path::new(NETWORK))?,
    );
    for trees in [10, 100, 500] {
        let text = forest::lightgbm(trees, &vectors, 1);
        let model = LightGbm::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let title = format!("{trees} trees of {} leaves, LightGBM", forest::LEAVES);
        add(title, Box::new(model));
    }
    Ok(rows)
}
