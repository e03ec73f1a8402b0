//! A graphics card: its memory, its compiled kernels, a queue of launches and one of copies.
//!
//! Bytes come and go by the queue of copies, through memory that the card reads by itself (`staging.rs`),
//! while the other one computes: a launch waits for what was put before it, whoever takes memory for
//! the launch that used it last.
#![allow(unsafe_code)] // cudarc's launches, and memory that it hands out unset

use std::collections::HashMap;
use std::ffi::c_void;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cudarc::driver::result::{self, launch_kernel};
use cudarc::driver::sys::CUdevice_attribute::{
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN as BLOCK_SHARED,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR as PROCESSOR_SHARED,
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as PROCESSORS,
};
use cudarc::driver::sys::{
    self, CUevent_flags, CUfunction_attribute_enum, CUmemPool_attribute, CUresult,
};
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError,
    PinnedHostSlice,
};
use cudarc::nvrtc::Ptx;

use super::kept::Kept;
use super::machine::Limits;
use super::machine::{Buffer, Defines, Fault, Grid, Kernel, Word};
use super::nvrtc::{self, Target};
use super::shipped;
use super::staging::Staging;
use crate::caught::{Panic, caught};
use crate::devices::{Broken, Card as About, Looked};

/// A card that this process uses.
#[derive(Debug)]
pub(crate) struct Card {
    context: Arc<CudaContext>,
    queue: Arc<CudaStream>,
    /// Where bytes come and go meanwhile.
    copies: Arc<CudaStream>,
    staging: Mutex<Staging>,
    /// Compute capability, as 90 for 9.0.
    architecture: u32,
    /// When the card was opened.
    opened: Arc<CudaEvent>,
    /// Beginnings and ends of launches that nobody asked for yet.
    launched: Mutex<Vec<(CudaEvent, Arc<CudaEvent>)>>,
    kept: Kept,
    /// What was compiled and loaded, or why it cannot be: for all queues.
    loaded: Arc<Mutex<HashMap<String, Result<CudaFunction, Fault>>>>,
}

/// Memory of a card.
#[derive(Debug)]
pub(crate) struct Slab {
    memory: CudaSlice<u8>,
    /// Without what is there for alignment.
    n_bytes: usize,
    /// The end of the launch that used it last.
    used: Mutex<Option<Arc<CudaEvent>>>,
}

impl Slab {
    fn used(&self) -> Option<Arc<CudaEvent>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // It goes back to the queue of copies, which has to know what still uses it.
        if let Some(used) = self.used() {
            let _ = self.memory.stream().wait(&used);
        }
    }
}

/// The driver's library, as everybody links it.
const LIBRARY: &str = "libcuda.so.1";
/// The oldest driver that takes what the compiler of our version writes: CUDA 13.0.
const LEAST_DRIVER: i32 = 13_000;
/// Shared bytes that kernels name themselves, at most, but for those that plan with more: see
/// `registers.txt`.
pub(super) const MOST_STATIC: usize = 1 << 10;
/// What the launches of all threads should take together: who waits hears of progress, and may
/// cancel.
pub(super) const LAUNCH_S: f64 = 1.0;

/// The driver's library.
enum Driver {
    Here,
    Absent,
    /// It is here, and why it cannot be loaded.
    Broken(String),
}

/// Loads it: only a process of its own may ask. Cudarc panics where it is called without.
fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| {
        // SAFETY: opens a library and closes it.
        if unsafe { sys::is_culib_present() } {
            return Driver::Here;
        }
        // SAFETY: the same.
        let Err(error) = (unsafe { libloading::Library::new(LIBRARY) }) else {
            return Driver::Absent;
        };
        let says = std::error::Error::source(&error).unwrap_or(&error).to_string();
        match says.starts_with(&format!("{LIBRARY}: cannot open shared object file: No such file"))
        {
            true => Driver::Absent,
            false => Driver::Broken(legible(&says)),
        }
    })
}

/// The same without what moves a terminal's cursor or colours it.
fn legible(text: &str) -> String {
    let one = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(one).collect()
}

