//! The forms of what goes in and comes out.

use fleetfit_search_spaces::points::MAX_POINTS;
use serde_json::Value;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};

use super::super::{MAX_ASKED, MAX_PAGE};

pub(super) type Form = RefOr<Schema>;

/// The largest number that JSON's readers agree on.
const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;

/// A form by its name.
pub(super) fn named(name: &str) -> Form {
    Ref::from_schema_name(name).into()
}

fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn nullable_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

pub(super) fn text() -> Form {
    of_type(Type::String).into()
}

/// A text of so many letters, of these alone.
pub(super) fn text_like(pattern: &str, most: usize) -> Form {
    of_type(Type::String).pattern(Some(pattern)).max_length(Some(most)).into()
}

pub(super) fn text_of(least: usize, most: usize) -> Form {
    of_type(Type::String).min_length(Some(least)).max_length(Some(most)).into()
}

pub(super) fn words(words: &[&str]) -> Form {
    of_type(Type::String).enum_values(Some(words.iter().copied())).into()
}

pub(super) fn whole(least: f64, most: f64) -> Form {
    of_type(Type::Integer).minimum(Some(least)).maximum(Some(most)).into()
}

pub(super) fn count() -> Form {
    whole(0.0, MAX_WHOLE)
}

/// The number of a trial.
pub(super) fn trial() -> Form {
    whole(0.0, f64::from(u32::MAX))
}

pub(super) fn number() -> Form {
    of_type(Type::Number).into()
}

fn truth() -> Form {
    of_type(Type::Boolean).into()
}

fn text_or_nothing() -> Form {
    nullable_type(Type::String).into()
}

pub(super) fn number_or_nothing() -> Form {
    nullable_type(Type::Number).into()
}

/// Another form, or null.
pub(super) fn or_nothing(form: Form) -> Form {
    Schema::OneOf(OneOfBuilder::new().item(form).item(of_type(Type::Null)).build()).into()
}

pub(super) fn list(form: Form) -> Form {
    Schema::Array(ArrayBuilder::new().items(form).build()).into()
}

pub(super) fn list_of(form: Form, least: usize, most: usize) -> Form {
    let list = ArrayBuilder::new().items(form).min_items(Some(least)).max_items(Some(most));
    Schema::Array(list.build()).into()
}

/// An object with any keys.
pub(super) fn open_object(about: &str) -> Form {
    of_type(Type::Object).description(Some(about)).into()
}

fn map_of(form: Form, about: &str) -> Form {
    of_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::RefOr(form)))
        .description(Some(about))
        .into()
}

/// An object with these keys and no others. A name that ends with `?` may be missing.
pub(super) fn object(about: &str, fields: Vec<(&str, Form)>) -> Form {
    let mut object = of_type(Type::Object)
        .description(Some(about))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for (name, form) in fields {
        object = match name.strip_suffix('?') {
            Some(name) => object.property(name, form),
            None => object.property(name, form).required(name),
        };
    }
    object.into()
}

fn page_of(name: &str) -> Form {
    object(
        "A part of a list. Ask again with cursor set to next for the following one.",
        vec![("items", list(named(name))), ("next", text_or_nothing())],
    )
}

/// Every form that has a name.
pub(super) fn all() -> Vec<(&'static str, Form)> {
    let mut forms = vec![
        ("Refusal", refusal()),
        ("Problem", place("One thing to be mended.", true)),
        ("Notice", place("Something worth saying that stops nothing.", false)),
        ("EntityKey", map_of(scalar(), "What one model is for: a value for each column.")),
        (
            "Configuration",
            open_object("A value for each parameter; conditional ones nest as in the job."),
        ),
        ("Status", status()),
        ("Best", best()),
        ("Model", model()),
        ("Trial", trial_row()),
        ("Entity", entity()),
        ("Insight", super::insight::insight()),
        ("TrialCounts", counts()),
        ("Ended", ended()),
        ("Runner", runner()),
        ("Health", map_of(words(&["ok"]), "The service and its parts, each of which works.")),
        ("Deleted", object("A study that is gone.", vec![("study", text()), ("deleted", truth())])),
        ("Schedule", schedule()),
        (
            "DeletedSchedule",
            object("A schedule that is gone.", vec![("schedule", text()), ("deleted", truth())]),
        ),
        ("Blob", object("A blob that is kept.", vec![("digest", text()), ("bytes", count())])),
        ("Missing", object("Blobs that have to be sent.", vec![("missing", list(text()))])),
        (
            "Wanted",
            object(
                "Blobs that a job names.",
                vec![("digests", list_of(text_like("^[0-9a-f]{64}$", 64), 0, MAX_ASKED))],
            ),
        ),
        (
            "WantedModels",
            object(
                "Whose models are wanted.",
                vec![("entities", list_of(named("EntityKey"), 1, MAX_PAGE))],
            ),
        ),
        ("Schema", open_object("Which columns are features, of what kind, and which the rest is.")),
        ("Job", open_object("A job with the keys of a job file; docs/job-file.md describes them.")),
    ];
    forms.extend(requests());
    for (page, row) in [
        ("Statuses", "Status"),
        ("Trials", "Trial"),
        ("Bests", "Best"),
        ("Models", "Model"),
        ("Entities", "Entity"),
        ("Runners", "Runner"),
        ("Schedules", "Schedule"),
    ] {
        forms.push((page, page_of(row)));
    }
    forms
}

