//! Models made up here, as their trainers write them. Nobody's training set can
//! change them, and the repository needs no files for them.
//!
//! | file | what |
//! |---|---|
//! | `trees` | forests for LightGBM, XGBoost and ONNX |
//! | `network` | dense layers for ONNX |
//! | `onnx` | what ONNX files are made of |

pub mod network;
mod onnx;
pub mod trees;