/// What came of a driver that made cudarc panic: one that lacks something does.
pub(crate) fn failed(panic: &Panic) -> String {
    let says = panic.message().unwrap_or("an error without a name");
    let lacks = says.strip_prefix("Missing symbol ").and_then(|rest| rest.split(':').next());
    match lacks {
        Some(name) => format!("the driver lacks {name}, which fleetfit needs"),
        None => format!("the driver fails: {says}"),
    }
}

/// The cards of this machine, or why none can be used.
pub(crate) fn look() -> Looked {
    let looked = caught(look_around).unwrap_or_else(|panic| Err(failed(&panic)));
    looked.unwrap_or_else(Looked::nothing)
}

fn look_around() -> Result<Looked, String> {
    match driver() {
        Driver::Here => {}
        Driver::Absent => return Err(format!("the driver's library ({LIBRARY}) is not found")),
        Driver::Broken(says) => {
            return Err(format!("the driver's library ({LIBRARY}) cannot be loaded: {says}"));
        }
    }
    let refused = |error: DriverError| format!("the driver refuses: {}", says(error));
    let mut version = 0;
    // SAFETY: the library is here, and the place is written to only.
    unsafe { sys::cuDriverGetVersion(&mut version).result() }.map_err(refused)?;
    let driver = format!("{}.{}", version / 1_000, version % 1_000 / 10);
    if version < LEAST_DRIVER {
        return Err(format!("the driver is for CUDA {driver}, but 13.0 or later is needed"));
    }
    result::init().map_err(|error| match error.0 {
        CUresult::CUDA_ERROR_NO_DEVICE => "the driver finds no card".to_owned(),
        _ => refused(error),
    })?;
    let n_cards = result::device::get_count().map_err(refused)?;
    let about = |number: i32| {
        let device = result::device::get(number)?;
        // SAFETY: the device was told by the driver.
        let (memory, [major, minor, multiprocessors]) = unsafe {
            let attribute = |attribute| result::device::get_attribute(device, attribute);
            let all = [attribute(MAJOR)?, attribute(MINOR)?, attribute(PROCESSORS)?];
            (result::device::total_mem(device)?, all)
        };
        Ok(About {
            device: format!("cuda:{number}"),
            name: legible(&result::device::get_name(device)?),
            memory_bytes: memory as u64,
            multiprocessors: multiprocessors.unsigned_abs(),
            compute_capability: format!("{major}.{minor}"),
            driver: driver.clone(),
        })
    };
    let (mut cards, mut broken) = (Vec::new(), Vec::new());
    for number in 0..n_cards {
        let device = format!("cuda:{number}");
        match about(number).map_err(refused) {
            Ok(card) => cards.push(card),
            Err(because) => broken.push(Broken { device, because }),
        }
    }
    match (cards.is_empty(), broken.first()) {
        (true, None) => Err("the driver finds no card".into()),
        (true, Some(first)) => Err(first.because.clone()),
        _ => Ok(Looked { cards, broken, none_because: None }),
    }
}

impl Card {
    /// Begins to use a card, by its number; compiled kernels are kept in a folder. The driver must be
    /// here.
    pub(super) fn open(number: usize, kernels: &Path) -> Result<Self, Fault> {
        let context = CudaContext::new(number).map_err(fault)?;
        // SAFETY: what orders the two queues is said here, so nobody needs cudarc's own events.
        unsafe { context.disable_event_tracking() };
        // Without it allocations take longer, and nothing else.
        let _ = keep_memory(&context);
        let [queue, copies] = [context.new_stream(), context.new_stream()];
        let (queue, copies) = (queue.map_err(fault)?, copies.map_err(fault)?);
        let (major, minor) = context.compute_capability().map_err(fault)?;
        let architecture = (major * 10 + minor).unsigned_abs();
        let kept = Kept::of(kernels);
        let opened = Arc::new(mark(&queue)?);
        let (launched, loaded, staging) = Default::default();
        Ok(Self { context, queue, copies, staging, architecture, opened, launched, kept, loaded })
    }

