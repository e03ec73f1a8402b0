//! Forests of many entities in fused launches: the sums of leaves that a device tells become
//! predictions.
//!
//! What the kernel takes is decided fit by fit (`cuda/forest.rs`); both say the same to the bit.

use std::sync::{Arc, OnceLock};

use fleetfit_search_spaces::Learner;

use super::lessons::Lessons;
use super::path::{Family, Part, Path, Sums};
use super::recipe::Recipe;
use super::soil::Soil;
use super::{Forester, MAX_NODES, table};
use crate::boost::table::Table;
use crate::cuda::forest::{Forest, Sums as Told, Wish, refusal};
use crate::cuda::machine::Fault;
use crate::forest::{Settings, Watched};
use crate::model::Answer;
use crate::trainer::ahead::{self, Ask};
use crate::trainer::gradient_boosting::MAX_TABLES;
use crate::trainer::kin::kin;
use crate::trainer::lesson::Lesson;
use crate::trainer::{Fit, Trials};

/// Candidates of an entity that are one fit on a fold.
struct Sitting<'a> {
    entity: usize,
    fold: usize,
    wanted: Vec<(usize, usize)>,
    job: Fit<'a>,
    recipe: Recipe,
    answer: Answer,
    lessons: Lessons,
    table: Arc<OnceLock<Table>>,
    parts: Vec<Part>,
    n_rows: usize,
    is_out_of_bag: bool,
    /// After how many trees somebody wants to know.
    marks: Vec<usize>,
}

/// The same with its words in order, for each of its parts.
struct Sown<'a> {
    sitting: &'a Sitting<'a>,
    soils: Vec<Soil<'a>>,
    settings: Settings,
}

/// Tries all entities' candidates. Whoever finds no memory, or is refused, is not told.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    trees: Forester,
    all: &[Trials<'_>],
    told: &mut [ahead::Told],
) -> Result<(), Fault> {
    let of = |(entity, trials)| sit(entity, trees, trials);
    let sittings: Vec<Sitting<'_>> = all.iter().enumerate().flat_map(of).collect();
    let sown: Vec<Sown<'_>> = sittings.iter().filter_map(Sitting::sow).collect();
    let (mut wishes, mut places, mut refused) = (Vec::new(), Vec::new(), None);
    for (index, own) in sown.iter().enumerate() {
        let wanted = own.wishes();
        match wanted.iter().find_map(|wish| refusal(&wish.job)) {
            None => {
                places.extend((0..wanted.len()).map(|part| (index, part)));
                wishes.extend(wanted);
            }
            why => refused = refused.or(why),
        }
    }
    let mut found: Vec<Vec<Option<Vec<Told>>>> =
        sown.iter().map(|own| vec![None; own.soils.len()]).collect();
    ask.gather::<Forest>(&wishes, |index, sums| {
        let (index, part) = places[index];
        found[index][part] = Some(sums);
        let parts: Option<Vec<&Vec<Told>>> = found[index].iter().map(Option::as_ref).collect();
        if let Some(parts) = parts {
            let sitting = sown[index].sitting;
            sitting.learn(&parts, &mut told[sitting.entity]);
        }
    })?;
    let learner = match trees {
        Forester::DecisionTree => Learner::DecisionTree,
        Forester::RandomForest => Learner::RandomForest,
        Forester::ExtraTrees => Learner::ExtraTrees,
    };
    ahead::left(learner.name(), refused)
}

/// The fits of an entity.
fn sit<'a>(entity: usize, trees: Forester, trials: &'a Trials<'a>) -> Vec<Sitting<'a>> {
    let mut all = Vec::new();
    for fold in trials.ahead() {
        let mut waiting: Vec<usize> = (0..trials.candidates.len()).collect();
        while let Some(&first) = waiting.first() {
            let is_kin = |index: &usize| kin(&trials.candidates[first], &trials.candidates[*index]);
            let (own, others) = waiting.iter().partition(|index| is_kin(index));
            waiting = others;
            all.extend(Sitting::of(entity, Path { trees, trials, fold, candidates: own }));
        }
    }
    all
}

