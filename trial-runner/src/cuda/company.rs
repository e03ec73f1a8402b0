//! Fits of several threads in common launches.
//!
//! Who asks while few runs of its kind are under way leads one at once, alone. Others wait meanwhile;
//! when a run ends, the first of them leads all who wait, and what they want is planned together.
//! Whoever asks lays its own fits out and hears what came of them: what it lends never leaves its
//! thread, and it may leave at any time. When a leader ends before all was told (its study is over, or
//! it lost the card), the others ask again for what they have not heard.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::boost::Boost;
use super::ets::Ets;
use super::forest::Forest;
use super::linear::Lines;
use super::logistic::Logistic;
use super::machine::{Fault, Limits, Machine};
use super::mlp::Mlp;
use super::queue::{Launch, halves};
use super::theta::Theta;
use super::turns::{Begun, run_all};
use crate::stop::Stop;

/// Runs of a kind at once: one computes while the next is laid out.
const MOST_RUNS: usize = 2;

/// How often one that waits looks whether it still wants anything.
const LOOK: Duration = Duration::from_millis(20);

/// What one kernel fits, and how.
pub(crate) trait Family: Sized + 'static {
    /// A fit.
    type Wish<'a>: Copy;
    /// What plans need to know of it.
    type Need: Clone + Send;
    /// The data of a launch.
    type Batch: Default + Send;
    /// What came of a fit.
    type Found: Send;

    /// None where the kernel does not take it.
    fn need(wish: &Self::Wish<'_>, limits: &Limits) -> Option<Self::Need>;
    /// Launches of about a second for all fits.
    fn plan(needs: &[Self::Need], place: (&Machine, &Limits)) -> Vec<Launch>;
    /// Appends a fit.
    fn add(batch: &mut Self::Batch, wish: &Self::Wish<'_>);
    /// Has fits begin in the order of these ranks, one for each that was appended.
    fn rank(batch: &mut Self::Batch, ranks: &[usize]);
    /// Begins the launch; it tells of the fits in the order in which they were appended.
    fn begin<'a>(
        batch: Self::Batch,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Self::Found>, Fault>;
    /// Those who want such fits of a card.
    fn company(all: &Companies) -> &Company<Self>;
}

/// Those who want fits of a card, kernel by kernel.
#[derive(Default)]
pub(crate) struct Companies {
    pub(super) boost: Company<Boost>,
    pub(super) forest: Company<Forest>,
    pub(super) logistic: Company<Logistic>,
    pub(super) mlp: Company<Mlp>,
    pub(super) ets: Company<Ets>,
    pub(super) theta: Company<Theta>,
    pub(super) lines: Company<Lines>,
    #[cfg(test)]
    toy: Company<tests::Toy>,
}

impl Companies {
    /// How many wait.
    #[cfg(test)]
    pub(crate) fn n_waiting(&self) -> usize {
        self.boost.n_waiting()
            + self.forest.n_waiting()
            + self.logistic.n_waiting()
            + self.mlp.n_waiting()
            + self.ets.n_waiting()
            + self.theta.n_waiting()
            + self.lines.n_waiting()
            + self.toy.n_waiting()
    }
}

/// Those who want fits of one kernel, by what they must have in common.
pub(crate) struct Company<F: Family>(Arc<Mutex<BTreeMap<String, Table<F>>>>);

impl<F: Family> Default for Company<F> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Those who have the same in common.
struct Table<F: Family> {
    n_runs: usize,
    waiting: VecDeque<Member<F>>,
}

impl<F: Family> Default for Table<F> {
    fn default() -> Self {
        Self { n_runs: 0, waiting: VecDeque::new() }
    }
}

/// Who wants fits, for whoever leads.
struct Member<F: Family> {
    needs: Vec<F::Need>,
    limits: Limits,
    tell: Sender<Message<F>>,
}

/// What a member is told. One that is told nothing more, and not that it is over, asks again.
enum Message<F: Family> {
    /// Append these of your fits and give it back.
    Add(Vec<usize>, F::Batch, Sender<F::Batch>),
    Found(usize, Result<F::Found, Fault>),
    /// Lead these.
    Lead(Run<F>, Vec<Member<F>>),
    /// All is told; how long a fit took, as its share of all.
    Over(Duration),
}

/// Something under way, until it is dropped.
struct Run<F: Family> {
    company: Company<F>,
    key: String,
}

/// How an ask goes on.
enum Turn<F: Family> {
    Leads(Run<F>, Vec<Member<F>>),
    Waits(Receiver<Message<F>>),
}

/// How waiting ended.
enum Waited<F: Family> {
    Leads(Run<F>, Vec<Member<F>>),
    /// How long a fit took.
    Over(Duration),
    /// Nobody wants to hear more.
    Enough,
    /// Whoever led has ended.
    Again,
}

/// Where fits are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) machine: &'a Machine,
    /// What there is for one.
    pub(crate) limits: &'a Limits,
    /// When nobody wants to know any more.
    pub(crate) stop: &'a Stop,
    /// Who may be asked for together: those who have this in common.
    pub(crate) company: Option<(&'a Companies, &'a str)>,
}

