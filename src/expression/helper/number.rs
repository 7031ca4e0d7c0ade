//! Numbers, comparisons and truth.

use super::{Arguments, Helper, MANY};
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "add a b ..",
        (2, MANY),
        "The sum; null if an argument is no number.",
        "{{add 1 '2' 3}}",
        "6",
        |a| fold(a, i128::checked_add, |x, y| x + y),
    ),
    Helper::total(
        "mul a b ..",
        (2, MANY),
        "The product; null if an argument is no number.",
        "{{mul 1700000000 1000}}",
        "1700000000000",
        |a| fold(a, i128::checked_mul, |x, y| x * y),
    ),
    Helper::total(
        "div a b",
        (2, 2),
        "The quotient: whole if both are whole numbers; null for a division by zero.",
        "{{div 7 2}}",
        "3",
        |a| fold(a, i128::checked_div, |x, y| x / y),
    ),
    Helper::total("gt a b", (2, 2), "Whether the first number is greater.", "{{gt 3 2}}", "true", |a| {
        Some((a.get(0).to_number()? > a.get(1).to_number()?).into())
    }),
    Helper::total("lt a b", (2, 2), "Whether the first number is smaller.", "{{lt 3 2}}", "false", |a| {
        Some((a.get(0).to_number()? < a.get(1).to_number()?).into())
    }),
    Helper::total(
        "eq a b",
        (2, 2),
        "Whether both are the same; numbers and the texts that spell them are.",
        "{{eq 1 '1'}}",
        "true",
        |a| Some(same(a.get(0), a.get(1)).into()),
    ),
    Helper::total("ne a b", (2, 2), "Whether they differ.", "{{ne 'a' 'b'}}", "true", |a| {
        Some((!same(a.get(0), a.get(1))).into())
    }),
    Helper::total(
        "and a b ..",
        (1, MANY),
        "Whether all are true; null, false, 0 and what is empty are not.",
        "{{and 'x' 1}}",
        "true",
        |a| Some(a.positional.iter().all(Value::is_truthy).into()),
    ),
    Helper::total("or a b ..", (1, MANY), "Whether one is true.", "{{or '' 0 'x'}}", "true", |a| {
        Some(a.positional.iter().any(Value::is_truthy).into())
    }),
    Helper::total("not a", (1, 1), "Whether it is not true.", "{{not ''}}", "true", |a| {
        Some((!a.get(0).is_truthy()).into())
    }),
];

/// Whether two values are equal across text and number; null equals null alone.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Text(left), Value::Text(right)) => left == right,
        (left, right) => left == right || left.to_text() == right.to_text(),
    }
}

fn fold(
    a: &Arguments<'_, '_>,
    whole: fn(i128, i128) -> Option<i128>,
    broken: fn(f64, f64) -> f64,
) -> Option<Value> {
    let is_whole = a.positional.iter().all(|value| value.to_int().is_some());
    if is_whole {
        let mut numbers = a.positional.iter().filter_map(Value::to_int);
        let first = numbers.next()?;
        return numbers.try_fold(first, whole).map(Value::Int);
    }
    let numbers: Vec<f64> = a.positional.iter().map(Value::to_number).collect::<Option<_>>()?;
    let (first, rest) = numbers.split_first()?;
    let result = rest.iter().fold(*first, |sum, number| broken(sum, *number));
    result.is_finite().then_some(Value::Float(result))
}
