//! Which series or entities go into one launch.

/// Fills launches in this order: each item is a place, what it needs of the room of a launch, and the
/// seconds that it takes of those of a launch. A launch has at least one.
pub(super) fn fill(
    items: impl IntoIterator<Item = (usize, usize, f64)>,
    (room, most_s): (usize, f64),
) -> Vec<Vec<usize>> {
    let mut launches: Vec<Vec<usize>> = Vec::new();
    let (mut held, mut taken) = (0, 0.0);
    for (place, needed, seconds) in items {
        match launches.last_mut() {
            Some(launch) if held + needed <= room && taken + seconds <= most_s => {
                launch.push(place);
                held += needed;
                taken += seconds;
            }
            _ => {
                launches.push(vec![place]);
                (held, taken) = (needed, seconds);
            }
        }
    }
    launches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_ends_where_room_or_time_does() {
        let items = [(4, 6, 0.1), (2, 4, 0.2), (0, 1, 0.9), (1, 40, 3.0), (3, 1, 0.1)];
        assert_eq!(fill(items, (10, 1.0)), [vec![4, 2], vec![0], vec![1], vec![3]]);
        assert_eq!(fill([], (10, 1.0)), Vec::<Vec<usize>>::new());
    }
}
