//! Launches whose blocks take fits from a queue, until there are none: what goes into which one.

use super::machine::Limits;
use super::machine::{Buffer, Defines, Fault, Grid, Kernel, Machine, Plain, Word, unpack};
use super::turns::Begun;

/// What a fit needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Need {
    /// Which specialisation of the kernel.
    pub(super) kind: usize,
    /// Shared and scratch bytes of its block.
    pub(super) shared: usize,
    pub(super) scratch: usize,
    /// Bytes of data and results that only this fit brings.
    pub(super) n_bytes: usize,
    /// Blocks that can work on it at once.
    pub(super) n_blocks: usize,
    /// Seconds of a multiprocessor.
    pub(super) seconds: f64,
}

/// One launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(super) kind: usize,
    /// Fits, by index, the longest first.
    pub(super) fits: Vec<usize>,
    pub(super) n_blocks: usize,
    /// Shared bytes of a block.
    pub(super) shared: usize,
    /// Scratch bytes of a block.
    pub(super) scratch: usize,
}

impl Launch {
    /// One of which nothing else is to be said.
    pub(super) fn plain(fits: Vec<usize>) -> Self {
        Self { kind: 0, fits, n_blocks: 1, shared: 0, scratch: 0 }
    }
}

/// How many blocks of a kernel a multiprocessor has at once; one, where that cannot be said: the
/// launch tells why.
pub(super) fn resident(
    machine: &Machine,
    (kernel, defines): (&Kernel, Defines<'_>),
    block: (usize, usize),
) -> usize {
    machine.resident(kernel, defines, block).map_or(1, |n_blocks| n_blocks.max(1))
}

/// Plans launches of about a second for all fits, of one kind and as much shared memory each; of a
/// kind that shares so much, so many blocks are resident on a multiprocessor.
pub(super) fn plan(
    needs: &[Need],
    limits: &Limits,
    resident: impl Fn(usize, usize) -> usize,
) -> Vec<Launch> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    let kind = |fit: usize| (needs[fit].kind, needs[fit].shared);
    order.sort_by(|&a, &b| {
        let longest = needs[b].seconds.total_cmp(&needs[a].seconds);
        kind(a).cmp(&kind(b)).then(longest).then(a.cmp(&b))
    });
    let mut launches = Vec::new();
    for group in order.chunk_by(|&a, &b| kind(a) == kind(b)) {
        let (kind, shared) = kind(group[0]);
        let scratch = group.iter().map(|&fit| needs[fit].scratch).max().unwrap_or(0);
        let n_wanted = |fits: &[usize]| fits.iter().map(|&fit| needs[fit].n_blocks).sum::<usize>();
        let n_blocks = limits.n_processors * resident(kind, shared);
        let room = limits.memory.saturating_sub(scratch * n_blocks.min(n_wanted(group)));
        let share = limits.launch_s * limits.n_processors as f64;
        let mut rest = group;
        while !rest.is_empty() {
            let n_own = take(needs, rest, (room, share, n_blocks));
            let (fits, others) = rest.split_at(n_own);
            rest = others;
            launches.push(Launch {
                kind,
                n_blocks: n_blocks.min(n_wanted(fits)),
                shared,
                scratch: fits.iter().map(|&fit| needs[fit].scratch).max().unwrap_or(0),
                fits: fits.to_vec(),
            });
        }
    }
    launches
}

/// How many of the next fits are one launch; at least one. A launch is never too long while blocks
/// have nothing to do.
fn take(needs: &[Need], fits: &[usize], (room, most_s, n_blocks): (usize, f64, usize)) -> usize {
    let (mut seconds, mut n_bytes, mut n_busy) = (0.0, 0, 0);
    for (n_before, &fit) in fits.iter().enumerate() {
        let need = &needs[fit];
        seconds += need.seconds;
        n_bytes += need.n_bytes;
        let is_long = seconds > most_s && n_busy >= n_blocks;
        if n_before > 0 && (is_long || n_bytes > room) {
            return n_before;
        }
        n_busy += need.n_blocks;
    }
    fits.len()
}

/// What a launch brings, and how much it tells: its fits, those that they are taken from one after
/// another, and their data.
pub(super) struct Order<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) defines: Defines<'a>,
    pub(super) n_threads: usize,
    pub(super) tasks: Vec<Buffer>,
    pub(super) n_tasks: usize,
    pub(super) data: Vec<Buffer>,
    /// Bytes.
    pub(super) n_told: usize,
}

impl Order<'_> {
    /// Begins the launch; what it will tell. Its words are those that every kernel of a queue has.
    pub(super) fn send(&self, machine: &Machine, launch: &Launch) -> Result<Buffer, Fault> {
        let Launch { n_blocks, shared, scratch, .. } = *launch;
        let next = machine.room(8)?;
        let told = machine.room(self.n_told)?;
        let scratches = machine.room(n_blocks * scratch)?;
        let mut words: Vec<Word<'_>> = self.tasks.iter().map(Word::Buffer).collect();
        words.extend([Word::Int(self.n_tasks as i64), Word::Buffer(&next)]);
        words.extend(self.data.iter().map(Word::Buffer));
        words.extend([&told, &scratches].map(Word::Buffer));
        words.extend([scratch, shared].map(|n_bytes| Word::Int(n_bytes as i64)));
        let grid = Grid { n_blocks, n_threads: self.n_threads, shared };
        machine.launch(self.kernel, self.defines, grid, &words)?;
        Ok(told)
    }
}

