//! Where what a job names lies in its tree.
//!
//! What lies below the job file's folder keeps its place. Anything else, or what another thing's
//! place would disturb, gets a folder of its own, in which its files lie to each other as they did.

use std::path::{Component, Path, PathBuf};

use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::material::{Entry, Link, OUTSIDE, ROOT, tidy};

use super::MaterialError;
use crate::command::Listing;

/// One path of a job.
pub(super) struct Item<'a> {
    /// The job's key for it.
    pub(super) key: String,
    /// As the job writes it.
    pub(super) written: &'a str,
    /// What it stands for.
    pub(super) found: Found,
}

/// What a path stands for.
pub(super) enum Found {
    /// Files of a table, with their digests.
    Data(Vec<(PathBuf, Entry)>),
    /// A code folder.
    Code(Listing),
    /// An input.
    Input(Listing),
}

/// Everything of one path, in its places.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) place: String,
    pub(super) files: Vec<(Entry, PathBuf)>,
    pub(super) links: Vec<Link>,
    pub(super) folders: Vec<String>,
}

/// Puts every item in its place. `base` is where the job's paths start.
pub(super) fn lay_out(base: &Path, items: Vec<Item<'_>>) -> Result<Vec<Placed>, MaterialError> {
    let base = lexical(base)?;
    let keeps: Vec<Option<String>> = items.iter().map(|item| own_place(&base, item)).collect();
    let any_outside = keeps.iter().any(Option::is_none);
    let mut n_outside = 0;
    let mut placed = Vec::with_capacity(items.len());
    for (item, kept) in items.into_iter().zip(keeps) {
        let has_parent = item.written.contains("..");
        if has_parent && pattern_start(&base, item.written).is_some_and(|(_, rest)| up(rest)) {
            return Err(MaterialError::Pattern(item.written.to_owned()));
        }
        // What reaches into every folder would reach into those of the others.
        let kept = kept.filter(|_| !(any_outside && is_everywhere(&base, &item)));
        placed.push(match kept {
            Some(place) => inside(&base, item, place)?,
            None => {
                n_outside += 1;
                outside(&base, item, &format!("{OUTSIDE}/{}", n_outside - 1))?
            }
        });
    }
    Ok(placed)
}

/// The place that the item has by itself, where all of it lies below the job file's folder.
fn own_place(base: &Path, item: &Item<'_>) -> Option<String> {
    let place = tidy(local_path(item.written))?;
    let stays = match &item.found {
        Found::Data(files) => files.iter().all(|(path, _)| below(base, path).is_some()),
        // What is reached through a link, or is one, would meet that link in its place.
        Found::Code(_) | Found::Input(_) => {
            let real = std::fs::canonicalize(base.join(&place));
            let real_base = std::fs::canonicalize(base);
            matches!((real, real_base), (Ok(real), Ok(base)) if same(&real, &base.join(&place)))
        }
    };
    stays.then_some(place)
}

fn same(one: &Path, other: &Path) -> bool {
    one.components().eq(other.components())
}

/// Whether an item is the whole folder, or a pattern that looks into any folder of it.
fn is_everywhere(base: &Path, item: &Item<'_>) -> bool {
    let is_whole = tidy(local_path(item.written)).is_some_and(|place| place.is_empty());
    match item.found {
        Found::Data(_) => {
            let pattern = pattern_start(base, item.written);
            is_whole
                || pattern.is_some_and(|(fixed, _)| tidy(fixed).is_some_and(|at| at.is_empty()))
        }
        // Never holds the folder of the others.
        Found::Code(_) => false,
        Found::Input(_) => is_whole,
    }
}

fn inside(base: &Path, item: Item<'_>, place: String) -> Result<Placed, MaterialError> {
    let mut placed = Placed::default();
    match item.found {
        Found::Data(files) => {
            for (path, mut entry) in files {
                entry.at = below(base, &path).ok_or_else(|| not_text(&path))?;
                placed.files.push((entry, path));
            }
        }
        Found::Code(listing) | Found::Input(listing) => {
            let folder = match is_file(&listing, &base.join(&place)) {
                true => place.rsplit_once('/').map_or("", |(folder, _)| folder),
                false => &place,
            };
            placed.take(folder, listing);
        }
    }
    placed.place = if place.is_empty() { ROOT.to_owned() } else { place };
    Ok(placed)
}

