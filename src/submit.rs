//! `fleetfit submit` and `fleetfit rerun`: jobs for a service.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetfit_scheduler::journal::Status;
use fleetfit_scheduler::query::StatusView;
use fleetfit_search_spaces::Problems;
use fleetfit_trial_runner::material::{self, Origins};
use serde_json::json;

use crate::cli::{JobArgs, RerunArgs, ServerArgs, SubmitArgs};
use crate::client::{Client, escape};
use crate::exit;
use crate::failure::Failure;
use crate::host;
use crate::interrupt::Interrupt;
use crate::output::Printer;
use crate::outside;
use crate::progress::{Progress, Sending};
use crate::show;
use crate::source::Source;
use crate::start;
use crate::submission::{Submission, Verdict, sets};

/// After how long it is said that a study does not go on: runners may be about to come.
const SILENCE: Duration = Duration::from_secs(3);

/// How often a study that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Sends a job, with what it names.
pub(crate) fn submit(args: &SubmitArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let verdict = Verdict::reach(&args.job)?;
    let Some(submission) = verdict.submission else {
        printer.notices(&verdict.notices);
        return Err(Failure::Problems(Problems(verdict.problems)));
    };
    printer.notices(&submission.study.notices);
    let told = start::judge(&submission)?;
    printer.notices(&told);
    let client = service(home, &args.server)?;
    let material = send(&client, &submission, home, printer)?;
    let mut path = format!("/studies?file={}", escape(&submission.job.file));
    // What the job calls itself it says there too. The folder that it lies in, by which others are
    // called, only we know.
    if args.job.name.is_some() || !submission.is_named() {
        path.push_str(&format!("&name={}", escape(&submission.study.name)));
    }
    for (at, value) in submission.sets.iter().filter(|(at, _)| at != "name") {
        path.push_str(&format!("&set={}", escape(&format!("{at}={value}"))));
    }
    if let Some(material) = material {
        path.push_str(&format!("&material={material}"));
    }
    let key = format!("{:016x}{:016x}", host::draw(), host::draw());
    let view: StatusView = client.post_job(&path, &submission.text, &key)?;
    // What the service found in studies of its own.
    let of_start = view.notices.iter().filter(|notice| notice.place.path.starts_with("start_from"));
    let news = of_start.filter(|notice| !told.iter().any(|known| known.message == notice.message));
    printer.notices(&news.cloned().collect::<Vec<_>>());
    conclude(&client, view, args.wait, printer)
}

/// Has a study run again.
pub(crate) fn rerun(args: &RerunArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let client = service(home, &args.server)?;
    let material = match &args.job {
        Some(job) => {
            let (job, set) = (job.clone(), args.set.clone());
            let verdict = Verdict::reach(&JobArgs { job, set, name: args.name.clone() })?;
            let Some(submission) = verdict.submission else {
                printer.notices(&verdict.notices);
                return Err(Failure::Problems(Problems(verdict.problems)));
            };
            send(&client, &submission, home, printer)?
        }
        None => None,
    };
    let sets: serde_json::Map<String, serde_json::Value> =
        sets(&args.set)?.into_iter().map(|(path, value)| (path, value.into())).collect();
    let body = json!({"name": args.name, "set": sets, "material": material});
    let view: StatusView =
        client.post_json(&format!("/studies/{}/rerun", escape(&args.study)), &body)?;
    conclude(&client, view, args.wait, printer)
}

/// The service that is meant.
pub(crate) fn service(home: &Path, server: &ServerArgs) -> Result<Client, Failure> {
    match Source::service(home, server)? {
        Some(client) => Ok(client),
        None => Err(Failure::Gone(format!(
            "no service has {} open; start one with fleetfit serve, or name it with --server URL",
            home.display()
        ))),
    }
}

/// Sends what the job names and the service does not have, and tells the digest of the list.
pub(crate) fn send(
    client: &Client,
    submission: &Submission,
    home: &Path,
    printer: &Printer,
) -> Result<Option<String>, Failure> {
    let Submission { study, base_dir, .. } = submission;
    if study.local_paths().is_empty() {
        return Ok(None);
    }
    let gathered = material::gather(study, base_dir, home, Origins::Untold)
        .map_err(|error| Failure::problem(outside::material_problem(&submission.job, &error)))?;
    let manifest = gathered.digest();
    let sizes = gathered.manifest.files.iter().map(|file| (file.digest.as_str(), file.bytes));
    let sizes: BTreeMap<&str, u64> = sizes.collect();
    let files = gathered.sources.iter().map(|(digest, path)| {
        (digest.clone(), (path.clone(), sizes.get(digest.as_str()).copied().unwrap_or_default()))
    });
    let missing = client.missing(files.collect())?;
    let mut sending = Sending::start(printer, missing.values().map(|(_, bytes)| bytes).sum());
    for (digest, (path, bytes)) in &missing {
        client.put_file(digest, path, *bytes, &mut |n_bytes| sending.add(n_bytes))?;
    }
    sending.finish();
    // Last, so that a list that is there has had all of its files.
    client.put_bytes(&manifest, gathered.manifest.bytes())?;
    Ok(Some(manifest))
}

/// Says how the study stands; where it is waited for, once it is over.
fn conclude(
    client: &Client,
    view: StatusView,
    wait: bool,
    printer: &Printer,
) -> Result<i32, Failure> {
    let view = if wait { attend(client, view, printer)? } else { view };
    if printer.is_json() {
        printer.json(&view)?;
    } else {
        printer.line(&show::status(&view))?;
    }
    show::of_the_service(&view).for_each(|message| printer.note(message));
    Ok(match view.status {
        Status::Failed if wait => exit::NOTHING_COMPLETED,
        _ => exit::DONE,
    })
}

/// Looks on until the study is over. A signal ends the looking, not the study.
fn attend(client: &Client, first: StatusView, printer: &Printer) -> Result<StatusView, Failure> {
    let interrupt = Interrupt::watch()?;
    interrupt.begin();
    let path = format!("/studies/{}", escape(&first.study));
    let total = u64::from(first.max_total_trials) * u64::from(first.entities);
    let progress = Progress::start(printer, &first.study, &first.metric.name, total);
    let mut view = first.clone();
    let begun = Instant::now();
    let mut said: Vec<String> = Vec::new();
    while !view.status.is_over() {
        if begun.elapsed() >= SILENCE {
            for message in show::of_the_service(&view) {
                if !said.iter().any(|before| before == message) {
                    printer.note(message);
                    said.push(message.to_owned());
                }
            }
        }
        if interrupt.is_raised() {
            progress.finish();
            printer.note(&format!("{} goes on without you", view.study));
            std::process::exit(exit::INTERRUPTED);
        }
        std::thread::sleep(LOOK);
        view = match client.get(&path) {
            Ok(view) => view,
            // A service that is being restarted is waited for.
            Err(Failure::Gone(why)) => {
                printer.note(&format!("{why}; waiting for it"));
                std::thread::sleep(Duration::from_secs(1));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        progress.show(&view);
    }
    progress.finish();
    Ok(view)
}
