//! LightGBM through its C API: the calls for single rows, one thread.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use super::Contender;
use super::native::{self, Found};
use crate::inputs::{FACTORS, Out, Row};

// As in `LightGBM/c_api.h`.
type Handle = *mut c_void;
type LastError = unsafe extern "C" fn() -> *const c_char;
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

#[derive(Clone)]
pub struct Api {
    last_error: LastError,
    create: CreateFromModelfile,
    fast_init: FastInit,
    fast: Fast,
    pub version: String,
}

impl Api {
    pub fn open(found: Found) -> Result<Self, String> {
        let library = native::open(&found)?;
        // SAFETY: the types above are those of the header.
        unsafe {
            Ok(Self {
                last_error: native::function(library, "LGBM_GetLastError")?,
                create: native::function(library, "LGBM_BoosterCreateFromModelfile")?,
                fast_init: native::function(library, "LGBM_BoosterPredictForMatSingleRowFastInit")?,
                fast: native::function(library, "LGBM_BoosterPredictForMatSingleRowFast")?,
                version: found.version,
            })
        }
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: takes nothing and returns a string of the library.
        Err(unsafe { native::message((self.last_error)()) })
    }

    /// Neither booster nor configuration is ever freed: they are used until the
    /// end.
    pub fn load(&self, file: &Path) -> Result<Loaded, String> {
        let path = native::c_path(file)?;
        let (mut iterations, mut booster, mut fast) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: strings end in a NUL, the other pointers are to live locals,
        // and the booster comes from a call that succeeded.
        unsafe {
            self.check((self.create)(path.as_ptr(), &mut iterations, &mut booster))?;
            self.check((self.fast_init)(
                booster,
                PREDICT_NORMAL,
                0,
                ALL,
                FLOAT64,
                FACTORS as i32,
                c"num_threads=1".as_ptr(),
                &mut fast,
            ))?;
        }
        Ok(Loaded {
            api: self.clone(),
            fast,
        })
    }
}

pub struct Loaded {
    api: Api,
    fast: Handle,
}

impl Contender for Loaded {
    #[inline]
    fn run(&mut self, row: &Row, out: &mut Out) {
        let mut written = 0;
        // SAFETY: the configuration is live and made for as many `f64` as a row
        // has; a regression writes one value, for which `out` has room.
        let status = unsafe {
            (self.api.fast)(
                self.fast,
                row.as_ptr().cast(),
                &mut written,
                out.as_mut_ptr(),
            )
        };
        self.api.check(status).expect("LightGBM's prediction");
    }
}
