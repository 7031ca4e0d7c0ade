//! Did you mean: the known name that a mistyped one most resembles.

/// The candidate that was most likely meant: one that differs only in case or separators (`channelId`,
/// `channel_id`), else the nearest within a third of the name's length (insertions, deletions, replacements
/// and swapped neighbours, one each), the first of equals.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = folded(name).collect();
    let limit = (wanted.len() / 3).max(usize::from(wanted.len() == 2));
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates.into_iter().filter(|candidate| *candidate != name) {
        let known: Vec<char> = folded(candidate).collect();
        if known.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let distance = distance(&wanted, &known);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Without case and separators.
fn folded(name: &str) -> impl Iterator<Item = char> {
    const LONGEST: usize = 64;
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).take(LONGEST)
}

/// Optimal string alignment: Damerau-Levenshtein in which no place is edited twice.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (at, &left) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(at + 1);
        let mut other = None;
        for ((column, &right), pair) in b.iter().enumerate().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            let beside = next.last().copied().unwrap_or(usize::MAX - 1);
            let mut least = (diagonal + usize::from(left != right)).min(above + 1).min(beside + 1);
            if previous == Some(right) && other == Some(left) {
                let swapped = column.checked_sub(1).and_then(|column| before.get(column));
                least = swapped.map_or(least, |swapped| least.min(swapped + 1));
            }
            next.push(least);
            other = Some(right);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(left);
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn swapped_neighbours_count_once() {
        assert_eq!(between("feilds", "fields"), 1);
        assert_eq!(between("abc", "abc"), 0);
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("ca", "abc"), 3);
    }

    #[test]
    fn the_nearest_name_wins() {
        let keys = ["channel_id", "contact_id", "route", "routes", "decode", "id"];
        assert_eq!(suggest("channelId", keys), Some("channel_id"));
        assert_eq!(suggest("Channel-ID", keys), Some("channel_id"));
        assert_eq!(suggest("conatct_id", keys), Some("contact_id"));
        assert_eq!(suggest("rotue", keys), Some("route"));
        assert_eq!(suggest("decod", keys), Some("decode"));
        assert_eq!(suggest("di", keys), Some("id"));
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        assert_eq!(suggest("banana", ["channel_id", "route"]), None);
        assert_eq!(suggest("a", ["b"]), None);
        assert_eq!(suggest("", ["b", ""]), None);
        assert_eq!(suggest("route", ["route"]), None, "the name itself is no help");
    }
}
