//! The volume that a set of points beats, up to a reference point.
//!
//! Two losses by a sweep, three by a sweep over the third with the staircase of the first two, more by
//! L. While, L. Bradstreet, L. Barone, "A fast way of calculating exact hypervolumes" (IEEE TEVC 2012)
//! down to three.

use super::front;

/// A measure takes too long for more points than this, by the number of losses: time grows with a
/// power of the points that grows with the losses.
pub(crate) fn most_points(n_losses: usize) -> usize {
    match n_losses {
        0..=3 => 4_096,
        4 => 600,
        5 => 200,
        6 => 100,
        7 => 60,
        _ => 40,
    }
}

/// The volume between the points and the reference. Points beyond it beat nothing.
pub(crate) fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| {
        point.len() == reference.len() && point.iter().zip(reference).all(|(own, at)| own < at)
    };
    let points: Vec<Vec<f64>> = points.iter().filter(inside).cloned().collect();
    of_inside(points, reference)
}

fn of_inside(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    match (points.len(), reference) {
        (0, _) | (_, []) => 0.0,
        (1, _) => box_of(&points[0], reference),
        (_, &[end]) => points.iter().map(|point| end - point[0]).fold(0.0, f64::max),
        (_, &[end_x, end_y]) => {
            points.sort_by(|one, other| one[0].total_cmp(&other[0]));
            let mut low = end_y;
            let mut area = 0.0;
            for point in &points {
                if point[1] < low {
                    area += (end_x - point[0]) * (low - point[1]);
                    low = point[1];
                }
            }
            area
        }
        (_, &[end_x, end_y, end_z]) => volume(points, [end_x, end_y, end_z]),
        (_, [rest @ .., end]) => {
            let last = rest.len();
            // The worst in the last loss first: what it shares with those after it has its own last.
            points.sort_by(|one, other| other[last].total_cmp(&one[last]));
            let mut sum = 0.0;
            for (place, point) in points.iter().enumerate() {
                let limited: Vec<Vec<f64>> = points[place + 1..]
                    .iter()
                    .map(|other| (0..last).map(|at| point[at].max(other[at])).collect())
                    .collect();
                let kept = front(&limited);
                let limited = kept.into_iter().map(|at| limited[at].clone()).collect();
                let own = box_of(&point[..last], rest) - of_inside(limited, rest);
                sum += (end - point[last]) * own;
            }
            sum
        }
    }
}

fn box_of(point: &[f64], reference: &[f64]) -> f64 {
    point.iter().zip(reference).map(|(own, end)| end - own).product()
}

/// Of three losses: layers between one third loss and the next.
fn volume(mut points: Vec<Vec<f64>>, [end_x, end_y, end_z]: [f64; 3]) -> f64 {
    points.sort_by(|one, other| one[2].total_cmp(&other[2]));
    // x rises and y falls.
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    let (mut sum, mut area) = (0.0, 0.0);
    for (place, point) in points.iter().enumerate() {
        let (x, y) = (point[0], point[1]);
        let first = stairs.partition_point(|stair| stair.0 < x);
        let is_beaten = first > 0 && stairs[first - 1].1 <= y
            || stairs.get(first).is_some_and(|stair| stair.0 == x && stair.1 <= y);
        if !is_beaten {
            let mut after = first;
            while stairs.get(after).is_some_and(|stair| stair.1 >= y) {
                after += 1;
            }
            stairs.splice(first..after, [(x, y)]);
            let ends = stairs[1..].iter().map(|stair| stair.0).chain([end_x]);
            let steps = stairs.iter().zip(ends);
            area = steps.map(|(stair, end)| (end - stair.0) * (end_y - stair.1)).sum();
        }
        let top = points.get(place + 1).map_or(end_z, |next| next[2]);
        sum += area * (top - point[2]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By inclusion and exclusion.
    fn by_force(points: &[Vec<f64>], reference: &[f64]) -> f64 {
        let mut sum = 0.0;
        for set in 1u32..1 << points.len() {
            let mut corner = vec![f64::NEG_INFINITY; reference.len()];
            for (place, point) in points.iter().enumerate() {
                if set >> place & 1 == 1 {
                    corner.iter_mut().zip(point).for_each(|(own, at)| *own = own.max(*at));
                }
            }
            let sides = corner.iter().zip(reference).map(|(own, end)| (end - own).max(0.0));
            let size: f64 = sides.product();
            sum += if set.count_ones() % 2 == 1 { size } else { -size };
        }
        sum
    }

    #[test]
    fn it_is_what_inclusion_and_exclusion_give() {
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        for n_losses in 1..=6 {
            for n in 0..=9 {
                for is_coarse in [false, true] {
                    let mut loss = || match is_coarse {
                        // Ties, and points beyond the reference.
                        true => (draw() * 4.0).floor() / 3.0,
                        false => draw() * 1.1,
                    };
                    let points: Vec<Vec<f64>> =
                        (0..n).map(|_| (0..n_losses).map(|_| loss()).collect()).collect();
                    let reference = vec![1.0; n_losses];
                    let expected = by_force(&points, &reference);
                    let found = hypervolume(&points, &reference);
                    assert!((found - expected).abs() < 1e-9, "{found} {expected} {points:?}");
                }
            }
        }
    }

    #[test]
    fn a_known_front_has_its_known_volume() {
        let points: Vec<Vec<f64>> =
            (0..=1_000).map(|i| f64::from(i) / 1e3).map(|x| vec![x, 1.0 - x.sqrt()]).collect();
        let found = hypervolume(&points, &[1.0, 1.0]);
        assert!((found - 2.0 / 3.0).abs() < 1e-3, "{found}");
    }
}
