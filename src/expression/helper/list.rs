//! Lists and maps.

use super::{Helper, MANY, Prepared, prepare_query};
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "get value name ..",
        (2, MANY),
        "The member of a map or item of a list; a name with dots that is not itself a member \
         goes deeper, more names go deeper too.",
        "{{get it 'items.1.k'}}",
        "\"b\"",
        |a| {
            let mut node = a.get(0).clone();
            for name in a.positional.iter().skip(1) {
                node = member(&node, &name.to_text());
            }
            Some(node)
        },
    ),
    Helper::total(
        "path value jsonpath",
        (2, 2),
        "What a JSONPath selects in a value.",
        "{{path it '$.items[?@.v > 1].k'}}",
        r#"["b"]"#,
        |a| {
            let Prepared::Query(query) = a.prepared else { return None };
            Some(query.value(a.get(0)))
        },
    )
    .prepare(prepare_query),
    Helper::total("first list", (1, 1), "The first item.", "{{first it.list}}", "\"x\"", |a| {
        a.items(0).first().cloned()
    }),
    Helper::total("last list", (1, 1), "The last item.", "{{last it.list}}", "\"z\"", |a| {
        a.items(0).last().cloned()
    }),
    Helper::total("take list n", (2, 2), "The first n items.", "{{take it.list 2}}", r#"["x","y"]"#, |a| {
        let n = a.size(1)?;
        Some(Value::list(a.items(0).into_iter().take(n).collect()))
    }),
    Helper::total(
        "chunk list n",
        (2, 2),
        "The items in lists of n.",
        "{{chunk it.list 2}}",
        r#"[["x","y"],["z"]]"#,
        |a| {
            let n = a.size(1)?.max(1);
            Some(Value::list(a.items(0).chunks(n).map(|chunk| Value::list(chunk.to_vec())).collect()))
        },
    ),
    Helper::total(
        "len value",
        (1, 1),
        "How many items, members or characters; 0 for null.",
        "{{len it.list}}",
        "3",
        |a| {
            Some(match a.get(0) {
                Value::List(items) => items.len().into(),
                Value::Map(map) => map.len().into(),
                Value::Bytes(bytes) => bytes.len().into(),
                other => other.to_text().chars().count().into(),
            })
        },
    ),
    Helper::fallible(
        "range from to",
        (2, 2),
        "The whole numbers from one to before another (at most 10,000); none if either is \
         null.",
        "{{range 0 it.n}}",
        "[0,1,2]",
        |a| {
            const MOST: i128 = 10_000;
            let (Some(from), Some(to)) = (a.get(0).to_int(), a.get(1).to_int()) else {
                return Ok(Value::list(Vec::new()));
            };
            if to.saturating_sub(from) > MOST {
                return Err(crate::expression::Failure(format!(
                    "at most {MOST} numbers, not {from} to {to}"
                )));
            }
            Ok(Value::list((from..to).map(Value::Int).collect()))
        },
    ),
    Helper::total(
        "sort a ..",
        (1, MANY),
        "All arguments as one list sorted by their bytes; lists are taken apart.",
        "{{sort 'b' 'a'}}",
        r#"["a","b"]"#,
        |a| {
            let mut items: Vec<_> = a.flat(0).iter().map(Value::to_text).collect();
            items.sort();
            Some(Value::list(items.into_iter().map(Value::Text).collect()))
        },
    ),
    Helper::total(
        "sorted_values map",
        (1, 1),
        "A map's values in the order of their names.",
        "{{sorted_values (parse_pairs 'b=1,a=2' ',' '=')}}",
        r#"["2","1"]"#,
        |a| {
            let mut members: Vec<_> = a.get(0).as_map()?.iter().collect();
            members.sort_by_key(|(left, _)| *left);
            Some(Value::list(members.into_iter().map(|(_, value)| value.clone()).collect()))
        },
    ),
    Helper::total(
        "pluck list name",
        (2, 2),
        "One member of every item; items without it are skipped.",
        "{{pluck it.items 'k'}}",
        r#"["a","b"]"#,
        |a| {
            let name = a.text(1)?;
            Some(Value::list(
                a.items(0).iter().map(|item| member(item, &name)).filter(|value| !value.is_empty()).collect(),
            ))
        },
    ),
    Helper::total(
        "where list name value",
        (3, 3),
        "The items whose member has that value.",
        "{{where it.items 'k' 'b'}}",
        r#"[{"k":"b","v":2}]"#,
        |a| {
            let (name, value) = (a.text(1)?, a.text(2).unwrap_or_default());
            Some(Value::list(
                a.items(0).into_iter().filter(|item| member(item, &name).to_text() == value).collect(),
            ))
        },
    ),
    Helper::total(
        "any list name value",
        (2, 3),
        "Whether an item has that member, or has that value in it.",
        "{{any it.items 'k' 'b'}}",
        "true",
        |a| {
            let name = a.text(1)?;
            Some(a.items(0).iter().any(|item| holds(&member(item, &name), a.positional.get(2))).into())
        },
    ),
    Helper::total(
        "all list name value",
        (2, 3),
        "Whether every item has that member, or has that value in it; true for an empty list.",
        "{{all it.items 'k'}}",
        "true",
        |a| {
            let name = a.text(1)?;
            Some(a.items(0).iter().all(|item| holds(&member(item, &name), a.positional.get(2))).into())
        },
    ),
    Helper::total(
        "index_by list name ..",
        (2, MANY),
        "A map of the items by every one of the named members that is not empty.",
        "{{get (index_by it.items 'k') 'b.v'}}",
        "2",
        |a| {
            let names: Vec<_> = a.positional.iter().skip(1).map(Value::to_text).collect();
            let mut members = Vec::new();
            for item in a.items(0) {
                for name in &names {
                    let key = member(&item, name);
                    if !key.is_empty() {
                        members.push((key.to_text(), item.clone()));
                    }
                }
            }
            Some(Value::map(members))
        },
    ),
    Helper::total(
        "concat_sorted map",
        (1, 1),
        "Every name with its values behind it, in the order of the names, without \
         separators: what some providers sign.",
        "{{concat_sorted (parse_pairs 'b=1,a=2' ',' '=')}}",
        "\"a2b1\"",
        |a| {
            let mut members: Vec<_> = a.get(0).as_map()?.iter().collect();
            members.sort_by_key(|(left, _)| *left);
            let mut text = String::new();
            for (name, value) in members {
                match value {
                    Value::List(values) => {
                        // A repeated name counts once per distinct value, in order.
                        let mut values: Vec<_> = values.iter().map(Value::to_text).collect();
                        values.sort();
                        values.dedup();
                        for value in values {
                            text.push_str(name);
                            text.push_str(&value);
                        }
                    }
                    value => {
                        text.push_str(name);
                        text.push_str(&value.to_text());
                    }
                }
            }
            Some(Value::from(text))
        },
    ),
    Helper::total(
        "rows list max_rows= max_width= pad=",
        (1, 1),
        "Items with a `title` in rows: all in one if they fit, one per row if there are few, \
         else filled up.",
        "{{len (rows it.list max_width=30)}}",
        "1",
        |a| {
            let items = a.items(0);
            let most_rows = a.named("max_rows").to_int().unwrap_or(5);
            let most_width = a.named("max_width").to_int().unwrap_or(30);
            let pad = a.named("pad").to_int().unwrap_or(2);
            Some(rows(items, most_rows, most_width, pad))
        },
    )
    .named(&["max_rows", "max_width", "pad"]),
];

/// A member by name; a name with dots that is not itself one goes deeper.
fn member(node: &Value, name: &str) -> Value {
    match node.get(name) {
        Value::Null if name.contains('.') => name.split('.').fold(node, |node, name| node.get(name)).clone(),
        other => other.clone(),
    }
}

fn holds(member: &Value, wanted: Option<&Value>) -> bool {
    wanted.map_or(!member.is_empty(), |wanted| member.to_text() == wanted.to_text())
}

fn rows(items: Vec<Value>, most_rows: i128, most_width: i128, pad: i128) -> Value {
    let width = |item: &Value| {
        let title = member(item, "title").to_text();
        i128::try_from(title.chars().count()).unwrap_or(i128::MAX / 4).saturating_add(pad.saturating_mul(2))
    };
    let count = i128::try_from(items.len()).unwrap_or(i128::MAX);
    let total = items.iter().fold(0_i128, |sum, item| sum.saturating_add(width(item)));
    if total <= most_width {
        return Value::list(if items.is_empty() { Vec::new() } else { vec![Value::list(items)] });
    }
    if count <= most_rows {
        return Value::list(items.into_iter().map(|item| Value::list(vec![item])).collect());
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    let mut used = 0_i128;
    for item in items {
        let wide = width(&item);
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
