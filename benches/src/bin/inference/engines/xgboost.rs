//! XGBoost through its C API: in-place prediction, one thread.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

use super::native::{self, function};
use crate::inputs::{FACTORS, Out, Row};
use crate::measure::Timed;

// As in `xgboost/c_api.h`.
type Handle = *mut c_void;
type ProxyCreate = unsafe extern "C" fn(*mut Handle) -> c_int;
type Create = unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int;
type LoadModel = unsafe extern "C" fn(Handle, *const c_char) -> c_int;
type SetParam = unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
type PredictFromDense = unsafe extern "C" fn(
    Handle,
    values: *const c_char,
    config: *const c_char,
    matrix: Handle,
    out_shape: *mut *const u64,
    out_dimensions: *mut u64,
    out: *mut *const f32,
) -> c_int;

const CONFIG: &std::ffi::CStr = c"{\"type\": 0, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, \"strict_shape\": false, \"cache_id\": 0, \"missing\": NaN}";

/// The booster is never freed: it is used until the end. Nor is the proxy matrix, which
/// each prediction would otherwise make for itself.
pub fn load(library: &'static Library, file: &Path) -> Result<Box<dyn Timed>, String> {
    let path = native::c_path(file)?;
    let check = native::checked(library, "XGBGetLastError")?;
    let (mut booster, mut matrix) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the types above are those of the header; strings end in a NUL, the handle's
    // place is a live local, and the handle comes from a call that succeeded.
    let predict = unsafe {
        let create: Create = function(library, "XGBoosterCreate")?;
        let load: LoadModel = function(library, "XGBoosterLoadModel")?;
        let set: SetParam = function(library, "XGBoosterSetParam")?;
        let proxy: ProxyCreate = function(library, "XGProxyDMatrixCreate")?;
        check(create(ptr::null(), 0, &mut booster))?;
        check(load(booster, path.as_ptr()))?;
        check(set(booster, c"nthread".as_ptr(), c"1".as_ptr()))?;
        check(proxy(&mut matrix))?;
        function::<PredictFromDense>(library, "XGBoosterPredictFromDense")?
    };
    let input = native::floats::<FACTORS>();
    // The array's description as the API wants it, with its address.
    let values = format!(
        r#"{{"data": [{}, true], "shape": [1, {FACTORS}], "typestr": "<f4", "version": 3}}"#,
        input as usize
    );
    let values = CString::new(values).expect("no NUL");
    Ok(Box::new(move |row: &Row, to: &mut Out| {
        let (mut shape, mut dimensions, mut result) = (ptr::null(), 0, ptr::null());
        let (values, config) = (values.as_ptr(), CONFIG.as_ptr());
        let (shape, dimensions, out) = (&mut shape, &mut dimensions, &mut result);
        // SAFETY: the booster is live and used by this thread alone; `values`
        // describes `input`, which is leaked and which nobody reads outside the library's
        // prediction; the rest are live locals.
        let status = unsafe {
            input.write(row.map(|value| value as f32));
            predict(booster, values, config, matrix, shape, dimensions, out)
        };
        check(status).expect("XGBoost's prediction");
        // SAFETY: a regression's prediction for one row is one float, kept by
        // the booster until its next.
        to[0] = unsafe { result.read() }.into();
    }))
}
