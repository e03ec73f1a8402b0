//! An entity, and the configurations that are tried on it, learner by learner.
//!
//! Many of them are laid out before any is tried where a device is asked ahead of them.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{Block, Learner};

use super::bench::{Bench, Thinned};
use super::course::{Course, Entrant};
use super::fleet::{Fleet, untrainable};
use super::news::{Effort, News};
use super::part::Part;
use crate::devices::Seat;
use crate::folds::Fold;
use crate::trainer::ahead::{Ahead, Ask, Missed, Told};
use crate::trainer::{Candidate, Hand, Trials, View};

/// An entity and what is tried on it.
pub(super) struct Ground<'a> {
    entity: u32,
    tried: Vec<&'a Numbered>,
    place: Arc<OnceLock<Bench>>,
    /// With fewer rows to learn from.
    thinned: Option<Arc<Thinned>>,
    /// Configurations that mean nothing, and why.
    failed: Vec<(u32, String)>,
    heats: Vec<Heat>,
}

/// Configurations of one learner.
pub(super) struct Heat {
    learner: Learner,
    entrants: Vec<Entrant>,
    /// Who tries them, or why nobody can.
    hand: Result<Hand, String>,
    told: Told,
    missed: Missed,
}

impl<'a> Ground<'a> {
    /// Lays an entity out for those of the blocks that hold it.
    pub(super) fn of(fleet: &Fleet<'_>, entity: u32, part: Part<'_>, blocks: &'a [Block]) -> Self {
        let holds = |block: &&Block| block.entities.iter().any(|range| range.contains(&entity));
        let tried: Vec<&Numbered> = blocks.iter().filter(holds).map(|block| &block.tried).collect();
        let place = fleet.running.benches.place(entity);
        let bench = place.get_or_init(|| fleet.lay_out(entity));
        let work = &fleet.running.work;
        let (mut failed, mut entrants) = (Vec::new(), Vec::new());
        for trial in &tried {
            match work.study.work.training(&trial.configuration) {
                Ok(training) => {
                    let (training, rung) = part.shorten(training);
                    entrants.push(Entrant::new(trial.number, training, rung));
                }
                Err(reason) => failed.push((trial.number, reason)),
            }
        }
        let thinned = match (part.rows(), &bench.folds) {
            (Some(rows), Ok(folds)) => Some(bench.thinned(folds, rows, work.seed)),
            _ => None,
        };
        let thinned = thinned.filter(|thinned| !thinned.is_whole);
        if let (Some((rung, _)), Some(_)) = (part.rows(), &thinned) {
            entrants.iter_mut().for_each(|entrant| entrant.rung = Some(rung));
        }
        // Those of one learner go together, in the order in which they came.
        let mut heats = Vec::new();
        while let Some(first) = entrants.first() {
            let learner = first.training.learner;
            let is_of_it = |entrant: &Entrant| entrant.training.learner == learner;
            let (together, others): (Vec<_>, Vec<_>) = entrants.into_iter().partition(is_of_it);
            entrants = others;
            let hand = hand(learner, bench);
            heats.push(Heat {
                learner,
                entrants: together,
                hand,
                told: Told::new(),
                missed: Missed::new(),
            });
        }
        Self { entity, tried, place, thinned, failed, heats }
    }

    /// How many trials wait to be tried.
    pub(super) fn n_waiting(&self) -> usize {
        self.failed.len() + self.heats.iter().map(|heat| heat.entrants.len()).sum::<usize>()
    }

    /// Takes out what a device knows nothing of.
    pub(super) fn split_off(&mut self, fleet: &Fleet<'_>) -> Vec<Heat> {
        let heats = std::mem::take(&mut self.heats);
        let is_known = |heat: &Heat| fleet.is_known(heat.learner) && heat.hand.is_ok();
        let (known, others) = heats.into_iter().partition(is_known);
        self.heats = known;
        others
    }

    /// Takes in what a device told of one of its heats.
    pub(super) fn learn(&mut self, number: usize, (told, missed): (Told, Missed)) {
        let heat = &mut self.heats[number];
        (heat.told, heat.missed) = (told, missed);
    }

