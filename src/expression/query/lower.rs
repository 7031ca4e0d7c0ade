//! The parser's tree to ours: steps, selectors, filters; what is not well-typed is refused.

use jsonpath_rust::parser::model as ast;
use regex::{Regex, RegexBuilder};
use smol_str::SmolStr;

use super::filter::{Comparator, Filter, Operand};
use super::{Query, Segment, Selector, Step};
use crate::expression::value::Value;

fn regex(pattern: &str, whole: bool) -> Result<Regex, regex::Error> {
    // I-Regexp (RFC 9485): `.` is any character but a line break, as in the `regex` crate.
    let pattern = if whole { format!("^(?:{pattern})$") } else { pattern.into() };
    RegexBuilder::new(&pattern).size_limit(1 << 20).build()
}

pub(super) fn lower_query(segments: &[ast::Segment]) -> Result<Query, String> {
    let segments = segments.iter().map(lower_segment).collect::<Result<Vec<_>, _>>()?;
    let straight = segments.iter().map(|segment| match (segment.descend, &*segment.selectors) {
        (false, [Selector::Step(step)]) => Some(step.clone()),
        _ => None,
    });
    Ok(match straight.collect::<Option<Vec<_>>>() {
        Some(steps) => Query::Straight(steps.into()),
        None => Query::General(segments.into()),
    })
}

fn lower_segment(segment: &ast::Segment) -> Result<Segment, String> {
    Ok(match segment {
        ast::Segment::Descendant(inner) => Segment { descend: true, ..lower_segment(inner)? },
        ast::Segment::Selector(selector) => {
            Segment { descend: false, selectors: Box::new([lower_selector(selector)?]) }
        }
        ast::Segment::Selectors(selectors) => Segment {
            descend: false,
            selectors: selectors.iter().map(lower_selector).collect::<Result<_, _>>()?,
        },
    })
}

fn lower_selector(selector: &ast::Selector) -> Result<Selector, String> {
    Ok(match selector {
        ast::Selector::Name(name) => Selector::Step(Step::Name(SmolStr::new(name))),
        ast::Selector::Index(index) => Selector::Step(Step::Index(*index)),
        ast::Selector::Wildcard => Selector::Wildcard,
        ast::Selector::Slice(start, end, step) => Selector::Slice(*start, *end, step.unwrap_or(1)),
        ast::Selector::Filter(filter) => Selector::Filter(lower_filter(filter)?),
    })
}

fn lower_filter(filter: &ast::Filter) -> Result<Filter, String> {
    let all = |filters: &[ast::Filter]| filters.iter().map(lower_filter).collect::<Result<Vec<_>, _>>();
    Ok(match filter {
        ast::Filter::Or(filters) => Filter::Or(all(filters)?),
        ast::Filter::And(filters) => Filter::And(all(filters)?),
        ast::Filter::Atom(ast::FilterAtom::Filter { expr, not }) => negate(lower_filter(expr)?, *not),
        ast::Filter::Atom(ast::FilterAtom::Test { expr, not }) => negate(lower_test(expr)?, *not),
        ast::Filter::Atom(ast::FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            let comparator = match &**comparison {
                ast::Comparison::Eq(..) => Comparator::Eq,
                ast::Comparison::Ne(..) => Comparator::Ne,
                ast::Comparison::Gt(..) => Comparator::Gt,
                ast::Comparison::Gte(..) => Comparator::Ge,
                ast::Comparison::Lt(..) => Comparator::Lt,
                ast::Comparison::Lte(..) => Comparator::Le,
            };
            Filter::Compare(comparator, lower_comparable(left)?, lower_comparable(right)?)
        }
    })
}

fn negate(filter: Filter, not: bool) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

