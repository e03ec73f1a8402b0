//! A list that lies in memory, by name, cut into pages. What comes or goes between two pages moves
//! nothing else across their border.

use super::{MAX_PAGE, Page, Refused};

/// How much of a name orders, and stands in a cursor.
const ORDERING_BYTES: usize = 100;

/// The page from where an earlier one ended, or the first one. A cursor is the name that comes next,
/// behind how many of that name were told before.
pub(super) fn page<T>(
    items: Vec<T>,
    name_of: impl Fn(&T) -> &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<T>, Refused> {
    let (told, first) = match cursor {
        Some(cursor) => read(cursor)?,
        None => (0, String::new()),
    };
    let mut rest: Vec<T> =
        items.into_iter().filter(|item| ordering(name_of(item)) >= first.as_str()).collect();
    // Stable: those of one name stay in the order in which they came.
    rest.sort_by(|a, b| ordering(name_of(a)).cmp(ordering(name_of(b))));
    let n_first = rest.iter().take_while(|item| ordering(name_of(item)) == first).count();
    let begin = told.min(n_first);
    rest.drain(..begin);
    let n_items = limit.clamp(1, MAX_PAGE).min(rest.len());
    let next = rest.get(n_items).map(|item| ordering(name_of(item)).to_owned());
    let next = next.map(|name| {
        let here = rest.iter().take(n_items).filter(|item| ordering(name_of(item)) == name);
        let before = if name == first { begin } else { 0 };
        format!("{}.{name}", before + here.count())
    });
    rest.truncate(n_items);
    Ok(Page { items: rest, next })
}

fn read(cursor: &str) -> Result<(usize, String), Refused> {
    let parts = cursor.split_once('.');
    let read = parts.and_then(|(told, name)| Some((told.parse().ok()?, name.to_owned())));
    read.ok_or_else(|| Refused::bad("this cursor is none that a page before had as its next"))
}

fn ordering(name: &str) -> &str {
    let most = ORDERING_BYTES.min(name.len());
    let end = (0..=most).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything, page by page; the list is made anew for each.
    fn followed(names: impl Fn(usize) -> Vec<String>, limit: usize) -> Vec<String> {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        for number in 0..100 {
            let page = page(names(number), |name| name, cursor.as_deref(), limit);
            let page = page.unwrap_or_else(|refused| panic!("{}", refused.message));
            assert!(page.items.len() <= limit);
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return seen;
            }
        }
        panic!("the pages do not end: {seen:?}");
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn pages_hold_everything_once() {
        let long = ["y".repeat(300), "y".repeat(301)];
        let names = owned(&["b", "a", "c.d", "b", "", "b", "ü", &long[0], "b", &long[1]]);
        let mut sorted = names.clone();
        sorted.sort();
        for limit in 1..=11 {
            let mut seen = followed(|_| names.clone(), limit);
            assert!(seen.is_sorted_by_key(|name| ordering(name).to_owned()), "{limit}");
            seen.sort();
            assert_eq!(seen, sorted, "{limit}");
        }
        assert!(followed(|_| Vec::new(), 3).is_empty());
    }

    #[test]
    fn what_comes_and_goes_moves_nothing_else() {
        let names = |number| match number {
            0 => owned(&["b", "c", "d", "e"]),
            1 => owned(&["a", "b", "d", "e"]),
            _ => owned(&["e", "f"]),
        };
        assert_eq!(followed(names, 2), owned(&["b", "c", "d", "e"]));
    }

    #[test]
    fn strange_cursors_are_refused() {
        for cursor in ["", "a", ".a", "-1.a", "x.a", "99999999999999999999999.a"] {
            assert!(page(owned(&["a"]), |name| name, Some(cursor), 1).is_err(), "{cursor}");
        }
        let page = page(owned(&["a", "b"]), |name| name, Some("7.a"), 5);
        assert_eq!(page.map(|page| page.items), Ok(owned(&["b"])));
    }
}