/// Hears what came of a fit, and says whether to go on.
type Hear<'a, F> = dyn FnMut(usize, Result<<F as Family>::Found, Fault>) -> ControlFlow<()> + 'a;

/// Fits all wishes that the kernel takes, launch after launch, and tells what came of each when its
/// launch is through, until `hear` says enough. How long a fit took, as its share of all.
pub(crate) fn fit_all<F: Family>(
    place: &Place<'_>,
    wishes: &[F::Wish<'_>],
    hear: &mut Hear<'_, F>,
) -> Result<Duration, Fault> {
    let needs = wishes.iter().enumerate();
    let needs = needs.filter_map(|(fit, wish)| Some((fit, F::need(wish, place.limits)?)));
    let (taken, needs): (Vec<usize>, Vec<F::Need>) = needs.unzip();
    let mut own = Own::<F> { wishes, taken, needs };
    let Some((companies, key)) = place.company else {
        return lead(place, &own, Vec::new(), hear);
    };
    let company = F::company(companies);
    loop {
        if own.taken.is_empty() {
            return Ok(Duration::ZERO);
        }
        match company.join(key, &own.needs, place.limits) {
            Turn::Leads(_run, others) => return lead(place, &own, others, hear),
            Turn::Waits(messages) => {
                // What it appends for whoever leads is done in the slot of that one, which waits for it.
                place.machine.rest();
                match own.wait(&messages, place.stop, hear) {
                    Waited::Leads(_run, others) => return lead(place, &own, others, hear),
                    Waited::Over(took) => return Ok(took),
                    Waited::Enough => return Ok(Duration::ZERO),
                    Waited::Again => {}
                }
            }
        }
    }
}

/// The same in no company.
#[cfg(test)]
pub(crate) fn fit_alone<F: Family>(
    machine: &Machine,
    limits: &Limits,
    wishes: &[F::Wish<'_>],
    hear: &mut Hear<'_, F>,
) -> Result<(), Fault> {
    let place = Place { machine, limits, stop: &Stop::default(), company: None };
    fit_all::<F>(&place, wishes, hear).map(drop)
}

/// That fits begin in another order than the one in which they were appended changes nothing.
#[cfg(test)]
#[track_caller]
pub(crate) fn order_changes_nothing<F: Family>(
    (machine, limits): (&Machine, &Limits),
    wishes: &[F::Wish<'_>],
    bits: impl Fn(&F::Found) -> Vec<u64>,
) {
    let needs: Vec<F::Need> = wishes.iter().filter_map(|wish| F::need(wish, limits)).collect();
    assert_eq!(needs.len(), wishes.len(), "all are taken");
    for launch in F::plan(&needs, (machine, limits)) {
        let [plain, turned] = [false, true].map(|is_turned| {
            let mut batch = F::Batch::default();
            launch.fits.iter().for_each(|&fit| F::add(&mut batch, &wishes[fit]));
            if is_turned {
                let ranks: Vec<usize> = (0..launch.fits.len()).rev().collect();
                F::rank(&mut batch, &ranks);
            }
            let found = F::begin(batch, machine, &launch).and_then(|begun| begun()).unwrap();
            found.iter().map(&bits).collect::<Vec<_>>()
        });
        assert_eq!(plain.len(), launch.fits.len());
        assert!(plain == turned);
    }
}

/// What somebody asks for.
struct Own<'a, 'b, F: Family> {
    wishes: &'a [F::Wish<'b>],
    /// Of these what is still wanted.
    taken: Vec<usize>,
    needs: Vec<F::Need>,
}

impl<F: Family> Own<'_, '_, F> {
    /// Appends some of those that are wanted.
    fn add(&self, fits: &[usize], batch: &mut F::Batch) {
        fits.iter().for_each(|&fit| F::add(batch, &self.wishes[self.taken[fit]]));
    }

    /// Does what whoever leads says.
    fn wait(
        &mut self,
        messages: &Receiver<Message<F>>,
        stop: &Stop,
        hear: &mut Hear<'_, F>,
    ) -> Waited<F> {
        let mut is_heard = vec![false; self.taken.len()];
        loop {
            match messages.recv_timeout(LOOK) {
                Ok(Message::Add(fits, mut batch, back)) => {
                    self.add(&fits, &mut batch);
                    // Who leads may have ended.
                    let _ = back.send(batch);
                }
                Ok(Message::Found(fit, found)) => {
                    is_heard[fit] = true;
                    if hear(self.taken[fit], found).is_break() {
                        return Waited::Enough;
                    }
                }
                Ok(Message::Lead(run, others)) => return Waited::Leads(run, others),
                Ok(Message::Over(took)) => return Waited::Over(took),
                // Where it should lead, others do when the message is dropped.
                Err(RecvTimeoutError::Timeout) if stop.check().is_err() => return Waited::Enough,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut known = is_heard.iter();
        self.taken.retain(|_| !known.next().copied().unwrap_or_default());
        let mut known = is_heard.iter();
        self.needs.retain(|_| !known.next().copied().unwrap_or_default());
        Waited::Again
    }
}

impl<F: Family> Company<F> {
    fn join(&self, key: &str, needs: &[F::Need], limits: &Limits) -> Turn<F> {
        let mut all = lock(&self.0);
        let table = all.entry(key.to_owned()).or_default();
        if table.n_runs < MOST_RUNS {
            table.n_runs += 1;
            let run = Run { company: Self(Arc::clone(&self.0)), key: key.to_owned() };
            return Turn::Leads(run, table.waiting.drain(..).collect());
        }
        let (tell, messages) = channel();
        table.waiting.push_back(Member { needs: needs.to_vec(), limits: *limits, tell });
        Turn::Waits(messages)
    }

    #[cfg(test)]
    fn n_waiting(&self) -> usize {
        lock(&self.0).values().map(|table| table.waiting.len()).sum()
    }
}

impl<F: Family> Drop for Run<F> {
    fn drop(&mut self) {
        let next = {
            let mut all = lock(&self.company.0);
            let Some(table) = all.get_mut(&self.key) else { return };
            let waiting = std::mem::take(&mut table.waiting);
            if waiting.is_empty() {
                table.n_runs -= 1;
                if table.n_runs == 0 {
                    all.remove(&self.key);
                }
            }
            waiting
        };
        let mut next = next.into_iter();
        let Some(first) = next.next() else { return };
        let run = Self { company: Company(Arc::clone(&self.company.0)), key: self.key.clone() };
        // Where it has left, the message comes back and is dropped: the others ask again.
        let _ = first.tell.send(Message::Lead(run, next.collect()));
    }
}

impl<F: Family> Member<F> {
    /// Has it append fits; none where it has left, and the batch with it.
    fn add(&self, fits: Vec<usize>, batch: F::Batch) -> Option<F::Batch> {
        let (back, batches) = channel();
        self.tell.send(Message::Add(fits, batch, back)).ok()?;
        batches.recv().ok()
    }
}

/// Fits what everybody wants.
fn lead<F: Family>(
    place: &Place<'_>,
    own: &Own<'_, '_, F>,
    others: Vec<Member<F>>,
    hear: &mut Hear<'_, F>,
) -> Result<Duration, Fault> {
    let began = Instant::now();
    let mut limits = *place.limits;
    let mut needs = own.needs.clone();
    // Whose each fit is, the leader's first, and which of its own.
    let mut all: Vec<(usize, usize)> = (0..own.taken.len()).map(|fit| (0, fit)).collect();
    for (index, member) in others.iter().enumerate() {
        limits.memory += member.limits.memory;
        limits.launch_s += member.limits.launch_s;
        needs.extend_from_slice(&member.needs);
        all.extend((0..member.needs.len()).map(|fit| (index + 1, fit)));
    }
    let others: RefCell<Vec<Option<Member<F>>>> =
        RefCell::new(others.into_iter().map(Some).collect());
    let begin = &mut |launch: &Launch| {
        let (batch, order) = lay_out(launch, &all, own, &mut others.borrow_mut());
        let n_fits = launch.fits.len();
        if order.is_empty() {
            let nothing = move || Ok((0..n_fits).map(|_| None).collect());
            return Ok(Box::new(nothing) as Begun<'_, Option<F::Found>>);
        }
        let begun = F::begin(batch, place.machine, launch)?;
        Ok(Box::new(move || {
            let mut told: Vec<Option<F::Found>> = (0..n_fits).map(|_| None).collect();
            order.into_iter().zip(begun()?).for_each(|(at, found)| told[at] = Some(found));
            Ok(told)
        }) as Begun<'_, Option<F::Found>>)
    };
    let mut is_enough = false;
    let told = run_all(
        F::plan(&needs, (place.machine, &limits)),
        (|launch: &Launch| &launch.fits, halves),
        begin,
        &mut |index, found: Result<Option<F::Found>, Fault>| {
            let (party, fit) = all[index];
            // None is told of those whose member has left.
            let goes_on = match (party.checked_sub(1), found.transpose()) {
                (_, None) => ControlFlow::Continue(()),
                (None, Some(found)) => hear(own.taken[fit], found),
                (Some(at), Some(found)) => {
                    let other = &mut others.borrow_mut()[at];
                    *other = other
                        .take()
                        .filter(|member| member.tell.send(Message::Found(fit, found)).is_ok());
                    match place.stop.check() {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    }
                }
            };
            is_enough |= goes_on.is_break();
            goes_on
        },
    );
    told?;
    let took = began.elapsed() / u32::try_from(all.len().max(1)).unwrap_or(u32::MAX);
    if !is_enough {
        for member in others.into_inner().into_iter().flatten() {
            let _ = member.tell.send(Message::Over(took));
        }
    }
    Ok(took)
}

/// The data of a launch, and where in it each fit that was appended stands.
fn lay_out<F: Family>(
    launch: &Launch,
    all: &[(usize, usize)],
    own: &Own<'_, '_, F>,
    others: &mut [Option<Member<F>>],
) -> (F::Batch, Vec<usize>) {
    loop {
        if let Some(laid) = lay_out_at_once(launch, all, own, others) {
            return laid;
        }
    }
}

/// None where somebody has left meanwhile, and the batch with it: it is asked no more.
fn lay_out_at_once<F: Family>(
    launch: &Launch,
    all: &[(usize, usize)],
    own: &Own<'_, '_, F>,
    others: &mut [Option<Member<F>>],
) -> Option<(F::Batch, Vec<usize>)> {
    let mut of_party: Vec<Vec<usize>> = vec![Vec::new(); others.len() + 1];
    for (at, &fit) in launch.fits.iter().enumerate() {
        of_party[all[fit].0].push(at);
    }
    let fits = |places: &[usize]| -> Vec<usize> {
        places.iter().map(|&at| all[launch.fits[at]].1).collect()
    };
    let (mut batch, mut order) = (F::Batch::default(), Vec::new());
    let mut parties = of_party.into_iter();
    if let Some(places) = parties.next() {
        own.add(&fits(&places), &mut batch);
        order = places;
    }
    for (other, places) in others.iter_mut().zip(parties) {
        let Some(member) = other.as_ref().filter(|_| !places.is_empty()) else { continue };
        let Some(added) = member.add(fits(&places), batch) else {
            *other = None;
            return None;
        };
        batch = added;
        order.extend(places);
    }
    if !order.is_sorted() {
        F::rank(&mut batch, &order);
    }
    Some((batch, order))
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
