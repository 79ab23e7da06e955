//! XGBoost through its C API: in-place prediction, one thread.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use super::Contender;
use super::native::{self, Found};
use crate::inputs::{FACTORS, Out, Row};

// As in `xgboost/c_api.h`.
type Handle = *mut c_void;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int);
type LastError = unsafe extern "C" fn() -> *const c_char;
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

#[derive(Clone)]
pub struct Api {
    last_error: LastError,
    create: Create,
    load_model: LoadModel,
    set_param: SetParam,
    proxy: ProxyCreate,
    predict: PredictFromDense,
    pub version: String,
}

impl Api {
    pub fn open(found: Found) -> Result<Self, String> {
        let library = native::open(&found)?;
        // SAFETY: the types above are those of the header; the version goes to
        // three live locals.
        unsafe {
            let version: Version = native::function(library, "XGBoostVersion")?;
            let (mut major, mut minor, mut patch) = (0, 0, 0);
            version(&mut major, &mut minor, &mut patch);
            Ok(Self {
                last_error: native::function(library, "XGBGetLastError")?,
                create: native::function(library, "XGBoosterCreate")?,
                load_model: native::function(library, "XGBoosterLoadModel")?,
                set_param: native::function(library, "XGBoosterSetParam")?,
                proxy: native::function(library, "XGProxyDMatrixCreate")?,
                predict: native::function(library, "XGBoosterPredictFromDense")?,
                version: format!("{major}.{minor}.{patch}"),
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

    /// The booster is never freed: it is used until the end.
    pub fn load(&self, file: &Path) -> Result<Loaded, String> {
        let path = native::c_path(file)?;
        let (mut booster, mut matrix) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: strings end in a NUL, the handle's place is a live local, and
        // the handle comes from a call that succeeded.
        unsafe {
            self.check((self.create)(ptr::null(), 0, &mut booster))?;
            self.check((self.load_model)(booster, path.as_ptr()))?;
            self.check((self.set_param)(
                booster,
                c"nthread".as_ptr(),
                c"1".as_ptr(),
            ))?;
            self.check((self.proxy)(&mut matrix))?;
        }
        let input = Box::leak(Box::new([0f32; FACTORS])).as_mut_ptr();
        // The array's description as the API wants it, with its address.
        let values = format!(
            r#"{{"data": [{}, true], "shape": [1, {FACTORS}], "typestr": "<f4", "version": 3}}"#,
            input as usize
        );
        Ok(Loaded {
            api: self.clone(),
            booster,
            matrix,
            input,
            values: CString::new(values).expect("no NUL"),
        })
    }
}

pub struct Loaded {
    api: Api,
    booster: Handle,
    /// Made once: without one, each prediction makes its own.
    matrix: Handle,
    input: *mut f32,
    values: CString,
}

impl Contender for Loaded {
    #[inline]
    fn run(&mut self, row: &Row, out: &mut Out) {
        for (i, &value) in row.iter().enumerate() {
            // SAFETY: `input` holds as many floats as a row has values; nobody
            // reads them outside the prediction.
            unsafe { self.input.add(i).write(value as f32) };
        }
        let (mut shape, mut dimensions, mut result) = (ptr::null(), 0, ptr::null());
        // SAFETY: the booster is live and used by this thread alone; `values`
        // describes `input`, which is leaked; the rest are live locals.
        let status = unsafe {
            (self.api.predict)(
                self.booster,
                self.values.as_ptr(),
                CONFIG.as_ptr(),
                self.matrix,
                &mut shape,
                &mut dimensions,
                &mut result,
            )
        };
        self.api.check(status).expect("XGBoost's prediction");
        // SAFETY: a regression's prediction for one row is one float, kept by
        // the booster until its next.
        out[0] = unsafe { result.read() }.into();
    }
}
