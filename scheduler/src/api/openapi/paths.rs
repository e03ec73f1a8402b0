//! The addresses: what each takes, what it answers, and every status it may answer with.

use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::{Content, ContentBuilder, Paths, Ref, RefOr, Required};

use super::super::MAX_PAGE;
use super::super::question::MAX_CURSOR_BYTES;
use super::super::submit::{IDEMPOTENCY_KEY, JOB_FORMS};
use super::schemas::{
    Form, example, list, named, open_object, text, text_like, text_of, trial, whole, words,
};

const JSON: &str = "application/json";

const BYTES: &str = "application/octet-stream";

/// What every request may be refused with.
const ALWAYS: [u16; 7] = [400, 401, 403, 406, 414, 500, 503];

/// What a request with a body may be refused with besides.
const WITH_BODY: [u16; 4] = [408, 413, 415, 422];

/// Every status that a refusal has, and what it says.
const REFUSALS: [(u16, &str); 14] = [
    (400, "The request is not written as it should be."),
    (401, "There is no token, or a wrong one."),
    (403, "It came through another website, or under a name that is not the service's."),
    (404, "There is no such study, entity, trial, model, schedule or blob."),
    (405, "This address knows other methods; Allow names them."),
    (406, "The answer has another form than those that were asked for."),
    (408, "The body did not arrive in time."),
    (409, "It is not the time for it: another job has the name, or the study runs, or does not."),
    (413, "The body is too long."),
    (414, "The address is too long."),
    (415, "The body has another form than those that are read here."),
    (422, "What the body says cannot be done; problems of a job are listed."),
    (500, "A bug of the service."),
    (503, "Something that it takes is not available; the message names it."),
];

/// What a job looks like at least.
const JOB: &str = "\
type: sweep
trial: external
search_space:
  x: {type: uniform, min_value: 0, max_value: 1}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 20}
";

