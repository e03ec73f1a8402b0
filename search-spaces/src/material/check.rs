//! What a manifest from elsewhere may not hold.

use std::collections::BTreeSet;

use super::{
    Link, MAX_FILES, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PLACE_BYTES, MAX_PLACES, Manifest,
    ManifestError, ROOT, is_digest,
};

/// How much of a place is quoted.
const MAX_QUOTE: usize = 120;

impl Manifest {
    /// Whether a tree can be built from it that stays within its own folder. What is built by
    /// gathering passes; what was read from elsewhere was asked already.
    pub fn check(&self) -> Result<(), ManifestError> {
        let n_parts = self.files.len() + self.links.len() + self.folders.len();
        at_most("files", n_parts, MAX_FILES)?;
        at_most("paths", self.places.len(), MAX_PLACES)?;
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let files = self.files.iter().map(|file| file.at.as_str());
        let links = self.links.iter().map(|link| link.at.as_str());
        let folders = self.folders.iter().map(String::as_str);
        ascending(files.clone())?;
        ascending(links.clone())?;
        ascending(folders.clone())?;
        for at in files.chain(links).chain(folders) {
            check_place(at)?;
            if !taken.insert(at) {
                return Err(refused(at, "it is named twice"));
            }
        }
        // Nothing lies below a file or a link; whoever followed a link might leave the tree.
        for at in &taken {
            for (end, _) in at.match_indices('/') {
                if taken.contains(&at[..end]) {
                    return Err(refused(at, "what it lies in is not a folder"));
                }
            }
        }
        for file in &self.files {
            if !is_digest(&file.digest) {
                return Err(ManifestError::Digest { at: shorten(&file.at) });
            }
            if let Some(origin) = &file.origin {
                check_origin(origin)?;
            }
        }
        self.links.iter().try_for_each(check_link)?;
        for (path, place) in &self.places {
            if path.len() > MAX_PATH_BYTES {
                return Err(refused(path, "it is too long"));
            }
            if place != ROOT {
                check_place(place)?;
            }
        }
        Ok(())
    }
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), ManifestError> {
    match found > most {
        true => Err(ManifestError::TooMany { what, found, most }),
        false => Ok(()),
    }
}

/// One order, so that equal material has equal bytes.
fn ascending<'a>(places: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut last: Option<&str> = None;
    for place in places {
        match last {
            Some(last) if last == place => return Err(refused(place, "it is named twice")),
            Some(last) if last > place => return Err(refused(place, "it is not in order")),
            _ => last = Some(place),
        }
    }
    Ok(())
}

/// A place in a folder: names with one slash between them, none of which leads upwards.
pub fn check_place(place: &str) -> Result<(), ManifestError> {
    if place.len() > MAX_PLACE_BYTES {
        return Err(refused(place, "it is too long"));
    }
    if place.is_empty() {
        return Err(refused(place, "it is empty"));
    }
    if place.starts_with('/') {
        return Err(refused(place, "it is absolute; places start from the tree"));
    }
    place.split('/').try_for_each(|name| check_name(place, name))
}

fn check_name(place: &str, name: &str) -> Result<(), ManifestError> {
    match name {
        "" => Err(refused(place, "it has an empty name in it")),
        "." | ".." => Err(refused(place, "it has . or .. in it")),
        name if name.len() > MAX_NAME_BYTES => Err(refused(place, "a name in it is too long")),
        name if name.contains('\0') => Err(refused(place, "it has a zero byte in it")),
        _ => Ok(()),
    }
}

/// A link leads upwards first, no further than the tree, and then only downwards. As nothing lies
/// below a link, the folders it passes on the way up are real ones.
fn check_link(link: &Link) -> Result<(), ManifestError> {
    if link.to.len() > MAX_PLACE_BYTES {
        return Err(refused(&link.to, "it is too long"));
    }
    if link.to.is_empty() || link.to.starts_with('/') {
        return Err(refused(&link.at, "its link leads out of the tree"));
    }
    let names: Vec<&str> = link.to.split('/').collect();
    let n_up = names.iter().take_while(|name| **name == "..").count();
    if n_up > link.at.matches('/').count() {
        return Err(refused(&link.at, "its link leads out of the tree"));
    }
    names[n_up..].iter().try_for_each(|name| check_name(&link.to, name))
}

fn check_origin(origin: &str) -> Result<(), ManifestError> {
    let is_sound = origin.starts_with('/')
        && origin.len() <= MAX_PATH_BYTES
        && !origin.contains('\0')
        && !origin.split('/').any(|name| name == "..");
    match is_sound {
        true => Ok(()),
        false => Err(refused(origin, "an origin is an absolute path without ..")),
    }
}

fn refused(place: &str, why: &'static str) -> ManifestError {
    ManifestError::Place { place: shorten(place), why }
}

fn shorten(place: &str) -> String {
    match place.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place.to_owned(),
    }
}
