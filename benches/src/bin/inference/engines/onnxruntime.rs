//! onnxruntime through its C API, one thread, all optimisations.
//!
//! Both tensors are made once over buffers of ours and bound to the session, so
//! that a run has no tensor to make, no name to look up and no output to
//! allocate: the least that this API can cost.

use std::path::Path;
use std::ptr;

use libloading::Library;
use ort_sys as ort;

use super::native;
use crate::inputs::{FACTORS, OUTPUTS, Out, Row};
use crate::measure::Timed;

/// The first whose functions we need; a library knows all up to its own.
const API_VERSION: u32 = 17;

fn check(api: &ort::OrtApi, status: ort::OrtStatusPtr) -> Result<(), String> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: not null, so a status of this library, released once, after
    // its message was copied.
    unsafe {
        let message = native::message((api.GetErrorMessage)(status.0));
        (api.ReleaseStatus)(status.0);
        Err(message)
    }
}

/// Nothing of a session is ever released: it is used until the end.
pub fn load(
    library: &'static Library,
    file: &Path,
    outputs: usize,
) -> Result<Box<dyn Timed>, String> {
    // SAFETY: the type is that of `onnxruntime_c_api.h`.
    let base: unsafe extern "system" fn() -> *const ort::OrtApiBase =
        unsafe { native::function(library, "OrtGetApiBase") }?;
    // SAFETY: the function takes nothing and returns a table that lives as long as the library,
    // which is never closed. `GetApi` takes any number and returns such a table, to which newer
    // versions only append, or null.
    let api = unsafe { ((*base()).GetApi)(API_VERSION).as_ref() };
    let api = api.ok_or(format!("onnxruntime has no API {API_VERSION}"))?;
    let path = native::c_path(file)?;
    let check = |status| check(api, status);
    let (mut environment, mut options) = (ptr::null_mut(), ptr::null_mut());
    let (mut session, mut binding) = (ptr::null_mut(), ptr::null_mut());
    let (input, output) = (native::floats::<FACTORS>(), native::floats::<OUTPUTS>());
    let input_value = tensor(api, input.cast(), FACTORS)?;
    let output_value = tensor(api, output.cast(), outputs)?;
    // SAFETY: every pointer is to a live local for the length of the call, and names end in a
    // NUL; handles and values come from calls that succeeded.
    unsafe {
        let warnings = ort::OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING;
        check((api.CreateEnv)(
            warnings,
            c"bench".as_ptr(),
            &mut environment,
        ))?;
        check((api.CreateSessionOptions)(&mut options))?;
        check((api.SetIntraOpNumThreads)(options, 1))?;
        check((api.SetInterOpNumThreads)(options, 1))?;
        let all = ort::GraphOptimizationLevel::ORT_ENABLE_ALL;
        check((api.SetSessionGraphOptimizationLevel)(options, all))?;
        check((api.CreateSession)(
            environment,
            path.as_ptr(),
            options,
            &mut session,
        ))?;
        check((api.CreateIoBinding)(session, &mut binding))?;
        check((api.BindInput)(binding, c"factors".as_ptr(), input_value))?;
        check((api.BindOutput)(binding, c"signal".as_ptr(), output_value))?;
    }
    Ok(Box::new(move |row: &Row, out: &mut Out| {
        // SAFETY: session and binding are live, belong together and are used by this thread
        // alone, which also touches the leaked floats between runs alone; no options means
        // the defaults.
        let values = unsafe {
            input.write(row.map(|value| value as f32));
            check((api.RunWithBinding)(session, ptr::null(), binding)).expect("onnxruntime's run");
            output.read()
        };
        for (to, value) in out[..outputs].iter_mut().zip(values) {
            *to = value.into();
        }
    }))
}

/// A tensor of [1, width] over `data`, which is leaked.
fn tensor(api: &ort::OrtApi, data: *mut f32, width: usize) -> Result<*mut ort::OrtValue, String> {
    let shape = [1, width as i64];
    let (mut memory, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `data` holds at least `width` floats; the other pointers are to live locals.
    unsafe {
        let device = ort::OrtAllocatorType::OrtDeviceAllocator;
        let default = ort::OrtMemType::OrtMemTypeDefault;
        check(api, (api.CreateCpuMemoryInfo)(device, default, &mut memory))?;
        let status = (api.CreateTensorWithDataAsOrtValue)(
            memory,
            data.cast(),
            width * size_of::<f32>(),
            shape.as_ptr(),
            shape.len(),
            ort::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &mut value,
        );
        check(api, status)?;
    }
    Ok(value)
}
