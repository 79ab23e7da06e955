//! LightGBM through its C API: the calls for single rows, one thread.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use libloading::Library;

use super::native::{self, function};
use crate::inputs::{FACTORS, Out, Row};
use crate::measure::Timed;

// As in `LightGBM/c_api.h`.
type Handle = *mut c_void;
type CreateFromModelfile =
    unsafe extern "C" fn(*const c_char, out_iterations: *mut c_int, out: *mut Handle) -> c_int;
type FastInit = unsafe extern "C" fn(
    Handle,
    predict_type: c_int,
    start_iteration: c_int,
    iterations: c_int,
    data_type: c_int,
    columns: i32,
    parameters: *const c_char,
    out: *mut Handle,
) -> c_int;
type Fast = unsafe extern "C" fn(Handle, *const c_void, *mut i64, *mut f64) -> c_int;

const PREDICT_NORMAL: c_int = 0;
const FLOAT64: c_int = 1;
const ALL: c_int = -1;

/// Neither booster nor configuration is ever freed: they are used until the end.
pub fn load(library: &'static Library, file: &Path) -> Result<Box<dyn Timed>, String> {
    let path = native::c_path(file)?;
    let check = native::checked(library, "LGBM_GetLastError")?;
    let (mut iterations, mut booster, mut fast) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: the types above are those of the header; strings end in a NUL, the other
    // pointers are to live locals, and the booster comes from a call that succeeded.
    let predict = unsafe {
        let create: CreateFromModelfile = function(library, "LGBM_BoosterCreateFromModelfile")?;
        let init: FastInit = function(library, "LGBM_BoosterPredictForMatSingleRowFastInit")?;
        check(create(path.as_ptr(), &mut iterations, &mut booster))?;
        let (columns, parameters) = (FACTORS as i32, c"num_threads=1".as_ptr());
        check(init(
            booster,
            PREDICT_NORMAL,
            0,
            ALL,
            FLOAT64,
            columns,
            parameters,
            &mut fast,
        ))?;
        function::<Fast>(library, "LGBM_BoosterPredictForMatSingleRowFast")?
    };
    Ok(Box::new(move |row: &Row, out: &mut Out| {
        let mut written = 0;
        // SAFETY: the configuration is live and made for as many `f64` as a row
        // has; a regression writes one value, for which `out` has room.
        let status = unsafe { predict(fast, row.as_ptr().cast(), &mut written, out.as_mut_ptr()) };
        check(status).expect("LightGBM's prediction");
    }))
}
