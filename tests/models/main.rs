//! Model files: models compared with the libraries that trained them, damaged files, and
//! the memory that reading takes, counted per thread.

mod damaged_files;
mod messages;
mod onnx_external;
mod onnx_memory;
mod onnx_models;
mod onnx_operators;
mod reading_memory;
#[cfg(feature = "tract")]
mod tract_operators;
mod tree_models;

use support::meters::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