fn requests() -> Vec<(&'static str, Form)> {
    let asked = object(
        "One trial to be run by the asker.",
        vec![("trial", trial()), ("configuration", named("Configuration"))],
    );
    let told = object(
        "What became of one result: repeated ones had ended before, unknown ones nobody was offered.",
        vec![("trial", trial()), ("told", words(&["counted", "repeated", "late", "unknown"]))],
    );
    vec![
        (
            "Ask",
            object(
                "Trials are wanted; they are offered to others when the lease runs out.",
                vec![("n", whole(1.0, MAX_PAGE as f64)), ("lease_s?", whole(1.0, 2_592_000.0))],
            ),
        ),
        (
            "Asked",
            object(
                "Trials to be run; none, and why, where the study is over.",
                vec![("trials", list(asked)), ("message?", text())],
            ),
        ),
        (
            "Report",
            object(
                "A value of a trial on its way. Steps that are not named count up.",
                vec![("trial", trial()), ("step?", count()), ("value", number())],
            ),
        ),
        (
            "Reported",
            object(
                "Whether the trial is worth going on.",
                vec![("stop", truth()), ("reason", text_or_nothing())],
            ),
        ),
        (
            "Tell",
            object("Trials that ended.", vec![("results", list_of(named("Result"), 1, MAX_PAGE))]),
        ),
        ("Result", result()),
        ("NewSchedule", new_schedule()),
        ("Told", object("What became of the results, in order.", vec![("results", list(told))])),
        (
            "Enqueue",
            object(
                "Configurations to try next, each in whole or in part.",
                vec![("configurations", list_of(named("Configuration"), 1, MAX_POINTS))],
            ),
        ),
        (
            "Queued",
            object(
                "The numbers of configurations that were asked for, in their order.",
                vec![
                    ("study", text()),
                    ("trials", list(trial())),
                    ("notices", list(named("Notice"))),
                ],
            ),
        ),
        (
            "Rerun",
            object(
                "What differs from the study that is run again.",
                vec![
                    ("name?", text_or_nothing()),
                    ("set?", or_nothing(map_of(scalar(), "Values at dotted paths of the job."))),
                    ("material?", text_or_nothing()),
                ],
            ),
        ),
    ]
}

/// A schedule that somebody wants, and its job.
fn new_schedule() -> Form {
    let sets = ArrayBuilder::new().items(text()).min_items(Some(2)).max_items(Some(2)).build();
    let job = object(
        "The job that the schedule names.",
        vec![
            ("file", text()),
            ("text", text()),
            ("sets?", list(Schema::Array(sets).into())),
            ("base_dir?", text_or_nothing()),
            ("material?", text_or_nothing()),
        ],
    );
    object(
        "A schedule file, and the job that it names where that does not stand in it.",
        vec![("file", text()), ("text", text()), ("job?", or_nothing(job))],
    )
}

fn schedule() -> Form {
    let nothing = text_or_nothing;
    object(
        "A schedule: when it runs its job, and what became of that.",
        vec![
            ("schedule", text()),
            ("display_name?", text()),
            ("description?", text()),
            ("trigger", text()),
            ("time_zone", text()),
            ("job", nothing()),
            ("created", nothing()),
            ("paused", truth()),
            ("next_due", nothing()),
            ("last_fired", nothing()),
            ("last_study", nothing()),
            ("last_error", nothing()),
            ("missed", count()),
            ("last_missed", nothing()),
        ],
    )
}

fn result() -> Form {
    let with = |fields| object("How one trial ended.", fields);
    let forms = OneOfBuilder::new()
        .item(with(vec![("trial", trial()), ("value", number())]))
        .item(with(vec![("trial", trial()), ("values", values())]))
        .item(with(vec![("trial", trial()), ("failed", text())]))
        .item(with(vec![("trial", trial()), ("stopped", text()), ("value?", number_or_nothing())]));
    Schema::OneOf(forms.build()).into()
}

/// A number for each metric.
fn values() -> Form {
    map_of(number(), "A value for each metric of a study that measures several.")
}

