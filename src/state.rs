//! Saved state as bytes: numbers as they lie in memory, one after the other.
//!
//! Factor sets and models that keep state save and load it with these functions.
//!
//! ```
//! use signal::state;
//!
//! let mut saved = Vec::new();
//! state::put(&mut saved, &[1.5, f64::NAN])?;
//! state::put(&mut saved, &7u64)?;
//! let from = &mut saved.as_slice();
//! let [first, second]: [f64; 2] = state::take(from)?;
//! assert!(first == 1.5 && second.is_nan());
//! assert_eq!(state::take::<u64>(from)?, 7);
//! assert!(state::take::<u64>(from).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, Read, Write};

use bytemuck::{AnyBitPattern, NoUninit};

/// Writes a number, or an array or struct of numbers without padding.
///
/// # Errors
///
/// What `to` returns.
pub fn put<T: NoUninit>(to: &mut (impl Write + ?Sized), value: &T) -> io::Result<()> {
    to.write_all(bytemuck::bytes_of(value))
}

/// Writes the numbers of a slice, without their count.
///
/// # Errors
///
/// What `to` returns.
pub fn put_all<T: NoUninit>(to: &mut (impl Write + ?Sized), values: &[T]) -> io::Result<()> {
    to.write_all(bytemuck::cast_slice(values))
}

/// Reads what [`put`] wrote. Any bits are accepted: the caller checks the value.
///
/// # Errors
///
/// What `from` returns; [`io::ErrorKind::UnexpectedEof`] if it ends too early.
pub fn take<T: NoUninit + AnyBitPattern>(from: &mut (impl Read + ?Sized)) -> io::Result<T> {
    let mut value = T::zeroed();
    from.read_exact(bytemuck::bytes_of_mut(&mut value))?;
    Ok(value)
}

/// Reads what [`put_all`] wrote, as many numbers as `values` has.
///
/// # Errors
///
/// As [`take`].
pub fn take_all<T: NoUninit + AnyBitPattern>(
    from: &mut (impl Read + ?Sized),
    values: &mut [T],
) -> io::Result<()> {
    from.read_exact(bytemuck::cast_slice_mut(values))
}

/// The error for a value that a saved state never has.
pub fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