/// Everything of an item below a folder that nothing else is in.
fn outside(base: &Path, item: Item<'_>, own: &str) -> Result<Placed, MaterialError> {
    let local = local_path(item.written);
    let path = base.join(local);
    let name = |path: &Path| -> Result<String, MaterialError> {
        let name = lexical(path)?.file_name().map(|name| name.to_str().map(str::to_owned));
        name.unwrap_or_else(|| Some("folder".to_owned())).ok_or_else(|| not_text(path))
    };
    let mut placed = Placed::default();
    match item.found {
        Found::Data(files) => {
            let (fixed, rest) = match pattern_start(base, item.written) {
                Some((fixed, rest)) => (lexical(&base.join(fixed))?, Some(rest)),
                None => (lexical(&path)?, None),
            };
            let mut common = match rest {
                Some(_) => fixed.clone(),
                None => fixed.parent().unwrap_or(&fixed).to_owned(),
            };
            for (path, _) in &files {
                let path = lexical(path)?;
                while !path.starts_with(&common) && common.pop() {}
            }
            for (path, mut entry) in files {
                let inside = below(&common, &path).ok_or_else(|| not_text(&path))?;
                entry.at = join(own, &inside);
                placed.files.push((entry, path));
            }
            let start = join(own, &below(&common, &fixed).ok_or_else(|| not_text(&fixed))?);
            placed.place = match rest {
                Some(rest) => join(&start, &tidy(rest).unwrap_or_default()),
                None => start,
            };
        }
        Found::Code(listing) | Found::Input(listing) => {
            if is_file(&listing, &path) {
                placed.place = join(own, &listing.files[0].0.at);
                placed.take(own, listing);
            } else {
                placed.place = join(own, &name(&path)?);
                let folder = placed.place.clone();
                placed.take(&folder, listing);
            }
        }
    }
    Ok(placed)
}

impl Placed {
    fn take(&mut self, folder: &str, listing: Listing) {
        for (mut entry, path) in listing.files {
            entry.at = join(folder, &entry.at);
            self.files.push((entry, path));
        }
        for link in listing.links {
            self.links.push(Link { at: join(folder, &link.at), ..link });
        }
        let folders = listing.folders.into_iter().map(|inside| join(folder, &inside));
        // The empty one is the whole tree, which is always there.
        self.folders.extend(folders.filter(|folder| !folder.is_empty()));
    }
}

/// Whether a listing is that of a single file.
fn is_file(listing: &Listing, path: &Path) -> bool {
    listing.files.len() == 1 && path.is_file()
}

/// A pattern's folder and the rest of it; none for a path that is what it says.
fn pattern_start<'p>(base: &Path, written: &'p str) -> Option<(&'p str, &'p str)> {
    let local = local_path(written);
    if base.join(local).exists() {
        return None;
    }
    let first = local.find(['*', '?', '['])?;
    Some(local.split_at(local[..first].rfind('/').map_or(0, |slash| slash + 1)))
}

fn up(pattern: &str) -> bool {
    pattern.split('/').any(|name| name == "..")
}

/// A path below a folder, as a place. None where it is not below, or not text.
fn below(folder: &Path, path: &Path) -> Option<String> {
    let path = lexical(path).ok()?;
    path.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
}

/// An absolute path without `.` and `..`.
fn lexical(path: &Path) -> Result<PathBuf, MaterialError> {
    let path = std::path::absolute(path).map_err(super::disk(path))?;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Ok(plain)
}

fn join(folder: &str, inside: &str) -> String {
    match (folder, inside) {
        ("", inside) => inside.to_owned(),
        (folder, "") => folder.to_owned(),
        _ => format!("{folder}/{inside}"),
    }
}

fn not_text(path: &Path) -> MaterialError {
    MaterialError::Name(path.display().to_string())
}
