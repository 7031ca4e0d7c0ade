//! What was expected against what came.

use crate::expression::Value;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `events[0].contact.id`.
    pub path: String,
    /// What was expected, as JSON.
    pub expected: String,
    /// What came, as JSON.
    pub found: String,
}

/// Compares. Unless `exact`, a map may have members that are not expected; a list must have as many items; an
/// expected null means that nothing is there; an expected scalar fits a list of nothing but it.
pub fn compare(path: &str, expected: &Value, found: &Value, exact: bool, out: &mut Vec<Difference>) {
    match (expected, found) {
        (Value::Map(wanted), Value::Map(there)) => {
            for (name, value) in wanted.iter() {
                let place = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                compare(&place, value, there.get(name).unwrap_or(&Value::Null), exact, out);
            }
            for (name, value) in there.iter().filter(|(name, _)| exact && wanted.get(name).is_none()) {
                out.push(Difference {
                    path: format!("{path}.{name}"),
                    expected: "nothing".into(),
                    found: value.to_json().unwrap_or_default(),
                });
            }
        }
        (Value::List(wanted), Value::List(there)) => {
            for (index, (wanted, there)) in wanted.iter().zip(there.iter()).enumerate() {
                compare(&format!("{path}[{index}]"), wanted, there, exact, out);
            }
            if wanted.len() != there.len() {
                out.push(Difference {
                    path: path.into(),
                    expected: format!("{} items", wanted.len()),
                    found: format!("{} items: {}", there.len(), found.to_json().unwrap_or_default()),
                });
            }
        }
        (wanted, Value::List(there))
            if there.len() == 1 && there.first().is_some_and(|only| equal(wanted, only)) => {}
        (Value::Null, there) if there.is_empty() => {}
        (wanted, there) if equal(wanted, there) => {}
        (wanted, there) => out.push(Difference {
            path: path.into(),
            expected: wanted.to_json().unwrap_or_default(),
            found: there.to_json().unwrap_or_default(),
        }),
    }
}

/// Numbers are equal by value, everything else by type and value.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(_), Value::Float(_)) | (Value::Float(_), Value::Int(_)) => {
            left.to_number() == right.to_number()
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(expected: &str, found: &str, exact: bool) -> Vec<String> {
        let mut out = Vec::new();
        let value = |json: &str| Value::from_json(json.as_bytes()).unwrap();
        compare("", &value(expected), &value(found), exact, &mut out);
        out.into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn only_what_is_named_is_compared_unless_exact() {
        let (expected, found) = (r#"{"a":[{"b":1}]}"#, r#"{"a":[{"b":1,"c":2}],"d":3}"#);
        assert!(differences(expected, found, false).is_empty());
        assert_eq!(differences(expected, found, true), ["a[0].c", ".d"]);
    }

    #[test]
    fn types_count() {
        assert_eq!(differences(r#"{"a":"1"}"#, r#"{"a":1}"#, false), ["a"]);
        assert!(differences(r#"{"a":1}"#, r#"{"a":1.0}"#, false).is_empty());
        assert_eq!(differences(r#"{"a":[]}"#, r#"{"a":[1]}"#, false), ["a"]);
        assert!(differences(r#"{"a":null}"#, "{}", false).is_empty());
        assert!(differences(r#"{"a":"x"}"#, r#"{"a":["x"]}"#, false).is_empty());
    }
}
