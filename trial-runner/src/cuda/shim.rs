//! A machine for tests: kernels compiled by g++ against `shim/`, run as programs.
//!
//! A program is compiled once for its text and kept beside the tests; a launch is a request on its
//! standard input and the buffers back on its standard output. Where there is no g++ a launch fails
//! and says so: no test may pass without.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::machine::Limits;
use super::machine::{Buffer, Defines, Fault, Grid, Kernel, Word, elsewhere};

/// How kernels are run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shim {
    /// In which order threads go on: 0 is forwards, the largest backwards.
    pub(crate) schedule: u64,
    /// Whether the compiler watches addresses and undefined behaviour.
    pub(crate) is_sanitized: bool,
    /// Bytes that may be held; a card has no more either.
    pub(crate) max_bytes: Option<usize>,
    /// Bytes that are left for all that is held, where there is an end.
    pub(crate) left: Option<&'static AtomicUsize>,
    /// What becomes of launches, where not all of them run.
    pub(crate) fates: Option<&'static Fates>,
}

/// What becomes of launches, one after the other; those after the last one run.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    next: Mutex<VecDeque<Fate>>,
    /// How many were asked for.
    n_launches: AtomicUsize,
}

/// What becomes of a launch.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It runs.
    Runs,
    /// It fails.
    Fails(Fault),
    /// It stands for a while, and runs then.
    Stands(Duration),
    /// It stands until this is so, and runs then.
    Waits(&'static AtomicBool),
}

impl Fates {
    /// They last as long as the tests.
    pub(crate) fn of(next: impl IntoIterator<Item = Fate>) -> &'static Self {
        let next = Mutex::new(next.into_iter().collect());
        Box::leak(Box::new(Self { next, ..Self::default() }))
    }

    pub(crate) fn n_launches(&self) -> usize {
        self.n_launches.load(Ordering::SeqCst)
    }

    fn next(&self) -> Fate {
        self.n_launches.fetch_add(1, Ordering::SeqCst);
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or(Fate::Runs)
    }
}

/// Memory of the shim.
#[derive(Debug)]
pub(crate) struct Heap(Mutex<Vec<u8>>, Option<&'static AtomicUsize>);

impl Heap {
    /// None where no memory is left.
    fn new(bytes: Vec<u8>, left: Option<&'static AtomicUsize>) -> Result<Self, Fault> {
        if let Some(left) = left {
            let take = |left: usize| left.checked_sub(bytes.len());
            let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            taken.map_err(|_| Fault::OutOfMemory)?;
        }
        Ok(Self(Mutex::new(bytes), left))
    }

    /// What stands in it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).copy_from_slice(bytes);
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if let Some(left) = self.1 {
            left.fetch_add(self.bytes().len(), Ordering::SeqCst);
        }
    }
}

impl Shim {
    /// A small card.
    pub(super) fn limits(n_threads: usize) -> Limits {
        Limits {
            n_processors: 2,
            max_shared: 162 << 10,
            processor_shared: 164 << 10,
            memory: (1 << 30) / n_threads.max(1),
            launch_s: 1.0 / n_threads.max(1) as f64,
        }
    }

