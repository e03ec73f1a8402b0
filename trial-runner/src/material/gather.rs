//! Everything that a study names on disk, with its digests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::data::{DataSource, is_remote, local_path};
use fleetfit_search_spaces::material::{Entry, VERSION, check_place};
use fleetfit_search_spaces::{CommandTrial, Input, Manifest, Study, Work};

use super::layout::{Found, Item, Placed, lay_out};
use super::{MaterialError, digest, digest_file, disk};
use crate::command::{CodeError, Listing, list_code, list_input};
use crate::dataset::DataError;
use crate::dataset::source::{Part, resolve};

/// What a study names on disk.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The list of it.
    pub manifest: Manifest,
    /// Where each blob of it lies here, by digest. The manifest itself is not among them.
    pub sources: BTreeMap<String, PathBuf>,
}

impl Gathered {
    /// The manifest's own digest.
    pub fn digest(&self) -> String {
        digest(&self.manifest.bytes())
    }
}

/// Whether the manifest tells where data files lie here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// It does: whoever sees the same file there need not fetch it.
    Told,
    /// It does not: this machine's paths are nobody's business.
    Untold,
}

impl<'a> Item<'a> {
    /// Something of a command, or earlier trials.
    fn of(
        key: String,
        written: &'a str,
        listing: Result<Listing, CodeError>,
        found: fn(Listing) -> Found,
    ) -> Result<Self, MaterialError> {
        match listing {
            Ok(listing) => Ok(Self { key, written, found: found(listing) }),
            Err(source) => Err(MaterialError::Command { at: key, source }),
        }
    }
}

/// Finds and reads everything that the study names. Paths start at `base_dir`; `data_dir` is
/// fleetfit's own folder, which is no part of any code.
pub fn gather(
    study: &Study,
    base_dir: &Path,
    data_dir: &Path,
    origins: Origins,
) -> Result<Gathered, MaterialError> {
    let mut items: Vec<Item<'_>> = Vec::new();
    for (key, path) in data_paths(study) {
        let parts = parts(base_dir, key, path)?;
        let mut files = Vec::new();
        for path in parts.into_iter().flat_map(files_of) {
            let (digest, bytes) = digest_file(&path).map_err(disk(&path))?;
            let real = std::fs::canonicalize(&path).ok().filter(|_| origins == Origins::Told);
            let origin = real.and_then(|real| real.to_str().map(str::to_owned));
            files.push((
                path,
                Entry { at: String::new(), digest, bytes, executable: false, origin },
            ));
        }
        items.push(Item { key: format!("{key}.path"), written: path, found: Found::Data(files) });
    }
    if let Work::Command(CommandTrial { code, inputs, .. }) = &study.work {
        if let Some(code) = code.as_deref().filter(|code| !is_remote(code)) {
            let listing = list_code(&base_dir.join(local_path(code)), data_dir);
            items.push(Item::of("trial.code".to_owned(), code, listing, Found::Code)?);
        }
        for (name, input) in inputs {
            let Input::Path { path, .. } = input else { continue };
            let listing = list_input(&base_dir.join(local_path(path)));
            items.push(Item::of(format!("inputs.{name}.path"), path, listing, Found::Input)?);
        }
    }
    for (index, path) in study.start_from.iter().enumerate() {
        let Some(path) = path.path() else { continue };
        let listing = list_input(&base_dir.join(local_path(path)));
        items.push(Item::of(study.start_key(index), path, listing, Found::Input)?);
    }
    // A path that is named twice is one thing, unless it is both code and input.
    let named = items.iter().map(|item| (item.key.clone(), item.written.to_owned()));
    let named: Vec<_> = named.collect();
    assemble(&named, lay_out(base_dir, items)?)
}

/// Whether every table that a relocated study names lies in its tree. An `MLTable` from elsewhere may
/// name any file of this machine.
pub fn confined(study: &Study, tree: &Path) -> Result<(), MaterialError> {
    for (key, path) in data_paths(study) {
        for file in parts(tree, key, path)?.into_iter().flat_map(files_of) {
            let plain = file.strip_prefix(tree).ok().and_then(Path::to_str);
            if plain.and_then(fleetfit_search_spaces::material::tidy).is_none() {
                return Err(MaterialError::Escapes(file.display().to_string()));
            }
        }
    }
    Ok(())
}

/// The paths of tables, with the job's keys for them.
fn data_paths(study: &Study) -> Vec<(&'static str, &str)> {
    let Some(data) = &study.data else { return Vec::new() };
    let sources: [(&'static str, Option<&DataSource>); 3] = [
        ("training_data", Some(&data.training)),
        ("validation_data", data.validation.as_ref()),
        ("test_data", data.test.as_ref()),
    ];
    let paths = sources.into_iter().flat_map(|(key, source)| {
        source.into_iter().flat_map(move |source| source.paths.iter().map(move |path| (key, path)))
    });
    paths.filter(|(_, path)| !is_remote(path)).map(|(key, path)| (key, path.as_str())).collect()
}

fn parts(base: &Path, key: &'static str, path: &str) -> Result<Vec<Part>, MaterialError> {
    let source = DataSource { paths: vec![path.to_owned()], place: Default::default() };
    let parts = resolve(base, &source).map_err(|error| DataError { key, ..error })?;
    for part in &parts {
        if let Some(path) = &part.rooted {
            let recipe = part.recipe.as_deref().unwrap_or(base).display().to_string();
            return Err(MaterialError::Rooted { recipe, path: path.clone() });
        }
    }
    Ok(parts)
}

fn files_of(part: Part) -> impl Iterator<Item = PathBuf> {
    part.recipe.into_iter().chain(part.files.into_iter().map(|file| file.path))
}

/// One tree out of everything.
fn assemble(named: &[(String, String)], placed: Vec<Placed>) -> Result<Gathered, MaterialError> {
    let mut files: BTreeMap<String, Entry> = BTreeMap::new();
    let mut links = BTreeMap::new();
    let mut folders = Vec::new();
    let mut places = BTreeMap::new();
    let mut sources = BTreeMap::new();
    for ((key, written), placed) in named.iter().zip(placed) {
        let refused = |source| MaterialError::Place { at: key.clone(), source };
        // The place that is first found for a path is as good as any.
        places.entry(written.clone()).or_insert(placed.place);
        for (entry, path) in placed.files {
            check_place(&entry.at).map_err(refused)?;
            sources.entry(entry.digest.clone()).or_insert(path);
            let at = entry.at.clone();
            match files.get_mut(&at) {
                None => {
                    files.insert(at, entry);
                }
                Some(there) if there.digest == entry.digest => {
                    there.executable |= entry.executable;
                }
                Some(_) => return Err(MaterialError::Twice(at)),
            }
        }
        links.extend(placed.links.into_iter().map(|link| (link.at.clone(), link)));
        folders.extend(placed.folders);
    }
    // A folder that is empty for one may hold what another left out.
    folders.sort_unstable();
    folders.dedup();
    let holds = |folder: &String, at: &String| {
        at.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    let all: Vec<String> = folders.clone();
    folders.retain(|folder| {
        let next = format!("{folder}/");
        let file = files.range(next.clone()..).next().is_some_and(|(at, _)| holds(folder, at));
        let link = links.range(next..).next().is_some_and(|(at, _)| holds(folder, at));
        !file && !link && !all.iter().any(|other| holds(folder, other))
    });
    let manifest = Manifest {
        version: VERSION,
        files: files.into_values().collect(),
        links: links.into_values().collect(),
        folders,
        places,
    };
    manifest.check()?;
    Ok(Gathered { manifest, sources })
}
