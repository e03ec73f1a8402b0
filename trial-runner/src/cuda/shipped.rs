//! Code that comes with the program: every kernel and shape for compute capabilities 8.x and 9.x, and
//! as PTX for all others.
//!
//! Code is found by the digest of all that it is made of, so what was shipped for another text is never
//! taken. The archive is a list: a digest, a length in four bytes, as many deflated ones. Where a
//! kernel was changed, `cargo test -p fleetfit-trial-runner --lib -- --ignored it_is_written_anew`
//! writes it anew, with the compiler that tests/run installs.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::machine::{Defines, Kernel};
use super::nvrtc::{self, HEADER, Target};

/// The architecture that PTX is for: every later one takes it.
const PTX: u32 = 80;

const ARCHIVE: &[u8] = include_bytes!("shipped.bin");

/// What a piece of code is made of.
type Key = [u8; blake3::OUT_LEN];

/// A kernel's code for an architecture, as `90` for compute capability 9.0: what is compiled for the
/// first of a family runs on all of it.
pub(super) fn cubin(kernel: &Kernel, defines: Defines<'_>, architecture: u32) -> Option<Vec<u8>> {
    find(&key(kernel, defines, Target::Cubin(architecture / 10 * 10)))
}

/// A kernel for the driver to compile.
pub(super) fn ptx(kernel: &Kernel, defines: Defines<'_>) -> Option<String> {
    String::from_utf8(find(&key(kernel, defines, Target::Ptx(PTX)))?).ok()
}

/// The digest of a kernel's text, what it is specialised by, and what it is compiled for.
fn key(kernel: &Kernel, defines: Defines<'_>, target: Target) -> Key {
    let mut hasher = blake3::Hasher::new();
    let options = nvrtc::options(target, defines).join(" ");
    for text in [kernel.name, kernel.source, HEADER, &options] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Parts an archive, as far as it goes.
fn pieces(mut rest: &[u8]) -> impl Iterator<Item = (&Key, &[u8])> {
    std::iter::from_fn(move || {
        let (key, others) = rest.split_first_chunk()?;
        let (length, others) = others.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (piece, others) = others.split_at_checked(length)?;
        rest = others;
        Some((key, piece))
    })
}

/// The code with a digest.
fn find(key: &Key) -> Option<Vec<u8>> {
    let (_, piece) = pieces(ARCHIVE).find(|(own, _)| *own == key)?;
    let mut code = Vec::new();
    DeflateDecoder::new(piece).read_to_end(&mut code).ok()?;
    Some(code)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::super::tests::{Specialised, shipped};
    use super::*;

    const TARGETS: [Target; 3] = [Target::Cubin(80), Target::Cubin(90), Target::Ptx(PTX)];
    const HOW: &str = "write it anew: cargo test -p fleetfit-trial-runner --lib -- --ignored \
                       it_is_written_anew";

    fn keys() -> Vec<Key> {
        let of = |(_, kernel, defines): &(String, Kernel, Specialised)| {
            TARGETS.map(|target| key(kernel, defines, target))
        };
        shipped().iter().flat_map(of).collect()
    }

    #[test]
    fn what_is_shipped_is_made_of_today_s_kernels() {
        let found: Vec<Key> = pieces(ARCHIVE).map(|(key, _)| *key).collect();
        assert!(found == keys(), "a kernel was changed: {HOW}");
        assert!(ARCHIVE.len() < 2 << 20, "{} bytes are too many", ARCHIVE.len());
        let n_bytes: usize = pieces(ARCHIVE).map(|(_, piece)| 36 + piece.len()).sum();
        assert_eq!(n_bytes, ARCHIVE.len());
        for key in &found {
            assert!(find(key).is_some_and(|code| !code.is_empty()));
        }
        assert_eq!(find(&[0; 32]), None);
    }

    #[test]
    fn a_host_with_a_driver_alone_has_code() {
        for (name, kernel, defines) in shipped() {
            for architecture in [80, 86, 89, 90] {
                let code = cubin(&kernel, &defines, architecture).unwrap();
                assert!(code.starts_with(b"\x7fELF"), "{name} {architecture}");
            }
            assert_eq!(cubin(&kernel, &defines, 120), None);
            let ptx = ptx(&kernel, &defines).unwrap();
            // The driver of CUDA 13.0 reads PTX up to version 9.0.
            assert!(ptx.contains(".version 9.0") && ptx.contains(".target sm_80"), "{name}");
        }
    }

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "CUDA's compiler is there for Linux")]
    fn the_compiler_makes_the_same_bytes() {
        for (name, kernel, defines) in shipped() {
            // All of them take a minute.
            if !["tally", "gram", "theta"].contains(&name.as_str()) {
                continue;
            }
            for target in TARGETS {
                let code = nvrtc::compile(&kernel, &defines, target).unwrap().code;
                let shipped = find(&key(&kernel, &defines, target));
                assert!(shipped == Some(code), "{name} for {target:?} differs: {HOW}");
            }
        }
    }

    #[test]
    #[ignore = "it writes trial-runner/src/cuda/shipped.bin"]
    fn it_is_written_anew() {
        let version = nvrtc::version();
        assert_eq!(version, Ok("13.0".into()), "tests/run installs the one that is shipped");
        let mut archive = Vec::new();
        for (_, kernel, defines) in shipped() {
            for target in TARGETS {
                let code = nvrtc::compile(&kernel, &defines, target).unwrap().code;
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&code).unwrap();
                let piece = encoder.finish().unwrap();
                archive.extend(key(&kernel, &defines, target));
                archive.extend((piece.len() as u32).to_le_bytes());
                archive.extend(piece);
            }
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cuda/shipped.bin");
        std::fs::write(file, archive).unwrap();
    }
}