pub(super) fn scalar() -> Form {
    let kinds = [Type::String, Type::Number, Type::Boolean];
    ObjectBuilder::new().schema_type(SchemaType::from_iter(kinds)).into()
}

fn refusal() -> Form {
    object(
        "Why a request was not carried out.",
        vec![
            ("code", text()),
            ("message", text()),
            ("problems?", list(named("Problem"))),
            ("request_id", text()),
        ],
    )
}

/// A problem or a notice: where, and what.
fn place(about: &str, is_problem: bool) -> Form {
    let mut fields = vec![
        ("file", text()),
        ("line", count()),
        ("column", count()),
        ("path", text()),
        ("message", text()),
    ];
    if is_problem {
        fields.extend([("found", text()), ("allowed", text()), ("hint", text_or_nothing())]);
    }
    object(about, fields)
}

fn counts() -> Form {
    let fields = ["completed", "stopped", "failed"].map(|state| (state, count()));
    object("Ended trials, configurations × entities.", fields.to_vec())
}

fn status() -> Form {
    let statuses = ["queued", "running", "completed", "stopped", "failed", "interrupted"];
    let ends = ["trials", "timeout", "space", "cancel", "exit_score", "improvement"];
    let goal = words(&["minimize", "maximize"]);
    let metric = || object("What is measured.", vec![("name", text()), ("goal", goal.clone())]);
    let hypervolume = object(
        "The volume that the front beats, up to the worst value of each objective.",
        vec![("value", number()), ("reference", values())],
    );
    object(
        "How a study stands.",
        vec![
            ("study", text()),
            ("status", words(&statuses)),
            ("ended_by", or_nothing(words(&ends))),
            ("elapsed_s", number()),
            ("entities", count()),
            ("trials", named("TrialCounts")),
            ("fits", count()),
            ("metric", metric()),
            ("objectives?", list(metric())),
            ("constraints?", list(text())),
            ("metrics?", list(text())),
            ("best", or_nothing(named("Best"))),
            ("front?", count()),
            ("hypervolume?", hypervolume),
            ("notices", list(named("Notice"))),
            ("max_total_trials", count()),
            ("proposed", count()),
            ("parameters", list(text())),
            ("created", text()),
        ],
    )
}

fn best() -> Form {
    object(
        "The best trial of an entity, or the best configuration over all.",
        vec![
            ("entity", or_nothing(named("EntityKey"))),
            ("value", number_or_nothing()),
            ("values?", values()),
            ("configuration", named("Configuration")),
            ("learner?", text()),
            ("command?", text()),
            ("trial", trial()),
            ("model", text_or_nothing()),
            ("model_reason?", text()),
            ("selection", words(&["raw", "shared"])),
        ],
    )
}

fn model() -> Form {
    let address = object(
        "Where a model lies.",
        vec![("digest", text()), ("pack", count()), ("offset", count()), ("length", count())],
    );
    object(
        "Where the model of one entity lies.",
        vec![
            ("entity", or_nothing(named("EntityKey"))),
            ("model", or_nothing(address)),
            ("model_reason?", text()),
        ],
    )
}

fn trial_row() -> Form {
    object(
        "One ended trial.",
        vec![
            ("trial", trial()),
            ("entity", or_nothing(named("EntityKey"))),
            ("state", words(&["completed", "stopped", "failed"])),
            ("value", number_or_nothing()),
            ("values?", values()),
            ("feasible?", truth()),
            ("configuration", named("Configuration")),
            ("learner", text_or_nothing()),
            ("reason", text_or_nothing()),
            ("started", text_or_nothing()),
            ("ended", text_or_nothing()),
        ],
    )
}

fn entity() -> Form {
    object(
        "How one entity stands.",
        vec![
            ("entity", or_nothing(named("EntityKey"))),
            ("value", number_or_nothing()),
            ("trial", or_nothing(trial())),
            ("trials", named("TrialCounts")),
        ],
    )
}

fn ended() -> Form {
    object(
        "The data of an event trials: what ended since the one before. Those that are not listed \
         are in the list of trials from cursor on, up to next.",
        vec![
            ("trials", list(named("Trial"))),
            ("ended", named("TrialCounts")),
            ("cursor", text_or_nothing()),
            ("next", text_or_nothing()),
        ],
    )
}

fn runner() -> Form {
    object(
        "A process that runs trials.",
        vec![
            ("name", text()),
            ("host", text()),
            ("device", text()),
            ("slots", count()),
            ("busy", count()),
            ("version", text()),
            ("commands", truth()),
            ("state", words(&["working", "draining", "gone", "refused"])),
            ("load", number_or_nothing()),
            ("troubles", list(text())),
            ("heard_s", number()),
        ],
    )
}

/// An example beside a form.
pub(super) fn example(text: &str) -> Option<Value> {
    Some(Value::from(text))
}
