//! Where the models of a study come from: its folder, or a service elsewhere. One is in memory at a
//! time.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetfit_scheduler::api::{self, MAX_PAGE, WantedModels};
use fleetfit_search_spaces::EntityKey;
use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_trial_runner::frame::FeatureSchema;
use fleetfit_trial_runner::material::digest;
use fleetfit_trial_runner::model::Model;
use fleetfit_trial_runner::pack;

use crate::cli::ServerArgs;
use crate::client::{Client, escape};
use crate::failure::Failure;
use crate::home;

/// How long the keys of one question may be, as their texts. A service reads a little more.
const MAX_KEYS_BYTES: usize = 256 << 10;

/// What one key costs besides its text.
const KEY_BYTES: usize = 64;

/// Where the models of a study come from.
pub(crate) struct Models {
    study: String,
    place: Place,
}

enum Place {
    Folder(PathBuf),
    Service(Client),
}

/// A model that is wanted.
pub(crate) struct Wanted<'a> {
    /// The entity, by its position among those that were asked for.
    pub(crate) entity: u32,
    /// The entity's key.
    pub(crate) key: &'a EntityKey,
    /// Where its model lies.
    pub(crate) address: &'a ModelAddress,
}

impl Models {
    /// Those of the service that is named, else those of the data directory.
    pub(crate) fn open(home: &Path, server: &ServerArgs, study: &str) -> Result<Self, Failure> {
        let place = match &server.server {
            Some(url) => Place::Service(Client::named(url, server.token_file.as_deref())?),
            None => Place::Folder(home::study_dir(home, study)),
        };
        Ok(Self { study: study.to_owned(), place })
    }

    /// What rows have to look like.
    pub(crate) fn schema(&self) -> Result<FeatureSchema, Failure> {
        let bytes = match &self.place {
            Place::Folder(dir) => FeatureSchema::stored(dir).map_err(|error| self.lost(&error))?,
            Place::Service(client) => {
                let path = format!("/studies/{}/schema", escape(&self.study));
                let mut download = client.download(&path)?;
                let mut bytes = Vec::new();
                let read = download.read_to_end(&mut bytes);
                read.map_err(|error| download.failure().unwrap_or_else(|| self.lost(&error)))?;
                bytes
            }
        };
        FeatureSchema::from_bytes(&bytes).map_err(|error| self.lost(&error))
    }

    /// Hands over one model after the other, in the order in which they are wanted.
    pub(crate) fn each(
        &self,
        wanted: &[Wanted<'_>],
        mut act: impl FnMut(&Wanted<'_>, &Model) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &self.place {
            Place::Folder(dir) => wanted.iter().try_for_each(|wanted| {
                let bytes = pack::read(&dir.join("models"), wanted.address);
                act(wanted, &model(&bytes.map_err(|error| Failure::outside(&error))?)?)
            }),
            Place::Service(client) => {
                let mut left = wanted;
                while !left.is_empty() {
                    let (asked, later) = left.split_at(n_asked(left));
                    let n_came = match self.fetch(client, asked, &mut act) {
                        // Cut off before anything came: one alone tells why.
                        Err(Failure::Gone(_)) if asked.len() > 1 => {
                            self.fetch(client, &asked[..1], &mut act)?
                        }
                        came => came?,
                    };
                    // After a cut, what is left of them is asked for again.
                    left = if n_came < asked.len() { &left[n_came..] } else { later };
                }
                Ok(())
            }
        }
    }

    /// Asks for so many models at once, and hands them over as they come. How many came; at least one.
    fn fetch(
        &self,
        client: &Client,
        asked: &[Wanted<'_>],
        act: &mut impl FnMut(&Wanted<'_>, &Model) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let path = format!("/studies/{}/models/bytes", escape(&self.study));
        let entities = asked.iter().map(|wanted| wanted.key.clone()).collect();
        let mut download = client.download_described(&path, &WantedModels { entities })?;
        for (n_came, wanted) in asked.iter().enumerate() {
            let bytes = match receive(&mut download, wanted.address) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    return Err(Failure::Unavailable(format!(
                        "the model of {} changed while it was fetched; ask again",
                        of(wanted.key, &self.study)
                    )));
                }
                Err(error) => {
                    let failure = download.failure().unwrap_or_else(|| self.cut(&error));
                    return if n_came > 0 { Ok(n_came) } else { Err(failure) };
                }
            };
            act(wanted, &model(&bytes)?)?;
        }
        Ok(asked.len())
    }

    fn cut(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let study = &self.study;
                Failure::Unavailable(format!("the models of {study} came cut off; ask again"))
            }
            _ => self.lost(error),
        }
    }

    fn lost(&self, error: &io::Error) -> Failure {
        Failure::Unavailable(format!("the models of {} cannot be read: {error}", self.study))
    }
}

/// How many of these one question asks for.
fn n_asked(wanted: &[Wanted<'_>]) -> usize {
    let mut n_bytes = 0;
    let fits = wanted.iter().take(MAX_PAGE).take_while(|wanted| {
        let texts = wanted
            .key
            .0
            .iter()
            .map(|(column, value)| column.len() + value.to_string().len() + KEY_BYTES);
        n_bytes += texts.sum::<usize>();
        n_bytes <= MAX_KEYS_BYTES
    });
    fits.count().max(1)
}

/// The next model; none where it is another one than was asked for.
fn receive(from: &mut impl Read, address: &ModelAddress) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    if u32::from_le_bytes(length) != address.length {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // Grows as it comes: a length alone takes no memory.
    from.take(u64::from(address.length)).read_to_end(&mut bytes)?;
    if bytes.len() < address.length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((digest(&bytes) == address.digest).then_some(bytes))
}

fn model(bytes: &[u8]) -> Result<Model, Failure> {
    Model::from_bytes(bytes).map_err(|error| Failure::outside(&error))
}

fn of(key: &EntityKey, study: &str) -> String {
    match key.0.as_slice() {
        [] => study.to_owned(),
        _ => format!("{key} of {study}"),
    }
}

/// How the API reads what studies have learnt.
pub(crate) fn reader() -> api::Models {
    api::Models {
        read: Arc::new(|dir, address| {
            pack::read(&dir.join("models"), address).map_err(|error| error.to_string())
        }),
        schema: Arc::new(|dir| match FeatureSchema::stored(dir) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }),
    }
}