    /// As many blocks as a small card's threads and shared memory leave.
    pub(super) fn resident((n_threads, shared): (usize, usize)) -> usize {
        (2_048 / n_threads).min((164 << 10) / (shared + (1 << 10)))
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<Heap, Fault> {
        self.fits(bytes.len())?;
        Heap::new(bytes.to_vec(), self.left)
    }

    pub(super) fn room(&self, n_bytes: usize) -> Result<Heap, Fault> {
        self.fits(n_bytes)?;
        Heap::new(vec![0; n_bytes], self.left)
    }

    /// Writes to a part of memory what comes from somewhere.
    pub(super) fn fill(
        heap: &mut Heap,
        range: Range<usize>,
        from: &mut dyn Read,
    ) -> io::Result<Result<(), Fault>> {
        let bytes = heap.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        from.read_exact(&mut bytes[range]).map(Ok)
    }

    /// Copies memory to a part of other memory.
    pub(super) fn copy((from, range): (&Heap, Range<usize>), (into, at): (&mut Heap, usize)) {
        let own = &from.bytes()[range];
        let bytes = into.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        bytes[at..][..own.len()].copy_from_slice(own);
    }

    fn fits(&self, n_bytes: usize) -> Result<(), Fault> {
        match self.max_bytes {
            Some(most) if n_bytes > most => Err(Fault::OutOfMemory),
            _ => Ok(()),
        }
    }

    pub(super) fn launch(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        grid: Grid,
        words: &[Word<'_>],
    ) -> Result<(), Fault> {
        match self.fates.map_or(Fate::Runs, Fates::next) {
            Fate::Runs => {}
            Fate::Fails(fault) => return Err(fault),
            Fate::Stands(time) => std::thread::sleep(time),
            Fate::Waits(gate) => {
                while !gate.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        let program = self.program(kernel, defines)?;
        let mut heaps: Vec<&Heap> = Vec::new();
        let mut fields = Vec::new();
        for word in words {
            fields.push(match *word {
                Word::Buffer(Buffer::Shim(heap)) => {
                    let known = heaps.iter().position(|known| std::ptr::eq(*known, heap));
                    let index = known.unwrap_or_else(|| {
                        heaps.push(heap);
                        heaps.len() - 1
                    });
                    (0, index as u64)
                }
                Word::Buffer(_) => return Err(elsewhere()),
                Word::Int(value) => (1, value as u64),
                Word::Real(value) => (1, value.to_bits()),
            });
        }
        let heads =
            [grid.n_blocks, grid.n_threads, grid.shared, self.schedule as usize, words.len()];
        let heads = heads.iter().copied().chain([heaps.len()]).map(|head| head as u64);
        let all = heads.chain(fields.iter().flat_map(|&(kind, value)| [kind, value]));
        let mut request: Vec<u8> = all.flat_map(u64::to_ne_bytes).collect();
        for heap in &heaps {
            let bytes = heap.bytes();
            request.extend_from_slice(&(bytes.len() as u64).to_ne_bytes());
            request.extend_from_slice(&bytes);
        }
        let answer = ask(&program, &request).map_err(Fault::Refused)?;
        let mut rest = answer.as_slice();
        for heap in &heaps {
            let (own, others) = rest.split_at_checked(heap.bytes().len()).ok_or_else(|| {
                Fault::Refused(format!("{}: the answer ends too early", kernel.name))
            })?;
            heap.set(own);
            rest = others;
        }
        Ok(())
    }

    /// The compiled kernel, from an earlier test if its text is the same.
    fn program(&self, kernel: &Kernel, defines: Defines<'_>) -> Result<PathBuf, Fault> {
        let files = [
            ("kernel.h", super::nvrtc::HEADER),
            ("shim.h", include_str!("shim/shim.h")),
            ("shim.cc", include_str!("shim/shim.cc")),
        ];
        let mut flags: Vec<String> = [
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-ffp-contract=off",
            "-fno-strict-aliasing",
        ]
        .map(str::to_owned)
        .to_vec();
        flags.extend(defines.iter().map(|(name, value)| format!("-D{name}={value}")));
        if self.is_sanitized {
            let watched = ["-O1", "-g", "-fsanitize=address,undefined"];
            flags.extend(watched.map(str::to_owned));
            flags.push("-fno-sanitize-recover=all".into());
        } else {
            flags.push("-O2".into());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(kernel.source.as_bytes());
        files.iter().for_each(|(_, text)| {
            hasher.update(text.as_bytes());
        });
        hasher.update(flags.join(" ").as_bytes());
        let key = hasher.finalize().to_hex();
        let folder = folder().map_err(|error| Fault::Refused(error.to_string()))?;
        let program = folder.join(format!("{}-{}", kernel.name, &key[..16]));
        if !program.exists() {
            compile(&folder, &program, kernel, &files, &flags).map_err(Fault::Refused)?;
        }
        Ok(program)
    }
}

/// Beside the program of the tests.
fn folder() -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new(".")).join("kernels-on-the-shim");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn compile(
    folder: &Path,
    program: &Path,
    kernel: &Kernel,
    files: &[(&str, &str)],
    flags: &[String],
) -> Result<(), String> {
    let plain = |error: std::io::Error| error.to_string();
    let own = tempfile::tempdir_in(folder).map_err(plain)?;
    for (name, text) in files {
        fs::write(own.path().join(name), text).map_err(plain)?;
    }
    let source = format!("{}.cu", kernel.name);
    fs::write(own.path().join(&source), kernel.source).map_err(plain)?;
    let output = Command::new("g++")
        .current_dir(own.path())
        .args(flags)
        .args(["-I.", "-x", "c++", &source, "shim.cc", "-o", "program"])
        .output()
        .map_err(|error| {
            format!(
                "g++, which compiles kernels for the tests, does not start ({error}); tests/run \
                     installs it on Debian; elsewhere install a C++ compiler of that name"
            )
        })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // Several tests may compile the same; each moves a whole program to its place.
    fs::rename(own.path().join("program"), program).map_err(plain)
}

fn ask(program: &Path, request: &[u8]) -> Result<Vec<u8>, String> {
    let plain = |error: std::io::Error| error.to_string();
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(plain)?;
    // It reads all before it writes; one that ends early says why on standard error.
    let sent = child.stdin.take().map(|mut input| input.write_all(request));
    let output = child.wait_with_output().map_err(plain)?;
    if !output.status.success() {
        let says = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}{says}", output.status));
    }
    sent.transpose().map_err(plain)?;
    Ok(output.stdout)
}
