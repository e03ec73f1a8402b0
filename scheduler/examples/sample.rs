//! A sampler in a process of its own, spoken to by lines of JSON on stdin and stdout, so that it can
//! be compared with the samplers of other libraries on any function.
//!
//! The first line is `{"job": TEXT, "seed": N}`, a job file's text; the answer is `{}`. Then
//! `{"ask": N}` is answered with `trials`, each with its `number` and `configuration`;
//! `{"prefill": N}` with uniform random ones instead, which count as seen; and `{"tell": [...]}`
//! takes `{"number": N, "value": X}`, `{"number": N, "stopped": X}` (or null), `{"number": N,
//! "failed": null}` and, for several objectives or constraints, `{"number": N, "values": [X, ...]}` in
//! the order of the study's metrics. Fewer trials than asked for: the space is used up.
//! `{"report": [{"number": N, "step": S, "value": X}]}` is answered with `stop`, the numbers of the
//! trials that the job's `early_termination` ends; each is told of afterwards, as any other.
//!
//! Each answer has `cpu_s` and `wall_s`, what was spent on it, without reading and writing. A line
//! that cannot be understood is answered with `error`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use fleetfit_scheduler::sampler::{self, Fate, Losses, Sampler};
use fleetfit_scheduler::stopper::{TrialKey, Watch};
use fleetfit_search_spaces::{
    Aims, Algorithm, Configuration, End as Ending, Goal, Job, Outcome, Report,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The first line.
#[derive(Deserialize)]
struct Opening {
    job: String,
    seed: u64,
}

/// Every other line.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Ask(u32),
    Prefill(u32),
    Tell(Vec<Told>),
    Report(Vec<Reported>),
}

/// What a running trial says.
#[derive(Deserialize)]
struct Reported {
    number: u32,
    step: u64,
    value: f64,
}

/// What became of a trial.
#[derive(Deserialize)]
struct Told {
    number: u32,
    #[serde(flatten)]
    end: End,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Value(f64),
    Values(Vec<f64>),
    Stopped(Option<f64>),
    Failed(()),
}

/// A trial to run.
#[derive(Serialize)]
struct Trial {
    number: u32,
    configuration: Configuration,
}

#[derive(Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    trials: Option<Vec<Trial>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Vec<u32>>,
    cpu_s: f64,
    wall_s: f64,
}

/// The sampler of a job, with one of chance to begin with.
struct Session {
    sampler: Box<dyn Sampler>,
    chance: Box<dyn Sampler>,
    watch: Option<Watch>,
    reports: BTreeMap<u32, Vec<Report>>,
    goal: Goal,
    aims: Aims,
    n_trials: u32,
}

impl Session {
    fn open(line: &str) -> Result<Self, String> {
        let Opening { job, seed } =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let job = Job::read("job.yaml", &job).map_err(|problems| problems.to_string())?;
        let mut study = job.study().map_err(|problems| problems.to_string())?;
        let goal = study.objective.goal;
        let aims = Aims::of(&study);
        let refused = |error: sampler::SamplerError| error.to_string();
        let sampler = sampler::for_study(&study, seed).map_err(refused)?;
        study.sampling.algorithm = Algorithm::Random;
        let chance = sampler::for_study(&study, !seed).map_err(refused)?;
        let watch = study.early_termination.map(|policy| Watch::new(&policy, goal));
        Ok(Self { sampler, chance, watch, reports: BTreeMap::new(), goal, aims, n_trials: 0 })
    }

    fn answer(&mut self, line: &str) -> Result<Answer, String> {
        let request: Request = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let (cpu, wall) = (cpu_s(), Instant::now());
        let mut answer = Answer::default();
        match request {
            Request::Ask(n) => answer.trials = Some(self.ask(n)),
            Request::Prefill(n) => answer.trials = Some(self.prefill(n)),
            Request::Tell(told) => told.iter().for_each(|told| self.tell(told)),
            Request::Report(said) => answer.stop = Some(self.report(&said)),
        }
        (answer.cpu_s, answer.wall_s) = (cpu_s() - cpu, wall.elapsed().as_secs_f64());
        Ok(answer)
    }

    fn ask(&mut self, n: u32) -> Vec<Trial> {
        let mut trials = Vec::new();
        for _ in 0..n {
            let number = self.n_trials;
            let Some(configuration) = self.sampler.propose(number) else { break };
            self.sampler.seen(number, &configuration);
            trials.push(Trial { number, configuration });
            self.n_trials += 1;
        }
        trials
    }

    fn prefill(&mut self, n: u32) -> Vec<Trial> {
        let mut trials = Vec::new();
        for _ in 0..n {
            let number = self.n_trials;
            let Some(configuration) = self.chance.propose(number) else { break };
            self.chance.seen(number, &configuration);
            self.sampler.seen(number, &configuration);
            trials.push(Trial { number, configuration });
            self.n_trials += 1;
        }
        trials
    }

    fn tell(&mut self, told: &Told) {
        let fate = match &told.end {
            End::Value(value) => Fate::Completed(self.goal.loss(*value)),
            End::Values(values) => match values.split_first() {
                Some((&value, further)) => Fate::Judged(Losses::of(&self.aims, value, further)),
                None => Fate::Failed,
            },
            End::Stopped(value) => Fate::Stopped(value.map(|value| self.goal.loss(value))),
            End::Failed(()) => Fate::Failed,
        };
        let reports = self.reports.remove(&told.number).unwrap_or_default();
        let Some(watch) = &mut self.watch else {
            self.sampler.told(told.number, fate);
            return;
        };
        let end = match told.end {
            End::Value(value) => Ending::Completed { value },
            End::Values(ref values) => {
                Ending::Completed { value: values.first().copied().unwrap_or(f64::NAN) }
            }
            End::Stopped(value) => Ending::Stopped { value, reason: String::new() },
            End::Failed(()) => Ending::Failed { reason: String::new() },
        };
        let configuration = told.number;
        let entity = 0;
        let outcome = Outcome {
            configuration,
            entity,
            end,
            fits: 0,
            started_ms: 0,
            ended_ms: 0,
            reports,
            further: Vec::new(),
        };
        for (rung, loss) in watch.passed(&outcome) {
            self.sampler.passed(configuration, rung, loss);
        }
        self.sampler.told(configuration, fate);
        watch.ended(&outcome);
    }

    fn report(&mut self, said: &[Reported]) -> Vec<u32> {
        let mut stop = Vec::new();
        for &Reported { number, step, value } in said {
            let report = Report { step, value };
            self.reports.entry(number).or_default().push(report);
            let Some(watch) = &mut self.watch else { continue };
            let ended = watch.report(TrialKey { configuration: number, entity: 0 }, report);
            stop.extend(ended.into_iter().map(|(key, _)| key.configuration));
        }
        stop.sort_unstable();
        stop.dedup();
        stop
    }
}

/// The processor time of this thread so far.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    let mut say = |answer: &serde_json::Value| {
        writeln!(output, "{answer}")?;
        output.flush()
    };
    let mut session: Option<Session> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match &mut session {
            Some(session) => session.answer(&line).map(|answer| serde_json::json!(answer)),
            None => Session::open(&line).map(|opened| {
                session = Some(opened);
                serde_json::json!({})
            }),
        };
        say(&answer.unwrap_or_else(|error| serde_json::json!({ "error": error })))?;
    }
    Ok(())
}
