//! The conditions of a path: what `[?..]` asks of each node (RFC 9535, 2.3.5).

use std::borrow::Cow;

use regex::Regex;

use super::Query;
use crate::expression::value::Value;

#[derive(Clone, Debug)]
pub(super) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Exists(Operand),
    Compare(Comparator, Operand, Operand),
    Matches { text: Operand, pattern: Regex },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Literal(Value),
    Nodes { from_root: bool, query: Query },
    Length(Box<Operand>),
    Count(Box<Operand>),
    Only(Box<Operand>),
}

impl Filter {
    pub(super) fn holds(&self, root: &Value, node: &Value) -> bool {
        match self {
            Self::Or(filters) => filters.iter().any(|filter| filter.holds(root, node)),
            Self::And(filters) => filters.iter().all(|filter| filter.holds(root, node)),
            Self::Not(filter) => !filter.holds(root, node),
            Self::Exists(Operand::Nodes { from_root, query }) => {
                !query.select(root, if *from_root { root } else { node }).is_empty()
            }
            Self::Exists(operand) => operand.value(root, node).is_some_and(|value| value.is_truthy()),
            Self::Compare(comparator, left, right) => {
                compare(*comparator, left.value(root, node).as_deref(), right.value(root, node).as_deref())
            }
            Self::Matches { text, pattern } => {
                let Some(text) = text.value(root, node) else { return false };
                text.as_text().is_some_and(|text| pattern.is_match(text))
            }
        }
    }
}

impl Operand {
    /// Its value; none is RFC 9535's Nothing.
    fn value<'v>(&'v self, root: &'v Value, node: &'v Value) -> Option<Cow<'v, Value>> {
        match self {
            Self::Literal(value) => Some(Cow::Borrowed(value)),
            Self::Nodes { from_root, query } => query
                .select(root, if *from_root { root } else { node })
                .first()
                .map(|value| Cow::Borrowed(*value)),
            Self::Length(of) => match of.value(root, node)?.as_ref() {
                Value::Text(text) => Some(Cow::Owned(text.chars().count().into())),
                Value::List(items) => Some(Cow::Owned(items.len().into())),
                Value::Map(map) => Some(Cow::Owned(map.len().into())),
                _ => None,
            },
            Self::Count(of) => Some(Cow::Owned(of.nodes(root, node).len().into())),
            Self::Only(of) => match of.nodes(root, node).as_slice() {
                [one] => Some(Cow::Borrowed(*one)),
                _ => None,
            },
        }
    }

    fn nodes<'v>(&'v self, root: &'v Value, node: &'v Value) -> Vec<&'v Value> {
        match self {
            Self::Nodes { from_root, query } => query.select(root, if *from_root { root } else { node }),
            _ => Vec::new(),
        }
    }
}

fn compare(comparator: Comparator, left: Option<&Value>, right: Option<&Value>) -> bool {
    let equal = || match (left, right) {
        (Some(left), Some(right)) => left == right || numbers(left, right).is_some_and(|(l, r)| l == r),
        (None, None) => true,
        _ => false,
    };
    let less = |left: Option<&Value>, right: Option<&Value>| match (left, right) {
        (Some(Value::Text(left)), Some(Value::Text(right))) => left < right,
        (Some(left), Some(right)) => numbers(left, right).is_some_and(|(l, r)| l < r),
        _ => false,
    };
    match comparator {
        Comparator::Eq => equal(),
        Comparator::Ne => !equal(),
        Comparator::Lt => less(left, right),
        Comparator::Le => less(left, right) || equal(),
        Comparator::Gt => less(right, left),
        Comparator::Ge => less(right, left) || equal(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn numbers(left: &Value, right: &Value) -> Option<(f64, f64)> {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    // Two integers were compared exactly before; here at least one side is a float.
    match (left, right) {
        (Value::Int(left), Value::Int(right)) if left != right => {
            Some(if left < right { (0.0, 1.0) } else { (1.0, 0.0) })
        }
        _ => Some((number(left)?, number(right)?)),
    }
}