    /// Another queue of the same card: what it launches runs beside what this one does.
    pub(super) fn beside(&self) -> Result<Self, Fault> {
        self.context.bind_to_thread().map_err(fault)?;
        Ok(Self {
            context: Arc::clone(&self.context),
            queue: self.context.new_stream().map_err(fault)?,
            copies: self.context.new_stream().map_err(fault)?,
            staging: Mutex::default(),
            architecture: self.architecture,
            opened: Arc::clone(&self.opened),
            launched: Mutex::default(),
            kept: self.kept.clone(),
            loaded: Arc::clone(&self.loaded),
        })
    }

    /// What the card has, for one of several threads that use it.
    pub(super) fn limits(&self, n_threads: usize) -> Result<Limits, Fault> {
        self.context.bind_to_thread().map_err(fault)?;
        let (n_free, _) = self.context.mem_get_info().map_err(fault)?;
        let attribute = |attribute| -> Result<usize, Fault> {
            let value = self.context.attribute(attribute).map_err(fault)?;
            Ok(usize::try_from(value).unwrap_or_default())
        };
        Ok(Limits {
            n_processors: attribute(PROCESSORS)?,
            max_shared: attribute(BLOCK_SHARED)?.saturating_sub(MOST_STATIC),
            processor_shared: attribute(PROCESSOR_SHARED)?,
            // Two launches are held at once, and what others take meanwhile is not there either.
            memory: n_free / 3 / n_threads.max(1),
            launch_s: LAUNCH_S / n_threads.max(1) as f64,
        })
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<Slab, Fault> {
        let mut slab = self.blank(bytes.len())?;
        let filled = self.fill(&mut slab, 0..bytes.len(), &mut &*bytes);
        filled.map_err(|_| Fault::Refused("there are too few bytes".into()))??;
        Ok(slab)
    }

    /// Writes to a part of memory what comes from somewhere. All of it is read, whatever happens.
    pub(super) fn fill(
        &self,
        slab: &mut Slab,
        range: Range<usize>,
        from: &mut dyn Read,
    ) -> io::Result<Result<(), Fault>> {
        let mut part = match self.context.bind_to_thread() {
            Ok(()) => slab.memory.try_slice_mut(range.clone()),
            Err(_) => None,
        };
        let Some(part) = &mut part else {
            io::copy(&mut from.take(range.len() as u64), &mut io::sink())?;
            return Ok(Err(Fault::Refused("the memory is smaller".into())));
        };
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        staging.fill(&self.copies, part, from)
    }

    /// Copies memory to a part of other memory.
    pub(super) fn copy(
        &self,
        from: (&Slab, Range<usize>),
        into: (&mut Slab, usize),
    ) -> Result<(), Fault> {
        let ((from, range), (into, at)) = (from, into);
        let end = at + range.len();
        let parts = (from.memory.try_slice(range), into.memory.try_slice_mut(at..end));
        let (Some(from), Some(mut into)) = parts else {
            return Err(Fault::Refused("the memory is smaller".into()));
        };
        self.copies.memcpy_dtod(&from, &mut into).map_err(fault)
    }

    /// Waits until all bytes are where they were put.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        self.copies.synchronize().map_err(fault)
    }

    pub(super) fn room(&self, n_bytes: usize) -> Result<Slab, Fault> {
        let mut slab = self.blank(n_bytes)?;
        self.copies.memset_zeros(&mut slab.memory).map_err(fault)?;
        Ok(slab)
    }

    /// Memory that the caller fills.
    pub(super) fn blank(&self, n_bytes: usize) -> Result<Slab, Fault> {
        self.context.bind_to_thread().map_err(fault)?;
        // No memory at all is an error to the driver.
        let n_held = n_bytes.max(1).next_multiple_of(16);
        // SAFETY: whoever asks fills it before anybody reads it.
        let memory = unsafe { self.copies.alloc(n_held) }.map_err(fault)?;
        Ok(Slab { memory, n_bytes, used: Mutex::default() })
    }