    /// Configuration and entity of each trial.
    pub(super) fn trials(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.tried.iter().map(|trial| (trial.number, self.entity))
    }

    /// Tries them. Breaks when the assignment is over.
    pub(super) fn run(
        &mut self,
        fleet: &Fleet<'_>,
        part: Part<'_>,
        news: &mut News<'_>,
    ) -> ControlFlow<()> {
        for (number, reason) in self.failed.drain(..) {
            let end = fleetfit_search_spaces::End::Failed { reason };
            news.push((number, self.entity), end, Effort::default());
        }
        let heats = std::mem::take(&mut self.heats);
        self.run_heats(heats, (fleet, part), news)
    }

    /// Tries some of them.
    pub(super) fn run_heats(
        &self,
        mut heats: Vec<Heat>,
        (fleet, part): (&Fleet<'_>, Part<'_>),
        news: &mut News<'_>,
    ) -> ControlFlow<()> {
        for heat in &mut heats {
            match (&heat.hand, self.course(fleet, part)) {
                (Ok(hand), Some(course)) => {
                    for (candidate, entrant) in heat.entrants.iter_mut().enumerate() {
                        let is_told = |fold| heat.told.contains_key(&(candidate, fold));
                        if course.tried.clone().all(is_told) {
                            entrant.was_launched();
                        }
                    }
                    let ahead =
                        Ahead { told: std::mem::take(&mut heat.told), otherwise: hand.trainer() };
                    for (candidate, squares) in &heat.missed {
                        course.take(&mut heat.entrants[*candidate], squares, news);
                    }
                    heat.entrants.retain(|entrant| !entrant.has_ended());
                    if !heat.entrants.is_empty() {
                        course.run(&ahead, &mut heat.entrants, news)?;
                    }
                }
                (Err(reason), _) => {
                    for entrant in &mut heat.entrants {
                        entrant.fail(self.entity, reason.clone(), news);
                    }
                }
                // Without folds there is no hand.
                (Ok(_), None) => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// None where there are no folds.
    fn course<'b>(&'b self, fleet: &'b Fleet<'_>, part: Part<'_>) -> Option<Course<'b>> {
        let bench = self.place.get()?;
        let folds = bench.folds.as_ref().ok()?;
        let by_folds = part.folds(folds.len());
        let thinned = self.thinned.as_deref();
        Some(Course {
            entity: self.entity,
            bench,
            folds: thinned.map_or(folds, |thinned| &thinned.folds),
            laid_out: thinned.map_or(&bench.laid_out, |thinned| &thinned.laid_out),
            by_folds: part.rung().filter(|_| by_folds.is_some()),
            tried: by_folds.unwrap_or(0..folds.len()),
            measures: fleet.measures,
            study_seed: fleet.running.work.seed,
            flight: fleet.flight,
            spare: fleet.spare,
            limit_s: fleet.running.work.study.limits.trial_timeout_s,
        })
    }
}

/// Who tries configurations of a learner on an entity, or why nobody can.
fn hand(learner: Learner, bench: &Bench) -> Result<Hand, String> {
    let hand = Hand::of(learner, &bench.frame).ok_or_else(|| untrainable(learner))?;
    let folds = bench.folds.as_ref().map_err(ToString::to_string)?;
    if folds.iter().any(Fold::is_out_of_bag) && !learner.scores_out_of_bag() {
        return Err(format!("{} has no out-of-bag score", learner.name()));
    }
    Ok(hand)
}

/// Entities, and which of their heats.
type Places = Vec<(usize, usize)>;

/// What was told of each of them.
type OfPlaces = (Vec<Told>, Vec<Missed>);

/// What a device told by entity and heat, and how long that took without waiting for others.
pub(super) type Answers = (Vec<((usize, usize), (Told, Missed))>, Duration);

/// Asks a device for the trials of many entities, learner by learner. What it does not tell, the
/// entities' own courses find.
pub(super) fn ask(
    fleet: &Fleet<'_>,
    part: Part<'_>,
    grounds: &[Ground<'_>],
    seat: &mut Seat<'_>,
) -> Answers {
    let (mut answers, mut took) = (Vec::new(), Duration::ZERO);
    let mut of_learner: Vec<(Learner, Places)> = Vec::new();
    for (at, ground) in grounds.iter().enumerate() {
        for (number, heat) in ground.heats.iter().enumerate() {
            if fleet.is_known(heat.learner) && heat.hand.is_ok() {
                let known = of_learner.iter_mut().find(|(learner, _)| *learner == heat.learner);
                match known {
                    Some((_, places)) => places.push((at, number)),
                    None => of_learner.push((heat.learner, vec![(at, number)])),
                }
            }
        }
    }
    for (learner, places) in of_learner {
        let (told, own) = ask_all(fleet, part, grounds, (learner, &places), seat);
        took += own;
        let Some((told, missed)) = told else { continue };
        answers.extend(places.into_iter().zip(told.into_iter().zip(missed)));
    }
    (answers, took)
}

/// What was told of each place, and how long that took. Nothing where a fit took longer than it may, as
/// its share of all: whether it does on the processor as well is seen there. (A kernel that had to be
/// compiled takes long, too.)
fn ask_all(
    fleet: &Fleet<'_>,
    part: Part<'_>,
    grounds: &[Ground<'_>],
    (learner, places): (Learner, &[(usize, usize)]),
    seat: &mut Seat<'_>,
) -> (Option<OfPlaces>, Duration) {
    let mut courses = Vec::new();
    let mut candidates: Vec<Vec<Candidate<'_>>> = Vec::new();
    for &(at, number) in places {
        let heat = &grounds[at].heats[number];
        // Without folds there is no hand, and no place.
        let (Ok(hand), Some(course)) = (&heat.hand, grounds[at].course(fleet, part)) else {
            continue;
        };
        let entrants = heat.entrants.iter();
        candidates.push(entrants.map(|entrant| course.candidate(&entrant.training)).collect());
        courses.push((hand, course));
    }
    let pairs = courses.iter().zip(&candidates);
    let plain: Vec<Trials<'_>> = pairs.map(|((_, course), own)| course.trials(own)).collect();
    let views = courses.iter().zip(&plain).map(|((hand, _), trials)| hand.view(trials));
    let views: Vec<Option<View>> = views.collect();
    let seen = plain.iter().zip(&views).map(|(trials, view)| match view {
        Some(View::AsIs) => *trials,
        Some(View::Wide(wide)) => wide.trials(trials),
        None => Trials { candidates: &[], ..*trials },
    });
    // Nobody asks for folds beyond the rung that is climbed to.
    let all = seen.zip(&courses).map(|(trials, (_, course))| Trials {
        folds: trials.folds.get(..course.tried.end).unwrap_or(trials.folds),
        ..trials
    });
    let all: Vec<Trials<'_>> = all.collect();
    let mut told: Vec<Told> = all.iter().map(|_| Told::new()).collect();
    let mut missed: Vec<Missed> = all.iter().map(|_| Missed::new()).collect();
    let (began, companies) = (Instant::now(), seat.companies());
    let beside = Cell::default();
    seat.ask(learner.name(), |machine, limits| {
        let company = Some((companies, fleet.kin.as_str()));
        let ask = Ask { machine, limits, stop: &fleet.flight.stop, company, beside: &beside };
        match learner.is_of_squares() {
            true => ask.squares_of(learner, &all, &mut missed),
            false => ask.of(learner, &all, &mut told),
        }
    });
    let n_missed = missed.iter().flat_map(Missed::values).map(Vec::len).sum::<usize>();
    let n_fits = told.iter().map(Told::len).sum::<usize>() + n_missed;
    seat.count(n_fits);
    let own = began.elapsed().saturating_sub(beside.get());
    seat.work();
    let share_s = own.as_secs_f64() / n_fits.max(1) as f64;
    let limit_s = fleet.running.work.study.limits.trial_timeout_s;
    let is_late = limit_s.is_some_and(|limit_s| share_s > limit_s);
    ((!is_late).then_some((told, missed)), own)
}
