//! Searches of many series in fused launches: exponential smoothing and the theta method.
//!
//! A device ends the searches, and the CPU chooses among the ends and forecasts. Theta is the CPU's
//! own to the bit; exponential smoothing ends within a thousandth of its sum (`cuda/ets.rs`). A fit of
//! which any series is the CPU's to search is the CPU's as a whole.

use std::cell::Cell;

use fleetfit_search_spaces::Learner;

use super::{Field, Fitted, Sown, curves, season_length, smoothing};
use crate::cuda::company::Family;
use crate::cuda::ets::{Ets, refusal};
use crate::cuda::machine::Fault;
use crate::cuda::theta::Theta;
use crate::series::{ets, theta};
use crate::stop::Stop;
use crate::trainer::ahead::{Ask, Told, left};
use crate::trainer::parameters::Parameters;
use crate::trainer::{Fit, FitError, Trials};

/// Values whose searches are prepared together: those of a few launches.
const MOST_VALUES: usize = 8 << 20;

/// One fit, its series ready to be searched.
struct Plot<'a> {
    /// Entity, candidate and fold.
    at: (usize, usize, usize),
    field: Field<'a>,
    series: Vec<Sown>,
}

/// Makes a series ready; none where it is not a device's.
type Prepare<'a, P> = dyn Fn(&Fit<'_>, &Sown) -> Result<Option<P>, FitError> + 'a;
/// Searches series: where each search ended, and why not all did.
type Launch<'a, P, E> = dyn Fn(&[P]) -> (Vec<Option<E>>, Result<(), Fault>) + 'a;

/// How a method is searched on a device: `P` is a series that is ready, `E` where its search ended.
struct Search<'a, P, E> {
    name: &'a str,
    prepare: &'a Prepare<'a, P>,
    search: &'a Launch<'a, P, E>,
    conclude: &'a dyn Fn(&P, &E) -> Option<Fitted>,
}

/// Tries all entities' candidates.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    learner: Learner,
    all: &[Trials<'_>],
    told: &mut [Told],
) -> Result<(), Fault> {
    let Ask { limits, stop, .. } = *ask;
    let refused = Cell::new(None);
    match learner {
        Learner::ExponentialSmoothing => {
            let search = Search {
                name: learner.name(),
                prepare: &|job: &Fit<'_>, sown: &Sown| {
                    let settings = smoothing(&Parameters(job.parameters))?;
                    let own = ets::batch::Prepared::of(&sown.values, sown.season, &settings)?;
                    let why = match &own {
                        Some(own) => refusal(own, limits),
                        None => (settings.trend == Some(ets::Component::Mul))
                            .then_some("a trend multiplies"),
                    };
                    refused.set(refused.get().or(why));
                    Ok(own.filter(|_| why.is_none()))
                },
                search: &|series: &[ets::batch::Prepared]| ends::<Ets>(ask, &lent(series)),
                conclude: &|series: &ets::batch::Prepared, ends: &Vec<[ets::batch::End; 2]>| {
                    series.conclude(ends, stop).ok().flatten().map(Fitted::Smoothing)
                },
            };
            search.all(all, stop, told)?;
            left(learner.name(), refused.get())
        }
        Learner::Theta => {
            let search = Search {
                name: learner.name(),
                prepare: &|job: &Fit<'_>, sown: &Sown| {
                    let settings = curves(&Parameters(job.parameters))?;
                    theta::batch::Prepared::of(&sown.values, sown.season, &settings, job.stop)
                },
                search: &|series: &[theta::batch::Prepared]| ends::<Theta>(ask, &lent(series)),
                conclude: &|series: &theta::batch::Prepared, ends: &Vec<theta::batch::End>| {
                    Some(Fitted::Theta(series.conclude(ends)))
                },
            };
            search.all(all, stop, told)
        }
        _ => Ok(()),
    }
}