    pub(super) fn take(&self, slab: &Slab) -> Result<Vec<u8>, Fault> {
        if let Some(used) = slab.used() {
            self.copies.wait(&used).map_err(fault)?;
        }
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = staging.take(&self.copies, &slab.memory.as_view())?;
        bytes.truncate(slab.n_bytes);
        Ok(bytes)
    }

    pub(super) fn launch(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        grid: Grid,
        words: &[Word<'_>],
    ) -> Result<(), Fault> {
        self.context.bind_to_thread().map_err(fault)?;
        let function = self.function(kernel, defines)?;
        let mut fields = Vec::with_capacity(words.len());
        for word in words {
            fields.push(match *word {
                Word::Buffer(Buffer::Card(slab)) => slab.memory.device_ptr(&self.queue).0,
                Word::Buffer(_) => return Err(super::machine::elsewhere()),
                Word::Int(value) => value as u64,
                Word::Real(value) => value.to_bits(),
            });
        }
        self.has_size(&function, size_of_val(fields.as_slice()))?;
        let mut fields: [*mut c_void; 1] = [fields.as_mut_ptr().cast()];
        self.queue.join(&self.copies).map_err(fault)?;
        let began = mark(&self.queue)?;
        // SAFETY: the kernel takes one structure of that many bytes (`has_size`), which the driver
        // copies before it returns; buffers live until the queue is done with them, because each goes
        // back only after the launch that used it last.
        let launched = unsafe {
            launch_kernel(
                function.cu_function(),
                (grid.n_blocks as u32, 1, 1),
                (grid.n_threads as u32, 1, 1),
                grid.shared as u32,
                self.queue.cu_stream(),
                &mut fields,
            )
        };
        launched.map_err(fault)?;
        let ended = Arc::new(mark(&self.queue)?);
        for word in words {
            if let Word::Buffer(Buffer::Card(slab)) = word {
                let mut used = slab.used.lock().unwrap_or_else(PoisonError::into_inner);
                *used = Some(Arc::clone(&ended));
            }
        }
        self.launched.lock().unwrap_or_else(PoisonError::into_inner).push((began, ended));
        Ok(())
    }

    /// How many blocks of a kernel a multiprocessor has at once, by the registers and the shared memory
    /// of what was compiled.
    pub(super) fn resident(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        (n_threads, shared): (usize, usize),
    ) -> Result<usize, Fault> {
        self.context.bind_to_thread().map_err(fault)?;
        let function = self.function(kernel, defines)?;
        let n_threads = n_threads as u32;
        let n_blocks =
            function.occupancy_max_active_blocks_per_multiprocessor(n_threads, shared, None);
        Ok(n_blocks.map_err(fault)? as usize)
    }

    /// When each launch since the last such question began and ended, in seconds since the card was
    /// opened. Waits for those that are not over.
    pub(super) fn spans(&self) -> Result<Vec<(f64, f64)>, Fault> {
        self.queue.synchronize().map_err(fault)?;
        let mut launched = self.launched.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |mark: &CudaEvent| -> Result<f64, Fault> {
            Ok(f64::from(self.opened.elapsed_ms(mark).map_err(fault)?) / 1e3)
        };
        launched.drain(..).map(|(began, ended)| Ok((since(&began)?, since(&ended)?))).collect()
    }

    /// Refuses a launch whose words are not the kernel's structure.
    fn has_size(&self, function: &CudaFunction, n_bytes: usize) -> Result<(), Fault> {
        let (mut offset, mut size) = (0, 0);
        // SAFETY: the function is loaded, and both places are written to only.
        let told = unsafe {
            sys::cuFuncGetParamInfo(function.cu_function(), 0, &mut offset, &mut size).result()
        };
        told.map_err(fault)?;
        if size == n_bytes {
            return Ok(());
        }
        Err(Fault::Refused(format!("the kernel takes {size} bytes, not {n_bytes}")))
    }

    /// The kernel, compiled and loaded by whoever needs it first.
    fn function(&self, kernel: &Kernel, defines: Defines<'_>) -> Result<CudaFunction, Fault> {
        let key = format!("{} {defines:?}", kernel.name);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(&key) {
            return known.clone();
        }
        let function = self.load(kernel, defines);
        // What is refused now is refused always; what found no memory may find some.
        if matches!(function, Ok(_) | Err(Fault::Refused(_))) {
            loaded.insert(key, function.clone());
        }
        function
    }

    fn load(&self, kernel: &Kernel, defines: Defines<'_>) -> Result<CudaFunction, Fault> {
        let code = match shipped::cubin(kernel, defines, self.architecture) {
            Some(code) => Ptx::from_binary(code),
            // Where there is no compiler, the driver is one.
            None => self
                .compiled(kernel, defines)
                .map(Ptx::from_binary)
                .or_else(|fault| shipped::ptx(kernel, defines).map(Ptx::from_src).ok_or(fault))?,
        };
        let module = self.context.load_module(code).map_err(fault)?;
        let function = module.load_function(kernel.name).map_err(fault)?;
        self.share_all(&function).map_err(fault)?;
        Ok(function)
    }

    /// Lets launches have all shared memory beside what the kernel names itself: once, because every
    /// thread launches the same function, each with as much as it needs.
    fn share_all(&self, function: &CudaFunction) -> Result<(), DriverError> {
        let most = self.context.attribute(BLOCK_SHARED)?;
        let own = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
        let own = function.get_attribute(own)?;
        let shared = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        function.set_attribute(shared, most.saturating_sub(own))
    }

    /// The kernel from the compiler, or from an earlier run of it.
    fn compiled(&self, kernel: &Kernel, defines: Defines<'_>) -> Result<Vec<u8>, Fault> {
        let target = Target::Cubin(self.architecture);
        let options = nvrtc::options(target, defines).join(" ");
        let made_of = [kernel.source, nvrtc::HEADER, &options, &nvrtc::version()?];
        if let Some(code) = self.kept.find(&made_of) {
            return Ok(code);
        }
        let code = nvrtc::compile(kernel, defines, target)?.code;
        self.kept.keep(&made_of, &code);
        Ok(code)
    }
}

/// Has the driver keep memory that was given back for whoever asks next, up to a quarter of all: by
/// itself it takes it away whenever a queue is waited for.
fn keep_memory(context: &CudaContext) -> Result<(), DriverError> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut most = context.total_mem()? as u64 / 4;
    let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is the context's, and the driver reads a number of 64 bits before it returns.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut most).cast())
    }
}

