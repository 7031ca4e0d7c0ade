//! Lists and maps.

use smol_str::SmolStr;

use super::{ANY_NAME, Helper, MANY, Prepared, prepare_query, prepare_regex, same};
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
        Some(Value::list(a.list(0)?.into_iter().take(n).collect()))
    }),
    Helper::total(
        "chunk list n",
        (2, 2),
        "The items in lists of n.",
        "{{chunk it.list 2}}",
        r#"[["x","y"],["z"]]"#,
        |a| {
            let n = a.size(1)?.max(1);
            Some(Value::list(a.list(0)?.chunks(n).map(|chunk| Value::list(chunk.to_vec())).collect()))
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
        "entries map",
        (1, 1),
        "A map's members as a list of maps with `name` and `value`, in their order.",
        "{{where_prefix (entries (parse_pairs 'b=1,a1=2,a2=3' ',' '=')) 'name' 'a'}}",
        r#"[{"name":"a1","value":"2"},{"name":"a2","value":"3"}]"#,
        |a| {
            let members = a.get(0).as_map()?.iter();
            let entry = |(name, value): (&SmolStr, &Value)| {
                Value::map([("name", Value::Text(name.clone())), ("value", value.clone())])
            };
            Some(Value::list(members.map(entry).collect()))
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
                a.list(0)?.iter().map(|item| member(item, &name)).filter(|value| !value.is_empty()).collect(),
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
            let name = a.text(1)?;
            Some(keep(a.list(0)?, |item| same(&member(item, &name), a.get(2))))
        },
    ),
    Helper::total(
        "where_prefix list name prefix",
        (3, 3),
        "The items whose member starts with a text.",
        "{{where_prefix it.items 'k' 'a'}}",
        r#"[{"k":"a","v":1}]"#,
        |a| {
            let (name, prefix) = (a.text(1)?, a.text(2)?);
            Some(keep(a.list(0)?, |item| member(item, &name).to_text().starts_with(prefix.as_str())))
        },
    ),
    Helper::total(
        "reject_prefix list name prefix",
        (3, 3),
        "The items whose member does not start with a text, or that have no such member.",
        "{{reject_prefix it.items 'k' 'a'}}",
        r#"[{"k":"b","v":2}]"#,
        |a| {
            let (name, prefix) = (a.text(1)?, a.text(2)?);
            Some(keep(a.list(0)?, |item| !member(item, &name).to_text().starts_with(prefix.as_str())))
        },
    ),
    Helper::total(
        "reject_unless_match list name pattern",
        (3, 3),
        "The items without those whose member is there and does not match the regular \
         expression.",
        "{{reject_unless_match it.items 'k' '^a'}}",
        r#"[{"k":"a","v":1}]"#,
        |a| {
            let Prepared::Regex(regex) = a.prepared else { return None };
            let name = a.text(1)?;
            Some(keep(a.list(0)?, |item| {
                let member = member(item, &name);
                member.is_empty() || regex.is_match(&member.to_text())
            }))
        },
    )
    .prepare(prepare_regex::<2>),
    Helper::total(
        "any list name",
        (2, 2),
        "Whether an item has that member, and not empty.",
        "{{any it.items 'k'}}",
        "true",
        |a| {
            let name = a.text(1)?;
            Some(a.list(0)?.iter().any(|item| !member(item, &name).is_empty()).into())
        },
    ),
    Helper::total(
        "any_eq list name value",
        (3, 3),
        "Whether the member of an item has that value.",
        "{{any_eq it.items 'k' 'b'}}",
        "true",
        |a| {
            let name = a.text(1)?;
            Some(a.list(0)?.iter().any(|item| same(&member(item, &name), a.get(2))).into())
        },
    ),
    Helper::total(
        "all list name value",
        (2, 3),
        "Whether every item has that member and not empty, or has that value in it; true for an \
         empty list.",
        "{{all it.items 'k'}}",
        "true",
        |a| {
            let name = a.text(1)?;
            let holds = |member: &Value| match a.positional.get(2) {
                Some(wanted) => same(member, wanted),
                None => !member.is_empty(),
            };
            Some(a.list(0)?.iter().all(|item| holds(&member(item, &name))).into())
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
            for item in a.list(0)? {
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
        "json_obj name=value ..",
        (0, 0),
        "A map of the named arguments; what is empty is left out.",
        "{{json_obj iss='me' exp=(add now_s 60) none=null}}",
        r#"{"iss":"me","exp":1767323105}"#,
        |a| Some(Value::map(a.named.iter().filter(|(_, value)| !value.is_empty()).cloned())),
    )
    .named(ANY_NAME),
    Helper::total(
        "lookup_or value from to ..",
        (3, MANY),
        "The value that stands behind the first equal one in the pairs; the value itself where \
         none is equal.",
        "{{lookup_or 'application' 'image' 'photo' 'application' 'document'}}",
        "\"document\"",
        |a| {
            let (value, pairs) = a.positional.split_first()?;
            let (pairs, _) = pairs.as_chunks::<2>();
            let found = pairs.iter().find(|[from, _]| same(value, from));
            Some(found.map_or_else(|| value.clone(), |[_, to]| to.clone()))
        },
    ),
];

/// A member by name; a name with dots that is not itself one goes deeper.
pub(super) fn member(node: &Value, name: &str) -> Value {
    match node.get(name) {
        Value::Null if name.contains('.') => name.split('.').fold(node, |node, name| node.get(name)).clone(),
        other => other.clone(),
    }
}

fn keep(items: Vec<Value>, which: impl Fn(&Value) -> bool) -> Value {
    Value::list(items.into_iter().filter(|item| which(item)).collect())
}
