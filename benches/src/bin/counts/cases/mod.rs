//! What is counted.
//!
//! | file | what |
//! |---|---|
//! | `host` | the C functions, in `libsignal.so` as a host loads it |
//! | `stages` | each stage alone |
//! | `models` | each model alone |
//! | `events` | what goes in |
//! | `made` | models made up here |

mod events;
mod host;
mod made;
mod models;
mod stages;

pub use host::OnData;
use signal_bench::folder::Folder;

/// The library, in the folder where the cases run.
pub const LIBRARY: &str = "./libsignal.so";
/// A linear model of the factor set `market`, in the same folder.
const LINEAR: &str = "linear.json";
/// A small network on the same factors, there too.
pub const NETWORK: &str = "network.onnx";

pub trait Case {
    /// What must be there before so many calls; it is not counted.
    fn prepare(&mut self, _calls: usize) -> Result<(), String> {
        Ok(())
    }

    fn run(&mut self, calls: usize);

    /// Whether the calls did what they should; it is not counted.
    fn settle(&mut self, _calls: usize) -> Result<(), String> {
        Ok(())
    }
}

pub struct Entry {
    pub name: String,
    pub make: Box<dyn Fn() -> Made>,
}

type Made = Result<Box<dyn Case>, String>;

/// The cases whose name contains `only`, in the order of the path.
pub fn named(only: &str) -> impl Iterator<Item = Entry> {
    let all = [host::cases(), stages::cases(), models::cases()];
    let all = all.into_iter().flatten();
    all.filter(move |case| case.name.contains(only))
}

pub fn write_files(folder: &Folder) -> Result<(), String> {
    folder.write(LINEAR, &models::linear_file())?;
    let network = folder.path().join(NETWORK);
    std::fs::write(&network, made::dense(&[32, 16, 2]))
        .map_err(|error| format!("{}: {error}", network.display()))
}

fn entry(name: impl Into<String>, make: impl Fn() -> Made + 'static) -> Entry {
    let (name, make) = (name.into(), Box::new(make));
    Entry { name, make }
}

/// A case of which a call is a call of `call`, with its number.
fn each(call: impl FnMut(usize) + 'static) -> Box<dyn Case> {
    struct Each<F>(F);

    impl<F: FnMut(usize)> Case for Each<F> {
        fn run(&mut self, calls: usize) {
            (0..calls).for_each(&mut self.0);
        }
    }

    Box::new(Each(call))
}