/// Memory of the host that the card reads by itself.
pub(super) fn pinned(
    context: &Arc<CudaContext>,
    n_bytes: usize,
) -> Result<PinnedHostSlice<u8>, Fault> {
    // SAFETY: all of it is written before anybody gets it.
    let mut memory = unsafe { context.alloc_pinned_with_flags(n_bytes, 0) }.map_err(fault)?;
    memory.as_mut_slice().map_err(fault)?.fill(0);
    Ok(memory)
}

/// A time in a queue.
fn mark(queue: &CudaStream) -> Result<CudaEvent, Fault> {
    queue.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).map_err(fault)
}

/// What the driver says about an error.
fn says(error: DriverError) -> String {
    let text = error.error_string().map(|text| text.to_string_lossy().into_owned());
    text.unwrap_or_else(|_| "an error without a name".into())
}

/// What an error of the driver means to whoever launched.
pub(super) fn fault(error: DriverError) -> Fault {
    let says = says(error);
    match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => Fault::OutOfMemory,
        // What was asked for is wrong; the next may be right.
        CUresult::CUDA_ERROR_INVALID_VALUE
        | CUresult::CUDA_ERROR_INVALID_IMAGE
        | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUresult::CUDA_ERROR_INVALID_PTX
        | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | CUresult::CUDA_ERROR_NOT_FOUND
        | CUresult::CUDA_ERROR_NO_DEVICE
        | CUresult::CUDA_ERROR_INVALID_DEVICE
        | CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES => Fault::Refused(says),
        _ => Fault::Lost(says),
    }
}
