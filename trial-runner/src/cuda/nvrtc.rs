//! CUDA's compiler at run time: a kernel's text becomes a card's code.
#![allow(unsafe_code)] // cudarc's compiler calls are C's

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::OnceLock;

use cudarc::nvrtc::sys;

use super::machine::{Defines, Fault, Kernel};

/// What every kernel includes.
pub(super) const HEADER: &str = include_str!("kernel.h");

/// What comes out of the compiler.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// Code of one architecture (a cubin).
    pub(super) code: Vec<u8>,
    /// What the compiler said; registers and spills of each entry, too.
    pub(super) log: String,
}

/// Whether there is a compiler. Cudarc panics where it is called without one.
pub(crate) fn is_here() -> bool {
    static IS_HERE: OnceLock<bool> = OnceLock::new();
    // SAFETY: opens a library and closes it.
    *IS_HERE.get_or_init(|| unsafe { sys::is_culib_present() })
}

/// Which compiler it is, as `13.0`.
pub(super) fn version() -> Result<String, Fault> {
    if !is_here() {
        return Err(absent());
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is here, and both places are written to only.
    check(unsafe { sys::nvrtcVersion(&mut major, &mut minor) }, String::new)?;
    Ok(format!("{major}.{minor}"))
}

fn absent() -> Fault {
    Fault::Refused("CUDA's compiler (libnvrtc.so.13) is not here".into())
}

/// The options for an architecture, as `90` for compute capability 9.0.
pub(super) fn options(architecture: u32, defines: Defines<'_>) -> Vec<String> {
    let mut options = vec![
        format!("--gpu-architecture=sm_{architecture}"),
        "--std=c++17".into(),
        "--fmad=false".into(),
        "--ptxas-options=-v".into(),
    ];
    options.extend(defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    options
}

/// Compiles a kernel for an architecture.
pub(super) fn compile(
    kernel: &Kernel,
    defines: Defines<'_>,
    architecture: u32,
) -> Result<Compiled, Fault> {
    if !is_here() {
        return Err(absent());
    }
    let text = |text: &str| {
        CString::new(text).map_err(|_| Fault::Refused("a kernel's text has a zero byte".into()))
    };
    let name = text(&format!("{}.cu", kernel.name))?;
    let (source, header, header_name) = (text(kernel.source)?, text(HEADER)?, c"kernel.h");
    let options: Result<Vec<CString>, Fault> =
        options(architecture, defines).iter().map(|option| text(option)).collect();
    let options = options?;
    let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let (headers, names) = ([header.as_ptr()], [header_name.as_ptr()]);
    let mut program = std::ptr::null_mut();
    // SAFETY: all strings outlive the calls, arrays have the lengths that are told, and the program
    // is used between its making and its end only.
    unsafe {
        let made = sys::nvrtcCreateProgram(
            &mut program,
            source.as_ptr(),
            name.as_ptr(),
            1,
            headers.as_ptr(),
            names.as_ptr(),
        );
        check(made, String::new)?;
        let compiled = sys::nvrtcCompileProgram(program, options.len() as c_int, options.as_ptr());
        let log = log(program);
        let code = check(compiled, || log.clone()).and_then(|()| code(program));
        sys::nvrtcDestroyProgram(&mut program);
        Ok(Compiled { code: code?, log })
    }
}

fn check(result: sys::nvrtcResult, log: impl Fn() -> String) -> Result<(), Fault> {
    result.result().map_err(|error| Fault::Refused(format!("{error}\n{}", log())))
}

/// # Safety
/// The program must be there.
unsafe fn log(program: sys::nvrtcProgram) -> String {
    let mut size = 0;
    // SAFETY: the caller's, and the log has the size that was told.
    unsafe {
        if sys::nvrtcGetProgramLogSize(program, &mut size).result().is_err() || size == 0 {
            return String::new();
        }
        let mut log = vec![0_u8; size];
        if sys::nvrtcGetProgramLog(program, log.as_mut_ptr().cast()).result().is_err() {
            return String::new();
        }
        CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// # Safety
/// The program must be there and compiled.
unsafe fn code(program: sys::nvrtcProgram) -> Result<Vec<u8>, Fault> {
    let mut size = 0;
    // SAFETY: the caller's, and the code has the size that was told.
    unsafe {
        check(sys::nvrtcGetCUBINSize(program, &mut size), String::new)?;
        let mut code = vec![0_u8; size];
        check(sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()), String::new)?;
        Ok(code)
    }
}
