//! What is done on a fold of an entity: of all that is wanted of it, by whomever.
//!
//! What is of one form has one system, ridge's alphas one reduction of it, penalties of one share
//! one walk down the ladder. Neither depends on how many others there are.

use std::collections::HashMap;

use crate::trainer::linear::{Form, Line, Scaling, Settings};

/// What was asked for, each list once.
#[derive(Default)]
pub(super) struct Lists {
    all: Vec<List>,
    places: HashMap<Vec<u64>, usize>,
}

struct List {
    is_ridge: bool,
    tried: Vec<Settings>,
}

/// What is done on each fold of an entity.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Course {
    pub(super) forms: Vec<Form>,
    pub(super) ridges: Vec<Part>,
    /// Penalties with their share of the absolute part.
    pub(super) nets: Vec<(Part, f64)>,
    pub(super) n_losses: usize,
    /// Where the loss of each that is tried stands among those of a fold, list by list.
    pub(super) places: Vec<Vec<usize>>,
}

/// What one block does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Of those of the course.
    pub(super) form: usize,
    /// The first of its penalties among all.
    pub(super) first: usize,
    pub(super) n: usize,
    /// Where their losses begin among those of a fold.
    pub(super) place: usize,
}

/// The courses of all entities of a launch, each once.
#[derive(Default)]
pub(super) struct Courses {
    all: HashMap<Vec<usize>, Course>,
    /// Of ridge.
    pub(super) alphas: Vec<f64>,
    /// Alpha, tolerance and rounds of the others.
    pub(super) penalties: Vec<f64>,
}

impl Lists {
    /// Where a list stands.
    pub(super) fn place(&mut self, line: Line, tried: &[Settings]) -> usize {
        let is_ridge = line == Line::Ridge;
        let mut key = vec![u64::from(is_ridge)];
        for Settings { penalty, form } in tried {
            key.extend([penalty.alpha, penalty.l1_ratio, penalty.tolerance].map(f64::to_bits));
            key.extend([penalty.max_rounds as u64, bits(*form)]);
        }
        let all = &mut self.all;
        *self.places.entry(key).or_insert_with(|| {
            all.push(List { is_ridge, tried: tried.to_vec() });
            all.len() - 1
        })
    }
}

/// A form as `split.cu` reads it.
pub(super) fn bits(form: Form) -> u64 {
    u64::from(form.scaling == Scaling::Standard) | u64::from(form.has_intercept) << 1
}

/// One that is tried: its list among those of the entity, and its place there.
type Tried<'a> = (usize, usize, &'a Settings);

impl Courses {
    /// The course of entities of which these lists are wanted.
    pub(super) fn of(&self, own: &[usize]) -> &Course {
        &self.all[own]
    }

    /// Makes it, where it is not known.
    pub(super) fn add(&mut self, lists: &Lists, own: &[usize]) {
        if self.all.contains_key(own) {
            return;
        }
        let of_it = |is_ridge: bool| {
            let own = own.iter().map(|&list| &lists.all[list]).enumerate();
            let own = own.filter(move |(_, list)| list.is_ridge == is_ridge);
            own.flat_map(|(at, list)| {
                list.tried.iter().enumerate().map(move |(place, tried)| (at, place, tried))
            })
        };
        let places = own.iter().map(|&list| vec![0; lists.all[list].tried.len()]).collect();
        let mut course = Course { places, ..Course::default() };
        for (_, _, tried) in of_it(true).chain(of_it(false)) {
            if !course.forms.contains(&tried.form) {
                course.forms.push(tried.form);
            }
        }
        for form in 0..course.forms.len() {
            let is_of_form = |tried: &Tried<'_>| tried.2.form == course.forms[form];
            let ridges: Vec<Tried<'_>> = of_it(true).filter(is_of_form).collect();
            let mut nets: Vec<Tried<'_>> = of_it(false).filter(is_of_form).collect();
            nets.sort_by(|(_, _, a), (_, _, b)| {
                let (a, b) = (&a.penalty, &b.penalty);
                a.l1_ratio.total_cmp(&b.l1_ratio).then(b.alpha.total_cmp(&a.alpha))
            });
            if !ridges.is_empty() {
                let part = course.part((form, self.alphas.len()), &ridges);
                self.alphas.extend(ridges.iter().map(|(_, _, tried)| tried.penalty.alpha));
                course.ridges.push(part);
            }
            let share = |tried: &Tried<'_>| tried.2.penalty.l1_ratio;
            for own in nets.chunk_by(|a, b| share(a) == share(b)) {
                let part = course.part((form, self.penalties.len() / 3), own);
                for (_, _, tried) in own {
                    let penalty = &tried.penalty;
                    let rounds = penalty.max_rounds.min(1 << 52) as f64;
                    self.penalties.extend([penalty.alpha, penalty.tolerance, rounds]);
                }
                course.nets.push((part, share(&own[0])));
            }
        }
        self.all.insert(own.to_vec(), course);
    }
}

impl Course {
    /// What tries these, one after the other.
    fn part(&mut self, (form, first): (usize, usize), tried: &[Tried<'_>]) -> Part {
        let place = self.n_losses;
        for (index, &(list, at, _)) in tried.iter().enumerate() {
            self.places[list][at] = place + index;
        }
        self.n_losses += tried.len();
        Part { form, first, n: tried.len(), place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::linear::Penalty;

    fn settings(alpha: f64, l1_ratio: f64, has_intercept: bool) -> Settings {
        let penalty = Penalty { alpha, l1_ratio, tolerance: 1e-4, max_rounds: 9 };
        Settings { penalty, form: Form { scaling: Scaling::Standard, has_intercept } }
    }

    #[test]
    fn what_several_want_is_merged_by_form_and_share() {
        let mut lists = Lists::default();
        let ridge = [settings(1.0, 0.0, true), settings(2.0, 0.0, false)];
        let other = [settings(3.0, 0.0, true)];
        let net = [settings(0.1, 0.5, true), settings(0.2, 1.0, true), settings(0.3, 0.5, true)];
        assert_eq!(lists.place(Line::Ridge, &ridge), 0);
        assert_eq!(lists.place(Line::ElasticNet, &net), 1);
        assert_eq!(lists.place(Line::Ridge, &other), 2);
        assert_eq!(lists.place(Line::Ridge, &ridge), 0);
        // The same numbers mean something else to another solver.
        assert_eq!(lists.place(Line::Lasso, &ridge), 3);

        let mut courses = Courses::default();
        courses.add(&lists, &[0, 1, 2]);
        courses.add(&lists, &[2]);
        courses.add(&lists, &[0, 1, 2]);
        let course = courses.of(&[0, 1, 2]);
        assert_eq!(course.forms, [ridge[0].form, ridge[1].form]);
        let part = |form, first, n, place| Part { form, first, n, place };
        assert_eq!(course.ridges, [part(0, 0, 2, 0), part(1, 2, 1, 5)]);
        assert_eq!(course.nets, [(part(0, 0, 2, 2), 0.5), (part(0, 2, 1, 4), 1.0)]);
        assert_eq!(course.places, [vec![0, 5], vec![3, 4, 2], vec![1]]);
        assert_eq!(course.n_losses, 6);
        assert_eq!(courses.alphas, [1.0, 3.0, 2.0, 3.0]);
        let alphas: Vec<f64> = courses.penalties.iter().copied().step_by(3).collect();
        assert_eq!(alphas, [0.3, 0.1, 0.2]);
        assert_eq!(courses.of(&[2]).places, [[0]]);
    }
}
