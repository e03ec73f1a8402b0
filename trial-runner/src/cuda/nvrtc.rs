//! CUDA's compiler at run time: a kernel's text becomes a card's code.
#![allow(unsafe_code)] // cudarc's compiler calls are C's

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::OnceLock;

use cudarc::nvrtc::sys;

use super::machine::{Defines, Fault, Kernel};

/// What every kernel includes.
pub(super) const HEADER: &str = include_str!("kernel.h");

/// What a kernel is compiled to, for an architecture: `90` for compute capability 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Code of this one, and of later ones of its family.
    Cubin(u32),
    /// What drivers compile for this one or any later.
    Ptx(u32),
}

/// What comes out of the compiler.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// What was asked for.
    pub(super) code: Vec<u8>,
    /// What the compiler said; registers and spills of each entry, too.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold registers against it"))]
    pub(super) log: String,
}

/// Whether there is a compiler, which is loaded for that: only a process of its own may ask. Cudarc
/// panics where it is called without one.
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

/// The options for a target.
pub(super) fn options(target: Target, defines: Defines<'_>) -> Vec<String> {
    let mut options = vec![
        match target {
            Target::Cubin(architecture) => format!("--gpu-architecture=sm_{architecture}"),
            Target::Ptx(architecture) => format!("--gpu-architecture=compute_{architecture}"),
        },
        "--std=c++17".into(),
        "--fmad=false".into(),
    ];
    if matches!(target, Target::Cubin(_)) {
        options.push("--ptxas-options=-v".into());
    }
    options.extend(defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    options
}

/// Compiles a kernel.
pub(super) fn compile(
    kernel: &Kernel,
    defines: Defines<'_>,
    target: Target,
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
        options(target, defines).iter().map(|option| text(option)).collect();
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
        let code = check(compiled, || log.clone()).and_then(|()| code(program, target));
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
unsafe fn code(program: sys::nvrtcProgram, target: Target) -> Result<Vec<u8>, Fault> {
    let mut size = 0;
    // SAFETY: the caller's, and the code has the size that was told.
    unsafe {
        let is_ptx = matches!(target, Target::Ptx(_));
        let told = match is_ptx {
            true => sys::nvrtcGetPTXSize(program, &mut size),
            false => sys::nvrtcGetCUBINSize(program, &mut size),
        };
        check(told, String::new)?;
        let mut code = vec![0_u8; size];
        let place: *mut c_char = code.as_mut_ptr().cast();
        let told = match is_ptx {
            true => sys::nvrtcGetPTX(program, place),
            false => sys::nvrtcGetCUBIN(program, place),
        };
        check(told, String::new)?;
        if is_ptx {
            // A text of C ends with a zero.
            code.truncate(size.saturating_sub(1));
        }
        Ok(code)
    }
}
