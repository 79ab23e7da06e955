//! The crate of the same name, for a program that names it as a module.

pub use ::support::*;
