//! Look-up tables, and the patterns that name their rows and the cases of a `$switch`.

use std::collections::HashMap;

use smol_str::SmolStr;

use super::value::Value;

/// What a row or a case stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One of these texts, or the numbers that they spell.
    Exactly(Vec<SmolStr>),
    /// Null.
    Null,
    /// One of these.
    Any(Vec<Pattern>),
    /// Whole numbers from one to another, both included.
    Range {
        /// The first.
        from: i128,
        /// The last; none has no end.
        to: Option<i128>,
    },
}

impl Pattern {
    /// Reads `a`, `a|b`, `10..12`, `21..`, `1|10..12` or `~`.
    pub fn parse(text: &str) -> Self {
        if text == "~" {
            return Self::Null;
        }
        if text.contains('|') && text.contains("..") {
            return Self::Any(text.split('|').map(|one| Self::parse(one.trim())).collect());
        }
        let range = text.split_once("..").and_then(|(from, to)| {
            let from = from.trim().parse().ok()?;
            let to = match to.trim() {
                "" => None,
                to => Some(to.parse().ok()?),
            };
            Some(Self::Range { from, to })
        });
        range
            .unwrap_or_else(|| Self::Exactly(text.split('|').map(|text| SmolStr::new(text.trim())).collect()))
    }
}

/// A look-up table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    exact: HashMap<SmolStr, Value>,
    ranges: Vec<(Pattern, Value)>,
    null: Value,
    otherwise: Value,
}

impl Table {
    /// A table of rows, and what it gives where none fits.
    pub fn new(rows: impl IntoIterator<Item = (Pattern, Value)>, otherwise: Value) -> Self {
        let mut table = Self { otherwise, ..Self::default() };
        for (pattern, value) in rows {
            match pattern {
                Pattern::Exactly(texts) => {
                    for text in texts {
                        table.exact.entry(text).or_insert_with(|| value.clone());
                    }
                }
                Pattern::Null => table.null = value,
                any @ Pattern::Any(_) => table.ranges.push((any, value)),
                range @ Pattern::Range { .. } => table.ranges.push((range, value)),
            }
        }
        table
    }

    /// The row of a key; exact rows before ranges; null has only a row of its own.
    pub fn get(&self, key: &Value) -> Value {
        if matches!(key, Value::Null) {
            return self.null.clone();
        }
        let exact = self.exact.get(&key.to_text());
        let range = || self.ranges.iter().find(|(pattern, _)| pattern.fits(key)).map(|(_, value)| value);
        exact.or_else(range).unwrap_or(&self.otherwise).clone()
    }

    /// All values that it can give.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.exact
            .values()
            .chain(self.ranges.iter().map(|(_, value)| value))
            .chain([&self.null, &self.otherwise])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_texts_can_share_a_row() {
        let row = |text: &str| (Pattern::parse(text), Value::text(text));
        let table = Table::new([row("20..29|60..69"), row("1|7..|x")], Value::Null);
        let get = |key: &str| table.get(&Value::text(key)).to_text();
        assert_eq!((get("25").as_str(), get("60").as_str()), ("20..29|60..69", "20..29|60..69"));
        assert_eq!(
            (get("1").as_str(), get("x").as_str(), get("9").as_str()),
            ("1|7..|x", "1|7..|x", "1|7..|x")
        );
        assert_eq!(get("2"), "");
    }

    #[test]
    fn rows_are_found_by_text_number_and_range() {
        let rows = [("1|2", "a"), ("10..12", "b"), ("21..", "c"), ("11", "exact")];
        let rows = rows.map(|(pattern, value)| (Pattern::parse(pattern), Value::text(value)));
        let table = Table::new(rows, Value::text("other"));
        let get = |key: Value| table.get(&key).to_text().to_string();
        assert_eq!(get(Value::Int(2)), "a");
        assert_eq!(get(Value::text("1")), "a");
        assert_eq!(get(Value::Int(10)), "b");
        assert_eq!(get(Value::Int(11)), "exact");
        assert_eq!(get(Value::text("9000")), "c");
        assert_eq!(get(Value::text("x")), "other");
        assert_eq!(get(Value::Null), "");
    }
}