/// Has records begin in the order of their ranks.
pub(super) fn rank(
    words: &mut Vec<u64>,
    n_records: usize,
    rank_of: impl Fn(usize, &[u64]) -> usize,
) {
    let n_words = (words.len() / n_records.max(1)).max(1);
    let mut records: Vec<(usize, &[u64])> = words.chunks(n_words).enumerate().collect();
    records.sort_by_key(|(place, record)| rank_of(*place, record));
    *words = records.into_iter().flat_map(|(_, record)| record).copied().collect();
}

/// Waits for what a launch tells: so many numbers for each fit.
pub(super) fn told<'a, T: Plain + 'a>(
    machine: &'a Machine,
    told: Buffer,
    sizes: Vec<usize>,
) -> Begun<'a, Vec<T>> {
    Box::new(move || {
        let all: Vec<T> = unpack(&machine.take(&told)?);
        parts(&all, sizes).ok_or_else(|| Fault::Refused("the device told too few numbers".into()))
    })
}

/// So many numbers for each fit; none where they are too few.
fn parts<T: Clone>(all: &[T], sizes: impl IntoIterator<Item = usize>) -> Option<Vec<Vec<T>>> {
    let mut rest = all;
    let mut part = |n: usize| {
        let (own, others) = rest.split_at_checked(n)?;
        rest = others;
        Some(own.to_vec())
    };
    sizes.into_iter().map(&mut part).collect()
}

/// Two launches of half the fits, on half the blocks.
pub(super) fn halves(launch: &Launch) -> [Launch; 2] {
    let (first, second) = launch.fits.split_at(launch.fits.len().div_ceil(2));
    let n_blocks = launch.n_blocks.div_ceil(2);
    [first, second].map(|fits| Launch { fits: fits.to_vec(), n_blocks, ..launch.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::shim::Shim;

    const H200: Limits = Limits {
        n_processors: 132,
        max_shared: 200 << 10,
        processor_shared: 228 << 10,
        memory: 100 << 30,
        launch_s: 1.0,
    };

    const NEED: Need = Need {
        kind: 1,
        shared: 40 << 10,
        scratch: 1 << 20,
        n_bytes: 200_000,
        n_blocks: 1,
        seconds: 0.1,
    };

    #[test]
    fn launches_are_about_a_second_and_the_longest_come_first() {
        let mut needs = vec![NEED; 3_000];
        needs[70].seconds = 0.3;
        needs[80].shared = 0;
        needs[90].kind = 0;
        let launches = plan(&needs, &H200, |_, _| 4);
        assert_eq!((launches[0].kind, launches[0].fits.as_slice()), (0, &[90][..]));
        assert_eq!((launches[1].shared, launches[1].fits.as_slice()), (0, &[80][..]));
        assert_eq!((launches[2].fits[0], launches[2].n_blocks), (70, 4 * 132));
        assert_eq!(launches[2].fits.len(), 1_318);
        let mut all: Vec<usize> = launches.iter().flat_map(|own| own.fits.clone()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..3_000));
    }

    #[test]
    fn blocks_are_as_many_as_are_resident() {
        let kinds = [(0, 0), (0, 40 << 10), (1, 40 << 10)];
        let of = |(kind, shared)| vec![Need { kind, shared, ..NEED }; 1_000];
        let needs = kinds.map(of).concat();
        let asked = |kind, shared| kinds.iter().position(|own| *own == (kind, shared)).unwrap() + 1;
        let n_blocks = plan(&needs, &H200, asked).into_iter().map(|launch| launch.n_blocks);
        assert_eq!(n_blocks.collect::<Vec<_>>(), [132, 2 * 132, 3 * 132]);
        // What cannot be said is told by the launch.
        let machine = Machine::Shim(Shim::default());
        let kernel = Kernel { name: "none", source: "" };
        assert_eq!(resident(&machine, (&kernel, &[]), (256, 200 << 10)), 1);
        assert_eq!(resident(&machine, (&kernel, &[]), (256, 40 << 10)), 4);
    }

    #[test]
    fn memory_and_blocks_that_find_no_work_are_counted() {
        let heavy = Need { n_bytes: 40 << 30, ..NEED };
        let n_fits = |needs: &[Need]| -> Vec<usize> {
            plan(needs, &H200, |_, _| 4).iter().map(|own| own.fits.len()).collect()
        };
        assert_eq!(n_fits(&[heavy; 5]), [2, 2, 1]);
        assert_eq!(n_fits(&[Need { scratch: 15 << 30, ..heavy }; 5]), [1; 5]);
        let trees = plan(&[Need { n_blocks: 30, ..NEED }; 2], &H200, |_, _| 4);
        assert_eq!(trees[0].n_blocks, 60);
        let [first, second] = halves(&trees[0]);
        assert_eq!((first.fits, second.fits, second.n_blocks), (vec![0], vec![1], 30));
    }

    #[test]
    fn records_are_put_in_order() {
        let mut words = vec![1, 10, 2, 20, 3, 30];
        rank(&mut words, 3, |place, _| [2, 0, 1][place]);
        assert_eq!(words, [2, 20, 3, 30, 1, 10]);
        rank(&mut words, 3, |_, record| record[1] as usize);
        assert_eq!(words, [1, 10, 2, 20, 3, 30]);
    }

    #[test]
    fn parts_are_as_long_as_they_should_be() {
        assert_eq!(parts(&[1, 2, 3], [2, 0, 1]), Some(vec![vec![1, 2], vec![], vec![3]]));
        assert_eq!(parts(&[1], [2]), None);
    }
}
