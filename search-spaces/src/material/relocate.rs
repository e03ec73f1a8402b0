//! A study whose paths lead into a tree.

use std::path::Path;

use super::{Manifest, ManifestError, ROOT, tidy};
use crate::data::{DataSource, is_remote, local_path};
use crate::job::Job;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::study::Study;
use crate::work::{Input, Work};

impl Job {
    /// What the study of this job names that only its sender's machine knows, for a job that came
    /// alone: paths that do not start at the root.
    pub fn left_behind(&self, study: &Study) -> Vec<Problem> {
        let hint = "send the job with fleetfit submit, which sends what it names, or write a path \
                    from the root of the service's machine";
        let here = study.placed_paths().into_iter();
        let lost = here.filter(|(_, path)| !Path::new(local_path(path)).is_absolute());
        let told = lost.map(|(at, path)| {
            let mut problem = self.problem_at(&at, path, "a file that the service has", Some(hint));
            problem.message =
                format!("{at}: {path} lies on your machine, and was not sent with the job");
            problem
        });
        told.collect()
    }
}

impl Study {
    /// Every path of this machine that the study names, as the job writes it: data, code, inputs,
    /// earlier trials.
    pub fn local_paths(&self) -> Vec<&str> {
        self.placed_paths().into_iter().map(|(_, path)| path).collect()
    }

    /// The same, each with its place in the job.
    fn placed_paths(&self) -> Vec<(String, &str)> {
        let mut paths = Vec::new();
        if let Some(data) = &self.data {
            let sources = [
                ("training_data.path", Some(&data.training)),
                ("validation_data.path", data.validation.as_ref()),
                ("test_data.path", data.test.as_ref()),
            ];
            for (at, source) in sources {
                let of_source = source.into_iter().flat_map(|source| &source.paths);
                paths.extend(of_source.map(|path| (at.to_owned(), path.as_str())));
            }
        }
        if let Work::Command(trial) = &self.work {
            paths.extend(trial.code.as_deref().map(|path| ("trial.code".to_owned(), path)));
            paths.extend(trial.inputs.iter().filter_map(|(name, input)| match input {
                Input::Path { path, .. } => Some((format!("inputs.{name}.path"), path.as_str())),
                Input::Value(_) | Input::Remote { .. } => None,
            }));
        }
        let origins = self.start_from.iter().enumerate();
        let placed = |(index, origin)| Some((self.start_key(index), Origin::path(origin)?));
        paths.extend(origins.filter_map(placed));
        paths.retain(|(_, path)| !is_remote(path));
        paths
    }

    /// The study with every path of another machine replaced by its place in the tree that is built
    /// from the manifest. A path that leads to its place already stays as it is written, so that what
    /// the user sees stays too.
    pub fn relocate(&self, manifest: &Manifest) -> Result<Self, ManifestError> {
        let mut study = self.clone();
        if let Some(data) = &mut study.data {
            let DataSource { paths, .. } = &mut data.training;
            relocate_all(paths, manifest)?;
            for source in [&mut data.validation, &mut data.test].into_iter().flatten() {
                relocate_all(&mut source.paths, manifest)?;
            }
        }
        if let Work::Command(trial) = &mut study.work {
            if let Some(code) = &mut trial.code {
                relocate(code, manifest)?;
            }
            for (_, input) in &mut trial.inputs {
                if let Input::Path { path, .. } = input {
                    relocate(path, manifest)?;
                }
            }
        }
        for origin in &mut study.start_from {
            if let Origin::File { path, .. } = origin {
                relocate(path, manifest)?;
            }
        }
        Ok(study)
    }
}

fn relocate_all(paths: &mut [String], manifest: &Manifest) -> Result<(), ManifestError> {
    paths.iter_mut().try_for_each(|path| relocate(path, manifest))
}

fn relocate(path: &mut String, manifest: &Manifest) -> Result<(), ManifestError> {
    if is_remote(path) {
        return Ok(());
    }
    let leads_to = tidy(local_path(path));
    let is_there = |place: &str| {
        let place = if place == ROOT { "" } else { place };
        leads_to.as_deref() == Some(place)
    };
    match manifest.places.get(path.as_str()) {
        Some(place) if is_there(place) => Ok(()),
        Some(place) => {
            place.clone_into(path);
            Ok(())
        }
        // Relocated before.
        None if manifest.places.values().any(|place| is_there(place)) => Ok(()),
        None => Err(ManifestError::Unknown(path.clone())),
    }
}
