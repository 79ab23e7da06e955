//! Finding and opening the engines inside the Python packages.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::Library;
use serde::Deserialize;

/// Prints where each package keeps its library; imports none of them.
const SCRIPT: &str = r#"
import glob, importlib.util, json, os
from importlib.metadata import packages_distributions, version

def find(package, pattern):
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    paths = glob.glob(os.path.join(os.path.dirname(spec.origin), pattern))
    distribution = packages_distributions()[package][0]
    return {"path": sorted(paths)[0], "version": version(distribution)} if paths else None

libraries = {
    "onnxruntime": "capi/libonnxruntime.so*",
    "lightgbm": "lib/lib_lightgbm.so",
    "xgboost": "lib/libxgboost.so",
}
print(json.dumps({package: find(package, pattern) for package, pattern in libraries.items()}))
"#;

#[derive(Clone, Debug, Deserialize)]
pub struct Found {
    pub path: PathBuf,
    pub version: String,
}

/// By package; `None` for one that is not installed.
pub type Located = BTreeMap<String, Option<Found>>;

pub fn locate() -> Result<Located, String> {
    let output = Command::new("python3").args(["-c", SCRIPT]).output();
    let output = output.map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let last = why.trim().lines().last().unwrap_or("failed");
        return Err(format!("python3: {last}"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("python3: {error}"))
}

pub fn find(located: &Result<Located, String>, package: &str) -> Result<Found, String> {
    let found = located.as_ref().map_err(Clone::clone)?.get(package);
    let found = found.cloned().flatten();
    found.ok_or(format!("no Python package {package} with a shared library"))
}

/// Opens a library for good, so that its functions may be copied out of it.
pub fn open(found: Found) -> Result<&'static Library, String> {
    // SAFETY: runs the initialisers of a library that the user installed to be
    // loaded into a process, and that Python loads in the same way.
    let library = unsafe { Library::new(&found.path) }
        .map_err(|error| format!("{}: {error}", found.path.display()))?;
    Ok(Box::leak(Box::new(library)))
}

/// A function of a library.
///
/// # Safety
///
/// `F` must be the type of the C function of that name.
pub unsafe fn function<F: Copy>(library: &'static Library, name: &str) -> Result<F, String> {
    // SAFETY: the caller's promise.
    let symbol = unsafe { library.get::<F>(name) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|error| format!("{name}: {error}"))
}

pub fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())
}

/// A library's message.
///
/// # Safety
///
/// `text` is null or a string that lives and ends in a NUL.
pub unsafe fn message(text: *const c_char) -> String {
    if text.is_null() {
        return "no message".into();
    }
    // SAFETY: not null, and the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().trim().to_owned()
}

/// What judges a library's status: 0, or its last error.
pub fn checked(
    library: &'static Library,
    last_error: &str,
) -> Result<impl Fn(c_int) -> Result<(), String> + Copy, String> {
    // SAFETY: a function that takes nothing and returns a string of the library.
    let last_error: unsafe extern "C" fn() -> *const c_char =
        unsafe { function(library, last_error) }?;
    Ok(move |status| match status {
        0 => Ok(()),
        // SAFETY: as above.
        _ => Err(unsafe { message(last_error()) }),
    })
}

/// Floats whose place a library is told, never freed.
pub fn floats<const N: usize>() -> *mut [f32; N] {
    Box::leak(Box::new([0.0; N]))
}