fn lent<P>(series: &[P]) -> Vec<&P> {
    series.iter().collect()
}

fn ends<F: Family>(
    ask: &Ask<'_>,
    wishes: &[F::Wish<'_>],
) -> (Vec<Option<F::Found>>, Result<(), Fault>) {
    let mut ends: Vec<Option<F::Found>> = wishes.iter().map(|_| None).collect();
    let asked = ask.gather::<F>(wishes, |index, found| ends[index] = Some(found));
    (ends, asked)
}

impl<P, E> Search<'_, P, E> {
    fn all(&self, all: &[Trials<'_>], stop: &Stop, told: &mut [Told]) -> Result<(), Fault> {
        let (mut plots, mut ready, mut n_values) = (Vec::new(), Vec::new(), 0);
        for (entity, trials) in all.iter().enumerate() {
            for candidate in 0..trials.candidates.len() {
                for fold in trials.ahead() {
                    if stop.check().is_err() {
                        return Ok(());
                    }
                    let at = (entity, candidate, fold);
                    let job = trials.fit((candidate, fold), stop);
                    // Whoever has a reason says it in the entity's own course.
                    let Ok(Some((plot, own))) = self.plot(at, &job) else { continue };
                    n_values += plot.series.iter().map(|sown| sown.values.len()).sum::<usize>();
                    plots.push(plot);
                    ready.extend(own);
                    if n_values >= MOST_VALUES {
                        let ready = std::mem::take(&mut ready);
                        self.reap(std::mem::take(&mut plots), &ready, (all, stop), told)?;
                        n_values = 0;
                    }
                }
            }
        }
        self.reap(plots, &ready, (all, stop), told)
    }

    /// None where a series is not the device's.
    fn plot<'b>(
        &self,
        at: (usize, usize, usize),
        job: &Fit<'b>,
    ) -> Result<Option<(Plot<'b>, Vec<P>)>, FitError> {
        let mut field = Field::of(job, self.name, season_length(job)?)?;
        let (mut series, mut ready) = (Vec::new(), Vec::new());
        for (name, rows) in std::mem::take(&mut field.rows) {
            let Some(sown) = field.sow(name, rows, job.stop)? else { continue };
            let Some(own) = (self.prepare)(job, &sown)? else { return Ok(None) };
            ready.push(own);
            series.push(sown);
        }
        Ok(Some((Plot { at, field, series }, ready)))
    }

    /// Searches, and tells what the models of those fits predict whose searches all ended.
    fn reap(
        &self,
        plots: Vec<Plot<'_>>,
        ready: &[P],
        (all, stop): (&[Trials<'_>], &Stop),
        told: &mut [Told],
    ) -> Result<(), Fault> {
        let (ends, asked) = (self.search)(ready);
        let mut found = ready.iter().zip(&ends);
        for Plot { at: (entity, candidate, fold), field, series } in plots {
            let own: Vec<_> = found.by_ref().take(series.len()).collect();
            let pairs = series.into_iter().zip(own);
            let reaped = pairs.map(|(sown, (ready, end))| {
                let fitted = (self.conclude)(ready, end.as_ref()?)?;
                Some(sown.reap(fitted))
            });
            let Some(reaped) = reaped.collect::<Option<Vec<_>>>() else { continue };
            let trials = &all[entity];
            let rows = &trials.folds[fold].validate;
            let model = field.model(reaped);
            if let Ok(predictions) = model.predict_until(trials.frame, rows, stop) {
                told[entity].insert((candidate, fold), predictions);
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::cuda::machine::Machine;
    use crate::cuda::shim::Shim;
    use crate::folds::Fold;
    use crate::frame::Frame;
    use crate::trainer::searched::configuration;
    use crate::trainer::series_contract::{of_rows, settings};
    use crate::trainer::{Candidate, LaidOut, Predicted, Spare, trainer};

    /// Two series that repeat every 4 steps.
    fn frame(n_steps: usize) -> Frame {
        let value = |series: u32, step: usize| {
            let season = [0.0, 5.0, -3.0, 1.0][step % 4];
            let noise = (step as f64 * 12.9898 + f64::from(series)).sin() * 0.5;
            20.0 + 10.0 * f64::from(series) + 0.3 * step as f64 + season + noise
        };
        let of_step = |step: usize| [0, 1].map(|series| (series, step as f64, value(series, step)));
        of_rows((0..n_steps).flat_map(of_step).collect(), &settings())
    }

    /// The last four steps, and the four before.
    fn folds(frame: &Frame) -> Vec<Fold> {
        let n_rows = frame.n_rows as u32;
        [8, 16]
            .map(|n| Fold {
                train: (0..n_rows - n).collect(),
                validate: (n_rows - n..n_rows - n + 8).collect(),
            })
            .into()
    }

    /// What the processor predicts of each candidate and fold.
    fn expected(learner: Learner, trials: &Trials<'_>) -> HashMap<(usize, usize), Vec<f64>> {
        let mut all = HashMap::new();
        trainer(learner).unwrap().try_all(trials, &mut |heard| {
            if let Ok(Predicted::Numbers(numbers)) = heard.answer {
                all.insert((heard.candidate, heard.fold), numbers.to_vec());
            }
            true
        });
        all
    }

    fn check(learner: Learner, jsons: &[&str], n_left: usize, tolerance: f64) {
        let parameters: Vec<_> = jsons.iter().map(|json| configuration(json)).collect();
        let candidates: Vec<Candidate<'_>> =
            parameters.iter().map(|parameters| Candidate { parameters, seed: 1 }).collect();
        let (stop, spare) = (Stop::default(), Spare::default());
        let frames = [36, 60, 45].map(frame);
        let folds = frames.each_ref().map(folds);
        let laid_out: [LaidOut; 3] = Default::default();
        let trials = |entity: usize| Trials {
            frame: &frames[entity],
            folds: &folds[entity],
            n_behind: usize::from(entity == 2),
            laid_out: &laid_out[entity],
            candidates: &candidates,
            stop: &stop,
            limit: None,
            spare: &spare,
        };
        let all = [trials(0), trials(1), trials(2)];
        let machine = Machine::Shim(Shim::default());
        let limits = machine.limits(1).unwrap();
        let ask = Ask::alone(&machine, &limits, &stop);
        let mut told = vec![Told::new(); 3];
        let said = ask.of(learner, &all, &mut told);
        match jsons.iter().any(|json| json.contains("mul")) {
            true => assert_eq!(said, left(learner.name(), Some("a trend multiplies"))),
            false => said.unwrap(),
        }
        for (trials, told) in all.iter().zip(&told) {
            let expected = expected(learner, trials);
            assert_eq!(told.len(), (jsons.len() - n_left) * trials.ahead().len());
            for (at, own) in told {
                let Predicted::Numbers(own) = own.lend() else { panic!("classes") };
                for (own, expected) in own.iter().zip(&expected[at]) {
                    let is_near = (own - expected).abs() <= tolerance * expected.abs();
                    assert!(is_near, "{learner:?} {at:?}: {own}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn theta_is_the_processor_s_to_the_bit() {
        let jsons =
            ["{}", r#"{"theta": "optimized"}"#, r#"{"theta": "auto"}"#, r#"{"theta": 0.5}"#];
        check(Learner::Theta, &jsons, 1, 0.0);
    }

    #[test]
    fn exponential_smoothing_forecasts_about_the_same() {
        let jsons = [
            r#"{"trend": "none", "seasonal": "add", "error": "add"}"#,
            r#"{"trend": "add", "seasonal": "none", "error": "add", "damped": false}"#,
            r#"{"trend": "mul", "error": "mul"}"#,
        ];
        check(Learner::ExponentialSmoothing, &jsons, 1, 0.02);
    }
}