fn lower_test(test: &ast::Test) -> Result<Filter, String> {
    match test {
        ast::Test::Function(function) => match &**function {
            ast::TestFunction::Match(text, pattern) => lower_match(text, pattern, true),
            ast::TestFunction::Search(text, pattern) => lower_match(text, pattern, false),
            ast::TestFunction::Custom(name, _) => Err(format!("`{name}` is not a function of RFC 9535")),
            _ => Err("`length`, `count` and `value` give a value; compare it with something".into()),
        },
        other => Ok(Filter::Exists(lower_nodes(other)?)),
    }
}

fn lower_match(text: &ast::FnArg, pattern: &ast::FnArg, whole: bool) -> Result<Filter, String> {
    let pattern = match lower_argument(pattern)? {
        Operand::Literal(literal) => {
            let text = literal.as_text().ok_or("the pattern must be text")?;
            regex(text, whole).map_err(|error| format!("bad pattern: {error}"))?
        }
        // One that comes with the payload would be compiled for every node.
        _ => return Err("the pattern must be a literal".into()),
    };
    Ok(Filter::Matches { text: lower_argument(text)?, pattern })
}

fn lower_nodes(test: &ast::Test) -> Result<Operand, String> {
    Ok(match test {
        ast::Test::RelQuery(segments) => Operand::Nodes { from_root: false, query: lower_query(segments)? },
        ast::Test::AbsQuery(query) => {
            Operand::Nodes { from_root: true, query: lower_query(&query.segments)? }
        }
        ast::Test::Function(function) => lower_function(function)?,
    })
}

fn lower_comparable(comparable: &ast::Comparable) -> Result<Operand, String> {
    Ok(match comparable {
        ast::Comparable::Literal(literal) => Operand::Literal(lower_literal(literal)),
        ast::Comparable::Function(function) => lower_function(function)?,
        ast::Comparable::SingularQuery(query) => {
            let (from_root, segments) = match query {
                ast::SingularQuery::Current(segments) => (false, segments),
                ast::SingularQuery::Root(segments) => (true, segments),
            };
            let steps = segments.iter().map(|segment| match segment {
                ast::SingularQuerySegment::Index(index) => Step::Index(*index),
                ast::SingularQuerySegment::Name(name) => Step::Name(SmolStr::new(name)),
            });
            Operand::Nodes { from_root, query: Query::Straight(steps.collect()) }
        }
    })
}

fn lower_function(function: &ast::TestFunction) -> Result<Operand, String> {
    Ok(match function {
        ast::TestFunction::Length(of) => Operand::Length(Box::new(lower_single(of)?)),
        ast::TestFunction::Count(of) => Operand::Count(Box::new(lower_argument(of)?)),
        ast::TestFunction::Value(of) => Operand::Only(Box::new(lower_argument(of)?)),
        ast::TestFunction::Match(..) | ast::TestFunction::Search(..) => {
            return Err("`match` and `search` are conditions; they can't be compared".into());
        }
        ast::TestFunction::Custom(name, _) => return Err(format!("`{name}` is not a function of RFC 9535")),
    })
}

/// An argument that must be a single value (RFC 9535, 2.4.3: `length(@.*)` is not well-typed).
fn lower_single(argument: &ast::FnArg) -> Result<Operand, String> {
    match lower_argument(argument)? {
        Operand::Nodes { query, .. } if query.is_many() => {
            Err("`length` takes one value, and this path may select several".into())
        }
        operand => Ok(operand),
    }
}

fn lower_argument(argument: &ast::FnArg) -> Result<Operand, String> {
    match argument {
        ast::FnArg::Literal(literal) => Ok(Operand::Literal(lower_literal(literal))),
        ast::FnArg::Test(test) => lower_nodes(test),
        ast::FnArg::Filter(_) => Err("a condition can't be an argument here".into()),
    }
}

fn lower_literal(literal: &ast::Literal) -> Value {
    match literal {
        ast::Literal::Int(number) => Value::from(*number),
        ast::Literal::Float(number) => Value::Float(*number),
        ast::Literal::String(text) => Value::text(text),
        ast::Literal::Bool(truth) => Value::Bool(*truth),
        ast::Literal::Null => Value::Null,
    }
}
