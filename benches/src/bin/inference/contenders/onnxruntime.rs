//! onnxruntime through its C API, one thread, all optimisations.
//!
//! Both tensors are made once over buffers of ours and bound to the session, so
//! that a run has no tensor to make, no name to look up and no output to
//! allocate: the least that this API can cost.

use std::ffi::CString;
use std::path::Path;
use std::ptr;

use ort_sys as ort;

use super::Contender;
use super::native::{self, Found};
use crate::inputs::{FACTORS, OUTPUTS, Out, Row};

/// The first whose functions we need; a library knows all up to its own.
const API_VERSION: u32 = 17;

#[derive(Clone)]
pub struct Api {
    api: &'static ort::OrtApi,
    pub version: String,
}

impl Api {
    pub fn open(found: Found) -> Result<Self, String> {
        let library = native::open(&found)?;
        // SAFETY: the type is that of `onnxruntime_c_api.h`.
        let base: unsafe extern "system" fn() -> *const ort::OrtApiBase =
            unsafe { native::function(library, "OrtGetApiBase") }?;
        // SAFETY: the function takes nothing and returns a table that lives as
        // long as the library, which is never closed.
        let base = unsafe { &*base() };
        // SAFETY: it takes any number and returns null for one it does not know.
        let api = unsafe { (base.GetApi)(API_VERSION) };
        // SAFETY: it takes nothing and returns a string of the library.
        let version = unsafe { native::message((base.GetVersionString)()) };
        // SAFETY: if not null, a table of functions that lives as the library
        // does; newer versions only append to it.
        let api =
            unsafe { api.as_ref() }.ok_or(format!("version {version} has no API {API_VERSION}"))?;
        Ok(Self { api, version })
    }

    fn check(&self, status: ort::OrtStatusPtr) -> Result<(), String> {
        if status.0.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so a status of this library, released once, after
        // its message was copied.
        unsafe {
            let message = native::message((self.api.GetErrorMessage)(status.0));
            (self.api.ReleaseStatus)(status.0);
            Err(message)
        }
    }

    /// Nothing of a session is ever released: it is used until the end.
    pub fn load(&self, file: &Path) -> Result<Loaded, String> {
        let path = native::c_path(file)?;
        let log = CString::new("bench").expect("no NUL");
        let api = self.api;
        let (mut environment, mut options) = (ptr::null_mut(), ptr::null_mut());
        let mut session = ptr::null_mut();
        // SAFETY: every pointer is to a live local for the length of the call;
        // handles come from the calls before, which succeeded.
        unsafe {
            let warnings = ort::OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING;
            self.check((api.CreateEnv)(warnings, log.as_ptr(), &mut environment))?;
            self.check((api.CreateSessionOptions)(&mut options))?;
            self.check((api.SetIntraOpNumThreads)(options, 1))?;
            self.check((api.SetInterOpNumThreads)(options, 1))?;
            let all = ort::GraphOptimizationLevel::ORT_ENABLE_ALL;
            self.check((api.SetSessionGraphOptimizationLevel)(options, all))?;
            self.check((api.CreateSession)(
                environment,
                path.as_ptr(),
                options,
                &mut session,
            ))?;
        }
        let outputs = self.width(session)?;
        let input = Box::leak(Box::new([0f32; FACTORS])).as_mut_ptr();
        let output = Box::leak(Box::new([0f32; OUTPUTS])).as_mut_ptr();
        let input_value = self.tensor(input, FACTORS)?;
        let output_value = self.tensor(output, outputs)?;
        let mut binding = ptr::null_mut();
        // SAFETY: session and values come from calls that succeeded; names end
        // in a NUL; the binding's place is a live local.
        unsafe {
            self.check((api.CreateIoBinding)(session, &mut binding))?;
            self.check((api.BindInput)(binding, c"factors".as_ptr(), input_value))?;
            self.check((api.BindOutput)(binding, c"signal".as_ptr(), output_value))?;
        }
        Ok(Loaded {
            api: self.clone(),
            session,
            binding,
            input,
            output,
            outputs,
        })
    }

    /// Length of the one output, which models.py writes as [1, N].
    fn width(&self, session: *mut ort::OrtSession) -> Result<usize, String> {
        let mut about = ptr::null_mut();
        let mut shape = ptr::null();
        let mut dimensions = [0i64; 2];
        // SAFETY: the session is live; the pointers are to live locals; `shape`
        // borrows from `about`, which is not released.
        unsafe {
            self.check((self.api.SessionGetOutputTypeInfo)(session, 0, &mut about))?;
            self.check((self.api.CastTypeInfoToTensorInfo)(about, &mut shape))?;
            self.check((self.api.GetDimensions)(
                shape,
                dimensions.as_mut_ptr(),
                dimensions.len(),
            ))?;
        }
        match dimensions {
            [1, width @ 1..=2] => Ok(width as usize),
            _ => Err(format!(
                "output of shape {dimensions:?}; expected [1, 1 or 2]"
            )),
        }
    }

    fn tensor(&self, data: *mut f32, width: usize) -> Result<*mut ort::OrtValue, String> {
        let shape = [1, width as i64];
        let (mut memory, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `data` is leaked and holds at least `width` floats; the other
        // pointers are to live locals.
        unsafe {
            self.check((self.api.CreateCpuMemoryInfo)(
                ort::OrtAllocatorType::OrtDeviceAllocator,
                ort::OrtMemType::OrtMemTypeDefault,
                &mut memory,
            ))?;
            self.check((self.api.CreateTensorWithDataAsOrtValue)(
                memory,
                data.cast(),
                width * size_of::<f32>(),
                shape.as_ptr(),
                shape.len(),
                ort::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &mut value,
            ))?;
        }
        Ok(value)
    }
}

/// A session and the buffers bound to it.
pub struct Loaded {
    api: Api,
    session: *mut ort::OrtSession,
    binding: *mut ort::OrtIoBinding,
    input: *mut f32,
    output: *mut f32,
    outputs: usize,
}

impl Contender for Loaded {
    #[inline]
    fn run(&mut self, row: &Row, out: &mut Out) {
        for (i, &value) in row.iter().enumerate() {
            // SAFETY: `input` holds as many floats as a row has values; nobody
            // reads them outside the run.
            unsafe { self.input.add(i).write(value as f32) };
        }
        // SAFETY: session and binding are live, belong together and are used by
        // this thread alone; no options means the defaults.
        let status =
            unsafe { (self.api.api.RunWithBinding)(self.session, ptr::null(), self.binding) };
        self.api.check(status).expect("onnxruntime's run");
        for (i, value) in out[..self.outputs].iter_mut().enumerate() {
            // SAFETY: `output` holds at least `outputs` floats, just written.
            *value = unsafe { self.output.add(i).read() }.into();
        }
    }
}
