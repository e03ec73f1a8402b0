//! What a code or input folder holds, as it is sent to another machine.
//!
//! The same rules as for a copy, with one difference: a link that leads out of its folder would lead
//! nowhere elsewhere, so what it leads to takes its place.

use std::path::{Path, PathBuf};

use fleetfit_search_spaces::material::{Entry, Link, MAX_FILES};

use super::{CodeError, Ignore, LIMITS, Limits, Reading, at};

/// What a folder holds. All places start from it; that of a single file is its name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Its files, and where each lies.
    pub(crate) files: Vec<(Entry, PathBuf)>,
    /// Its links, all of them to something in it.
    pub(crate) links: Vec<Link>,
    /// Its folders that hold nothing. The empty one is itself.
    pub(crate) folders: Vec<String>,
}

/// What is sent of a code folder. `data_dir` is fleetfit's own and no part of it.
pub(crate) fn list_code(code: &Path, data_dir: &Path) -> Result<Listing, CodeError> {
    let code = std::fs::canonicalize(code).map_err(at(code))?;
    let own = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    list(&code, &own, Ignore::of(&code), LIMITS)
}

/// What is sent of an input: a file, or everything in a folder.
pub(crate) fn list_input(input: &Path) -> Result<Listing, CodeError> {
    let input = std::fs::canonicalize(input).map_err(at(input))?;
    let limits = Limits { bytes: u64::MAX, files: MAX_FILES };
    list(&input, Path::new(""), Ignore::nothing(), limits)
}

fn list(code: &Path, own: &Path, ignore: Ignore, limits: Limits) -> Result<Listing, CodeError> {
    let mut reading = Reading::of(code, own, ignore, limits);
    reading.listing = Some(Listing::default());
    reading.read(None)?;
    Ok(reading.listing.unwrap_or_default())
}

impl Listing {
    /// How many things it has.
    pub(super) fn len(&self) -> usize {
        self.files.len() + self.links.len() + self.folders.len()
    }

    pub(super) fn file(
        &mut self,
        inside: &Path,
        source: &Path,
        digest: &blake3::Hash,
        bytes: u64,
        executable: bool,
    ) -> Result<(), CodeError> {
        let digest = digest.to_hex().to_string();
        let entry = Entry { at: text(inside)?, digest, bytes, executable, origin: None };
        self.files.push((entry, source.to_owned()));
        Ok(())
    }

    pub(super) fn folder(&mut self, inside: &Path) -> Result<(), CodeError> {
        self.folders.push(text(inside)?);
        Ok(())
    }
}

impl Reading<'_> {
    /// Lists a link, or what it leads to.
    pub(super) fn list_link(&mut self, inside: &Path, depth: usize) -> Result<(), CodeError> {
        let source = self.code.join(inside);
        let target = std::fs::read_link(&source).map_err(at(&source))?;
        let real = std::fs::canonicalize(&source);
        let is_inside = real.as_ref().map_or(true, |real| real.starts_with(self.code));
        let target = target.to_str().filter(|target| is_inside && stays(inside, target));
        if let (Some(to), Some(listing)) = (target, &mut self.listing) {
            listing.links.push(Link { at: text(inside)?, to: to.to_owned() });
            return Ok(());
        }
        match real.and_then(|real| std::fs::metadata(&real).map(|metadata| (real, metadata))) {
            // Into itself, without end.
            Ok((real, metadata)) if metadata.is_dir() && source.starts_with(&real) => {
                Err(CodeError::Io {
                    path: source.display().to_string(),
                    source: std::io::Error::other("this link leads to a folder that it lies in"),
                })
            }
            Ok((_, metadata)) if metadata.is_dir() => self.folder(inside, None, depth + 1),
            Ok((_, metadata)) if metadata.is_file() => self.file(inside, None, &metadata),
            // A link to nothing, or to a device: there is nothing to send.
            _ => Ok(()),
        }
    }
}

/// Whether a link leads upwards first, not above its folder, and only downwards then: the same
/// wherever the folder lies.
fn stays(inside: &Path, target: &str) -> bool {
    let mut names = target.split('/').skip_while(|name| *name == "..");
    let n_up = target.split('/').take_while(|name| *name == "..").count();
    let depth = inside.components().count().saturating_sub(1);
    n_up <= depth && names.all(|name| !matches!(name, "" | "." | "..") && name.len() <= 255)
}

fn text(inside: &Path) -> Result<String, CodeError> {
    let name = || CodeError::Name { path: inside.display().to_string() };
    inside.to_str().map(str::to_owned).ok_or_else(name)
}
