//! Buttons in rows: how many stand beside each other.

use super::list::member;
use super::{Arguments, Helper, same};
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "rows list max_rows= max_width= pad=",
        (1, 1),
        "Items with a `title` in rows. An item is as wide as its title has characters, and twice `pad` (2 \
         unless given). All are in one row if that is at most `max_width` wide (30 unless given), else each has its \
         own if there are at most `max_rows` (5 unless given), else rows are filled up, the last one with all that \
         is left.",
        "{{len (rows it.list max_width=30)}}",
        "1",
        |a| Some(rows(a.list(0)?, whole(a, "max_rows", 5), whole(a, "max_width", 30), whole(a, "pad", 2))),
    )
    .named(&["max_rows", "max_width", "pad"]),
    Helper::total(
        "rows_fixed list widths= max_width= pad=",
        (1, 1),
        "Items with a `title` in rows of fixed sizes. A row has the largest of the sizes in `widths` ('6 3 2 1' \
         unless given) for which items are left and which is at most `max_width` wide (38 unless given); an item is \
         as wide as its title has characters, and twice `pad` (2 unless given). An item alone always has a place.",
        "{{len (rows_fixed it.list widths='2 1')}}",
        "2",
        |a| {
            let words = a.named("widths").to_text();
            let mut sizes: Vec<usize> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            if words.is_empty() {
                sizes = vec![6, 3, 2, 1];
            }
            sizes.sort_unstable_by(|left, right| right.cmp(left));
            Some(rows_fixed(&a.list(0)?, &sizes, whole(a, "max_width", 38), whole(a, "pad", 2)))
        },
    )
    .named(&["widths", "max_width", "pad"]),
    Helper::total(
        "isolate rows name value",
        (3, 3),
        "Rows in which every item whose member has that value has a row to itself.",
        "{{len (isolate (chunk it.items 2) 'k' 'b')}}",
        "2",
        |a| {
            let name = a.text(1)?;
            let mut made: Vec<Vec<Value>> = Vec::new();
            for row in a.list(0)? {
                let mut open = false;
                for item in row.as_list().unwrap_or(std::slice::from_ref(&row)) {
                    let alone = same(&member(item, &name), a.get(2));
                    match made.last_mut().filter(|_| open && !alone) {
                        Some(row) => row.push(item.clone()),
                        None => made.push(vec![item.clone()]),
                    }
                    open = !alone;
                }
            }
            Some(Value::list(made.into_iter().map(Value::list).collect()))
        },
    ),
];

fn whole(a: &Arguments<'_, '_>, name: &str, otherwise: i128) -> i128 {
    a.named(name).to_int().unwrap_or(otherwise)
}

fn width(item: &Value, pad: i128) -> i128 {
    let title = member(item, "title").to_text();
    i128::try_from(title.chars().count()).unwrap_or(i128::MAX / 4).saturating_add(pad.saturating_mul(2))
}

fn total(items: &[Value], pad: i128) -> i128 {
    items.iter().fold(0, |sum, item| sum.saturating_add(width(item, pad)))
}

fn rows(items: Vec<Value>, most_rows: i128, most_width: i128, pad: i128) -> Value {
    let count = i128::try_from(items.len()).unwrap_or(i128::MAX);
    if total(&items, pad) <= most_width {
        return Value::list(if items.is_empty() { Vec::new() } else { vec![Value::list(items)] });
    }
    if count <= most_rows {
        return Value::list(items.into_iter().map(|item| Value::list(vec![item])).collect());
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    let mut used = 0_i128;
    for item in items {
        let wide = width(&item, pad);
        let room = i128::try_from(rows.len()).unwrap_or(i128::MAX) < most_rows;
        if rows.last().is_some_and(|row| !row.is_empty()) && used.saturating_add(wide) > most_width && room {
            rows.push(Vec::new());
            used = 0;
        }
        used = used.saturating_add(wide);
        if let Some(row) = rows.last_mut() {
            row.push(item);
        }
    }
    Value::list(rows.into_iter().map(Value::list).collect())
}

/// The sizes go from large to small.
fn rows_fixed(items: &[Value], sizes: &[usize], most_width: i128, pad: i128) -> Value {
    let mut rows = Vec::new();
    let mut rest = items;
    while !rest.is_empty() {
        let fitting = sizes.iter().filter(|size| **size > 1).filter_map(|size| rest.split_at_checked(*size));
        let mut fitting = fitting.filter(|(row, _)| total(row, pad) <= most_width);
        let Some((row, left)) = fitting.next().or_else(|| rest.split_at_checked(1)) else { break };
        rows.push(Value::list(row.to_vec()));
        rest = left;
    }
    Value::list(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(titles: &[&str]) -> Vec<Value> {
        titles.iter().map(|title| Value::map([("title", Value::text(title))])).collect()
    }

    fn sizes(rows: &Value) -> Vec<usize> {
        rows.as_list().unwrap().iter().map(|row| row.as_list().unwrap().len()).collect()
    }

    #[test]
    fn rows_are_one_then_single_then_filled() {
        let nine = ["aaaa"; 9];
        assert_eq!(sizes(&rows(titled(&nine[..3]), 5, 30, 2)), [3]);
        assert_eq!(sizes(&rows(titled(&nine[..5]), 5, 30, 2)), [1; 5]);
        assert_eq!(sizes(&rows(titled(&nine[..6]), 5, 30, 2)), [3, 3]);
        // The last row takes what is left.
        assert_eq!(sizes(&rows(titled(&["a".repeat(28).as_str(); 7]), 5, 30, 2)), [1, 1, 1, 1, 3]);
        assert_eq!(rows(Vec::new(), 5, 30, 2), Value::list(Vec::new()));
    }

    #[test]
    fn fixed_rows_take_the_largest_size_that_fits() {
        let all = [6, 3, 2, 1];
        assert_eq!(sizes(&rows_fixed(&titled(&["ab"; 10]), &all, 38, 2)), [6, 3, 1]);
        assert_eq!(sizes(&rows_fixed(&titled(&["abcdef"; 7]), &all, 38, 2)), [3, 3, 1]);
        assert_eq!(sizes(&rows_fixed(&titled(&["a".repeat(60).as_str(); 2]), &all, 38, 2)), [1, 1]);
        assert_eq!(sizes(&rows_fixed(&titled(&["a"; 3]), &[0, 5], 38, 2)), [1, 1, 1]);
    }
}