/// What a schedule with its job in it looks like at least.
const SCHEDULE: &str = "\
name: nightly
trigger: {type: cron, expression: \"0 6 * * *\"}
create_job:
  type: sweep
  trial: external
  search_space:
    x: {type: uniform, min_value: 0, max_value: 1}
  sampling_algorithm: random
  objective: {goal: minimize, primary_metric: loss}
  limits: {max_total_trials: 20}
";

/// The refusals by their statuses.
pub(super) fn refusals() -> Vec<(String, Response)> {
    let refused = |(status, about): (u16, &str)| {
        let response = ResponseBuilder::new()
            .description(about)
            .content(JSON, Content::new(Some(named("Refusal"))))
            .build();
        (refusal_name(status), response)
    };
    REFUSALS.into_iter().map(refused).collect()
}

fn refusal_name(status: u16) -> String {
    format!("Refused{status}")
}

/// One address with one method.
struct Operation {
    method: HttpMethod,
    path: &'static str,
    name: &'static str,
    about: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    /// Statuses of success, with the form of the body where there is one.
    answers: Vec<(u16, &'static str, Form)>,
    /// Further statuses of refusals.
    refusals: &'static [u16],
}

/// Every address.
pub(super) fn all() -> Paths {
    let mut paths = Paths::new();
    for operation in operations() {
        let mut responses = ResponsesBuilder::new();
        let also = if operation.body.is_some() { &WITH_BODY[..] } else { &[] };
        for &status in ALWAYS.iter().chain(also).chain(operation.refusals) {
            let refusal: RefOr<Response> = Ref::from_response_name(refusal_name(status)).into();
            responses = responses.response(status.to_string(), refusal);
        }
        for (status, form, schema) in operation.answers {
            let mut response = ResponseBuilder::new().description(match status {
                201 => "Done; it was not there before.",
                204 => "The study is over, and the asker knows everything.",
                _ => "Done.",
            });
            if !form.is_empty() {
                response = response.content(form, Content::new(Some(schema)));
            }
            responses = responses.response(status.to_string(), response.build());
        }
        let described = OperationBuilder::new()
            .operation_id(Some(operation.name))
            .summary(Some(operation.about))
            .parameters(Some(operation.parameters))
            .request_body(operation.body)
            .responses(responses.build());
        paths.add_path_operation(operation.path, vec![operation.method], described);
    }
    paths
}

fn operations() -> Vec<Operation> {
    let mut operations = studies();
    operations.extend(results());
    operations.extend(external());
    operations.extend(schedules());
    operations.extend(blobs());
    operations.extend(service());
    operations
}

fn studies() -> Vec<Operation> {
    let status = || vec![(200, JSON, named("Status"))];
    vec![
        Operation {
            parameters: paged(),
            ..get("/api/v1/studies", "list_studies", "Every study, oldest first.", "Statuses", &[])
        },
        Operation {
            parameters: vec![
                query("name", "The study's name instead of the job's own.", text_of(1, 512)),
                query("file", "The job file's name.", text()),
                query("material", "The digest of the manifest of what the job names.", digest()),
                query(
                    "set",
                    "PATH=VALUE: a value that stands there instead.",
                    list(text_like("^[^=]+=", 4096)),
                ),
                repeats(),
            ],
            body: Some(job()),
            answers: vec![(201, JSON, named("Status")), (200, JSON, named("Status"))],
            ..post("/api/v1/studies", "create_study", "Submits a job.", &[404, 409])
        },
        Operation {
            answers: status(),
            ..get("/api/v1/studies/{study}", "get_study", "How a study stands.", "Status", &[404])
        },
        Operation {
            method: HttpMethod::Delete,
            ..get(
                "/api/v1/studies/{study}",
                "delete_study",
                "Removes a study that does not run, with everything it has.",
                "Deleted",
                &[404, 409],
            )
        },
        Operation {
            answers: status(),
            ..post(
                "/api/v1/studies/{study}/cancel",
                "cancel_study",
                "Ends a study; what it found stays.",
                &[404, 409],
            )
        },
        Operation {
            answers: status(),
            ..post(
                "/api/v1/studies/{study}/resume",
                "resume_study",
                "Goes on with a study that was cancelled or left in the middle.",
                &[404, 409, 422],
            )
        },
        Operation {
            parameters: vec![study(), repeats()],
            body: Some(json("Rerun")),
            answers: vec![(201, JSON, named("Status")), (200, JSON, named("Status"))],
            ..post(
                "/api/v1/studies/{study}/rerun",
                "rerun_study",
                "Starts a study like this one on the data as they are now.",
                &[404, 409],
            )
        },
        Operation {
            parameters: vec![study(), repeats()],
            body: Some(json("Enqueue")),
            answers: vec![(200, JSON, named("Queued"))],
            ..post(
                "/api/v1/studies/{study}/enqueue",
                "enqueue",
                "Has configurations tried before the sampler is asked again.",
                &[404, 409],
            )
        },
    ]
}

fn results() -> Vec<Operation> {
    let entity = || query("entity", "17, or store=17,brand=3.", text());
    let of_study = |mut parameters: Vec<Parameter>| {
        parameters.insert(0, study());
        parameters
    };
    let state = query("state", "How they ended.", words(&["completed", "stopped", "failed"]));
    let event = || text_like("^([0-9]+-)?[0-9]+-[0-9]+!?$", 53);
    let last = header("last-event-id", "Goes on after this event.", event());
    let after = query("cursor", "The same, for whoever sets no headers.", event());
    vec![
        Operation {
            parameters: of_study([vec![entity(), state], paged()].concat()),
            ..get(
                "/api/v1/studies/{study}/trials",
                "list_trials",
                "Ended trials in the order of their ends.",
                "Trials",
                &[404],
            )
        },
        Operation {
            parameters: of_study(vec![path("trial", "The number of a configuration.", trial())]),
            answers: vec![(200, "text/plain", text())],
            ..get(
                "/api/v1/studies/{study}/trials/{trial}/logs",
                "get_trial_log",
                "What a command trial printed.",
                "",
                &[404],
            )
        },
        Operation {
            parameters: of_study(vec![entity(), query("top", "How many.", page_size())]),
            answers: vec![(200, JSON, list(named("Best")))],
            ..get(
                "/api/v1/studies/{study}/best",
                "get_best",
                "The best trials of an entity, or the best configurations over all.",
                "",
                &[404],
            )
        },
        Operation {
            parameters: of_study(paged()),
            ..get(
                "/api/v1/studies/{study}/bests",
                "list_bests",
                "The best of every entity that has one.",
                "Bests",
                &[404],
            )
        },
        Operation {
            parameters: of_study([vec![entity()], paged()].concat()),
            ..get(
                "/api/v1/studies/{study}/models",
                "list_models",
                "Where the models lie.",
                "Models",
                &[404],
            )
        },
        Operation {
            parameters: of_study(vec![entity()]),
            answers: vec![(200, BYTES, text())],
            ..get(
                "/api/v1/studies/{study}/model",
                "get_model",
                "The bytes of one entity's model.",
                "",
                &[404],
            )
        },
        Operation {
            body: Some(json("WantedModels")),
            answers: vec![(200, BYTES, text())],
            ..post(
                "/api/v1/studies/{study}/models/bytes",
                "get_models",
                "The bytes of many models in the order asked for, streamed, each behind its length \
                 as four bytes with the lowest first.",
                &[404],
            )
        },
        get(
            "/api/v1/studies/{study}/schema",
            "get_schema",
            "What rows have to look like for the models.",
            "Schema",
            &[404],
        ),
        Operation {
            parameters: of_study(
                [vec![query("sort", "The order.", words(&["key", "value"]))], paged()].concat(),
            ),
            ..get(
                "/api/v1/studies/{study}/entities",
                "list_entities",
                "How each entity stands, in the order of keys or the best value first.",
                "Entities",
                &[404],
            )
        },
        Operation {
            parameters: of_study(vec![
                entity(),
                query("objective", "The metric of one of several objectives.", text()),
            ]),
            ..get(
                "/api/v1/studies/{study}/insight",
                "get_insight",
                "What the trials tell of the parameters and of the search.",
                "Insight",
                &[404],
            )
        },
        Operation {
            parameters: of_study(vec![last, after]),
            answers: vec![(200, "text/event-stream", text()), (204, "", text())],
            ..get(
                "/api/v1/studies/{study}/events",
                "stream_events",
                "Server-sent events trials, best, status and ended, until the study is over.",
                "",
                &[404],
            )
        },
    ]
}

fn external() -> Vec<Operation> {
    let operation = |path, name, about, body: &'static str, answer: &'static str| Operation {
        body: Some(json(body)),
        answers: vec![(200, JSON, named(answer))],
        ..post(path, name, about, &[404, 409])
    };
    vec![
        operation(
            "/api/v1/studies/{study}/ask",
            "ask",
            "Offers trials to be run by the asker.",
            "Ask",
            "Asked",
        ),
        operation(
            "/api/v1/studies/{study}/report",
            "report",
            "Takes a value of a trial on its way, and says whether it should stop.",
            "Report",
            "Reported",
        ),
        operation(
            "/api/v1/studies/{study}/tell",
            "tell",
            "Takes the ends of trials; each counts once.",
            "Tell",
            "Told",
        ),
    ]
}

fn schedules() -> Vec<Operation> {
    const ONE: &str = "/api/v1/schedules/{schedule}";
    let shown = || vec![(200, JSON, named("Schedule"))];
    let name = || vec![path("schedule", "The schedule's name.", text_of(1, 512))];
    let change = |path, name_of, about| Operation {
        parameters: name(),
        answers: shown(),
        ..post(path, name_of, about, &[404, 409])
    };
    vec![
        Operation {
            parameters: paged(),
            ..get(
                "/api/v1/schedules",
                "list_schedules",
                "Every schedule, by name.",
                "Schedules",
                &[409],
            )
        },
        Operation {
            parameters: vec![query("file", "The schedule file's name.", text())],
            body: Some(of_job_forms("NewSchedule", SCHEDULE)),
            answers: vec![(201, JSON, named("Schedule")), (200, JSON, named("Schedule"))],
            ..post(
                "/api/v1/schedules",
                "create_schedule",
                "Keeps a schedule, whose job comes with it or stands in it.",
                &[409],
            )
        },
        Operation {
            parameters: name(),
            ..get(ONE, "get_schedule", "How a schedule stands.", "Schedule", &[404, 409])
        },
        Operation {
            method: HttpMethod::Delete,
            parameters: name(),
            ..get(
                ONE,
                "delete_schedule",
                "Removes a schedule; the studies that it made stay.",
                "DeletedSchedule",
                &[404, 409],
            )
        },
        change(
            "/api/v1/schedules/{schedule}/pause",
            "pause_schedule",
            "Pauses it: nothing runs until it is resumed.",
        ),
        change("/api/v1/schedules/{schedule}/resume", "resume_schedule", "Goes on."),
        Operation {
            parameters: name(),
            answers: shown(),
            ..post(
                "/api/v1/schedules/{schedule}/trigger",
                "trigger_schedule",
                "Runs the job now; the schedule's own times stay.",
                &[404, 409, 422],
            )
        },
    ]
}

fn blobs() -> Vec<Operation> {
    const BLOB: &str = "/api/v1/blobs/{digest}";
    let of = || vec![path("digest", "The blake3 digest of its bytes, in hexadecimal.", digest())];
    let bytes = RequestBodyBuilder::new()
        .content(BYTES, Content::new(Some(text())))
        .required(Some(Required::True))
        .build();
    vec![
        Operation {
            parameters: of(),
            answers: vec![(200, BYTES, text())],
            ..get(
                BLOB,
                "get_blob",
                "A blob's bytes; HEAD tells whether it is there.",
                "",
                &[404, 409],
            )
        },
        Operation {
            method: HttpMethod::Put,
            parameters: of(),
            body: Some(bytes),
            answers: vec![(201, JSON, named("Blob"))],
            ..get(BLOB, "put_blob", "Keeps a blob, streamed.", "", &[409])
        },
        Operation {
            body: Some(json("Wanted")),
            answers: vec![(200, JSON, named("Missing"))],
            ..post("/api/v1/blobs/missing", "find_missing", "Which blobs have to be sent.", &[409])
        },
    ]
}

fn service() -> Vec<Operation> {
    let openapi = open_object("This document.");
    vec![
        Operation {
            parameters: paged(),
            ..get("/api/v1/runners", "list_runners", "Who runs trials, by name.", "Runners", &[])
        },
        Operation {
            answers: vec![(200, "application/x-tar", text())],
            ..get(
                "/api/v1/backup",
                "back_up",
                "A copy of everything that fleetfit restore reads, streamed.",
                "",
                &[],
            )
        },
        get("/healthz", "health", "Whether the service and its parts work.", "Health", &[]),
        Operation {
            answers: vec![(200, "text/plain", text())],
            ..get("/metrics", "metrics", "What Prometheus reads.", "", &[])
        },
        Operation {
            answers: vec![(200, JSON, openapi)],
            ..get("/openapi.json", "describe", "This document.", "", &[])
        },
    ]
}

fn get(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    answer: &'static str,
    refusals: &'static [u16],
) -> Operation {
    Operation {
        method: HttpMethod::Get,
        path,
        name,
        about,
        parameters: if path.contains("{study}") { vec![study()] } else { Vec::new() },
        body: None,
        answers: vec![(200, JSON, named(answer))],
        refusals,
    }
}

fn post(
    path: &'static str,
    name: &'static str,
    about: &'static str,
    refusals: &'static [u16],
) -> Operation {
    Operation { method: HttpMethod::Post, ..get(path, name, about, "", refusals) }
}

fn json(form: &str) -> RequestBody {
    RequestBodyBuilder::new()
        .content(JSON, Content::new(Some(named(form))))
        .required(Some(Required::True))
        .build()
}

fn job() -> RequestBody {
    of_job_forms("Job", JOB)
}

/// A body as JSON of a form, or as YAML like this.
fn of_job_forms(name: &str, yaml: &str) -> RequestBody {
    let mut body = RequestBodyBuilder::new().required(Some(Required::True));
    for form in JOB_FORMS {
        let content = match form {
            JSON => Content::new(Some(named(name))),
            _ => ContentBuilder::new().schema(Some(text())).example(example(yaml)).build(),
        };
        body = body.content(form, content);
    }
    body.build()
}

fn parameter(name: &str, about: &str, place: ParameterIn, form: Form) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .description(Some(about))
        .parameter_in(place)
        .required(required)
        .schema(Some(form))
        .build()
}

fn path(name: &str, about: &str, form: Form) -> Parameter {
    parameter(name, about, ParameterIn::Path, form)
}

fn query(name: &str, about: &str, form: Form) -> Parameter {
    parameter(name, about, ParameterIn::Query, form)
}

fn header(name: &str, about: &str, form: Form) -> Parameter {
    parameter(name, about, ParameterIn::Header, form)
}

fn study() -> Parameter {
    path("study", "The study's name.", text_of(1, 512))
}

fn page_size() -> Form {
    whole(1.0, MAX_PAGE as f64)
}

fn paged() -> Vec<Parameter> {
    vec![
        query(
            "cursor",
            "Where the page begins: next of the page before.",
            text_of(1, MAX_CURSOR_BYTES),
        ),
        query("limit", "How many rows at most.", page_size()),
    ]
}

/// The header that marks repeats of a request.
fn repeats() -> Parameter {
    let mark = text_like("^[!-~]+$", 255);
    header(IDEMPOTENCY_KEY, "A word that marks repeats for a day.", mark)
}

fn digest() -> Form {
    text_like("^[0-9a-f]{64}$", 64)
}