impl<'a> Sitting<'a> {
    /// None where there is nothing to grow; whoever has a reason hears it in the entity's own
    /// course.
    fn of(entity: usize, path: Path<'a>) -> Option<Self> {
        let (trials, fold) = (path.trials, &path.trials.folds[path.fold]);
        let Family { wanted, job, recipe } = path.read(trials.stop, &mut |_, _| ())?;
        let lesson = Lesson::read(&job).ok()?;
        if lesson.is_constant() {
            return None;
        }
        let answer = lesson.answer();
        let place = trials.laid_out.tables.place_among(recipe.max_bin, MAX_TABLES);
        let table = place.get_or_init(|| table(job.frame, recipe.max_bin, 1));
        let lessons = Lessons::of(&job, lesson);
        let parts = path.parts(&job, table, &lessons);
        // Whether the trees are too large is the CPU's to say.
        let may_fit = 2 * lessons.rows.len() * recipe.n_trees <= MAX_NODES;
        if table.columns.is_empty() || !may_fit {
            return None;
        }
        let mut marks: Vec<usize> = wanted.iter().map(|(n_trees, _)| *n_trees).collect();
        marks.dedup();
        Some(Self {
            entity,
            fold: path.fold,
            wanted,
            job,
            recipe,
            answer,
            lessons,
            table: Arc::clone(&place),
            parts,
            n_rows: fold.validate.len(),
            is_out_of_bag: fold.is_out_of_bag(),
            marks,
        })
    }

    fn sow(&self) -> Option<Sown<'_>> {
        let table = self.table.get()?;
        let soil = |part: &Part| Soil::lay(self.job.frame, table, &self.lessons, &part.order);
        Some(Sown {
            sitting: self,
            soils: self.parts.iter().map(soil).collect(),
            settings: self.recipe.settings(table.columns.len(), self.lessons.rows.len()),
        })
    }

    /// What the trees of all parts say at each mark.
    fn learn(&self, parts: &[&Vec<Told>], told: &mut ahead::Told) {
        for (mark, n_trees) in self.marks.iter().enumerate() {
            let mut sums = Sums::new(&self.answer, self.n_rows);
            for (part, own) in self.parts.iter().zip(parts) {
                if let Some(own) = own.get(mark) {
                    sums.add_all(&own.sums, &own.n_trees, &part.places);
                }
            }
            let predictions = sums.predictions();
            for (_, candidate) in self.wanted.iter().filter(|(own, _)| own == n_trees) {
                told.insert((*candidate, self.fold), predictions.clone());
            }
        }
    }
}

impl Sown<'_> {
    /// One a part.
    fn wishes(&self) -> Vec<Wish<'_>> {
        let Sitting { job, lessons, recipe, parts, marks, is_out_of_bag, .. } = self.sitting;
        let mut wishes = Vec::new();
        for (soil, part) in self.soils.iter().zip(parts) {
            let watched = Watched { rows: &part.rows, out_of_bag: *is_out_of_bag };
            let job = lessons.job(job, &soil.grid, (recipe, &self.settings), watched, 1);
            wishes.push(Wish { job, marks });
        }
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::ahead::tests::{Expected, agrees};

    #[test]
    fn what_a_device_tells_of_many_entities_is_what_each_hears_alone() {
        let jsons = [
            r#"{"n_estimators": 4, "max_depth": 4}"#,
            r#"{"n_estimators": 2, "max_depth": 4}"#,
            r#"{"n_estimators": 3, "max_features": 0.5, "min_samples_leaf": 3}"#,
            r#"{"n_estimators": 3, "max_depth": 0}"#,
        ];
        for trees in [Forester::RandomForest, Forester::ExtraTrees] {
            let expected = Expected { n_classes: &[0, 2, 3], n_taken: 3, tolerance: 0.0 };
            agrees(&trees, &|own, all, told| ask(own, trees, all, told), &jsons, &expected);
        }
    }
}
