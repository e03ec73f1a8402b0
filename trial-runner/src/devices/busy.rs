//! How long a card was busy: launches, of which several may be under way at once.

/// What a card has done.
#[derive(Debug, Default)]
pub(super) struct Busy {
    pub(super) n_fits: u64,
    pub(super) n_launches: u64,
    /// Those that are not in `until` and `seconds` yet.
    spans: Vec<(f64, f64)>,
    until: f64,
    pub(super) seconds: f64,
}

/// So many launches are put together at once.
const MANY: usize = 4_096;

impl Busy {
    pub(super) fn add(&mut self, spans: Vec<(f64, f64)>) {
        self.n_launches += spans.len() as u64;
        self.spans.extend(spans);
        if self.spans.len() >= MANY {
            self.sum_up();
        }
    }

    /// What began before the end of what is put together counts from there on.
    pub(super) fn sum_up(&mut self) {
        self.spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (began, ended) in self.spans.drain(..) {
            self.seconds += (ended - began.max(self.until)).max(0.0);
            self.until = self.until.max(ended);
        }
    }

    /// The clock of what follows is another one.
    pub(super) fn begin_anew(&mut self) {
        self.sum_up();
        self.until = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_beside_each_other_count_once() {
        let mut busy = Busy::default();
        busy.add(vec![(3.0, 4.0), (1.0, 2.0), (1.5, 2.5)]);
        busy.sum_up();
        assert_eq!((busy.seconds, busy.n_launches), (2.5, 3));
        busy.add(vec![(3.5, 4.5), (6.0, 7.0), (3.0, 3.5)]);
        busy.sum_up();
        assert_eq!((busy.seconds, busy.n_launches), (4.0, 6));
        busy.begin_anew();
        busy.add(vec![(1.0, 2.0)]);
        busy.sum_up();
        assert_eq!((busy.seconds, busy.n_launches), (5.0, 7));
    }
}
