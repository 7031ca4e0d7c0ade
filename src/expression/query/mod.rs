//! JSONPath (RFC 9535) on [`Value`]s: parsed once by `jsonpath-rust`, evaluated here.
//!
//! A path of names and indexes alone is a straight walk without allocation; anything else collects the nodes
//! that it selects. Patterns of `match` and `search` are compiled once. No path is evaluated twice in parsing.

mod explain;
mod filter;
mod lower;
#[cfg(test)]
mod tests;

use jsonpath_rust::parser::parse_json_path;
use smol_str::SmolStr;

use self::explain::{blank_in_name, explain};
use self::filter::Filter;
use self::lower::lower_query;
use super::problem::{Problem, ProblemKind};
use super::value::Value;

/// The longest path that is accepted, in bytes.
const LONGEST: usize = 1024;

/// A compiled JSONPath.
#[derive(Clone, Debug)]
pub enum Query {
    /// Selects at most one node.
    Straight(Box<[Step]>),
    /// May select several.
    General(Box<[Segment]>),
}

/// One step of a straight path.
#[derive(Clone, Debug)]
pub enum Step {
    /// Into the member of that name.
    Name(SmolStr),
    /// Into the item of that index; negative counts from the end.
    Index(i64),
}

/// One step of a general path.
#[derive(Clone, Debug)]
pub struct Segment {
    descend: bool,
    selectors: Box<[Selector]>,
}

#[derive(Clone, Debug)]
enum Selector {
    Step(Step),
    Wildcard,
    Slice(Option<i64>, Option<i64>, i64),
    Filter(Filter),
}

impl Query {
    /// Compiles a path; a problem names the range of `text` that is wrong.
    pub fn compile(text: &str) -> Result<Self, Problem> {
        let whole = 0..text.len();
        if text.len() > LONGEST {
            let message = format!("this JSONPath has {} bytes; at most {LONGEST} are allowed", text.len());
            return Err(Problem::new(ProblemKind::Size, whole, message));
        }
        let parsed = parse_json_path(text).map_err(|error| explain(text, &error))?;
        let query = lower_query(&parsed.segments)
            .map_err(|message| Problem::new(ProblemKind::Path, whole.clone(), message))?;
        if let Some(at) = blank_in_name(text) {
            let problem =
                Problem::new(ProblemKind::Path, at.clone(), "a name with a blank must stand in brackets");
            let name = at.start - text.get(..at.start).and_then(|before| before.rfind('.')).unwrap_or(0);
            let end = text
                .get(at.start..)
                .and_then(|rest| rest.find(['.', '[']))
                .map_or(text.len(), |end| at.start + end);
            let range = at.start - name..end;
            let full = text.get(range.start + 1..end).unwrap_or_default().trim_end().to_string();
            let mut problem = problem.label("a blank").help("put it in brackets");
            problem.replacement = Some((range, format!("['{full}']")));
            return Err(problem);
        }
        Ok(query)
    }

    /// Whether it can select more than one node, so that its value is a list.
    pub fn is_many(&self) -> bool {
        matches!(self, Self::General(_))
    }

    /// What it selects in `node`: the node or null for a straight path, the list of all nodes for another.
    pub fn value(&self, node: &Value) -> Value {
        match self {
            Self::Straight(steps) => walk(steps, node).cloned().unwrap_or_default(),
            Self::General(_) => Value::list(self.nodes(node).into_iter().cloned().collect()),
        }
    }

    /// The nodes that it selects in `node`.
    pub fn nodes<'v>(&self, node: &'v Value) -> Vec<&'v Value> {
        self.select(node, node)
    }

    pub(super) fn select<'v>(&self, root: &'v Value, node: &'v Value) -> Vec<&'v Value> {
        match self {
            Self::Straight(steps) => walk(steps, node).into_iter().collect(),
            Self::General(segments) => {
                let mut nodes = vec![node];
                for segment in segments {
                    nodes = segment.apply(root, &nodes);
                }
                nodes
            }
        }
    }
}

pub(super) fn walk<'v>(steps: &[Step], node: &'v Value) -> Option<&'v Value> {
    steps.iter().try_fold(node, |node, step| step.take(node))
}

impl Step {
    fn take<'v>(&self, node: &'v Value) -> Option<&'v Value> {
        match (self, node) {
            (Self::Name(name), Value::Map(map)) => map.get(name),
            (Self::Index(index), Value::List(items)) => {
                let at = if *index < 0 {
                    items.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(*index).ok()?
                };
                items.get(at)
            }
            _ => None,
        }
    }
}

impl Segment {
    fn apply<'v>(&self, root: &'v Value, nodes: &[&'v Value]) -> Vec<&'v Value> {
        let mut out = Vec::new();
        for node in nodes {
            if self.descend {
                self.descend_into(root, node, &mut out);
            } else {
                self.select(root, node, &mut out);
            }
        }
        out
    }

    fn descend_into<'v>(&self, root: &'v Value, node: &'v Value, out: &mut Vec<&'v Value>) {
        self.select(root, node, out);
        for child in children(node) {
            self.descend_into(root, child, out);
        }
    }

    fn select<'v>(&self, root: &'v Value, node: &'v Value, out: &mut Vec<&'v Value>) {
        for selector in &self.selectors {
            match selector {
                Selector::Step(step) => out.extend(step.take(node)),
                Selector::Wildcard => out.extend(children(node)),
                Selector::Slice(start, end, step) => slice(node, *start, *end, *step, out),
                Selector::Filter(filter) => {
                    out.extend(children(node).filter(|child| filter.holds(root, child)));
                }
            }
        }
    }
}

pub(super) fn children(node: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match node {
        Value::List(items) => Box::new(items.iter()),
        Value::Map(map) => Box::new(map.iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
    }
}

/// RFC 9535, 2.3.4.2.2.
fn slice<'v>(node: &'v Value, start: Option<i64>, end: Option<i64>, step: i64, out: &mut Vec<&'v Value>) {
    let Some(items) = node.as_list() else { return };
    let Ok(len) = i64::try_from(items.len()) else { return };
    if step == 0 {
        return;
    }
    let absolute = |at: i64| if at >= 0 { at } else { len.saturating_add(at) };
    let take = |at: i64| usize::try_from(at).ok().and_then(|at| items.get(at));
    if step > 0 {
        let (mut at, end) =
            (absolute(start.unwrap_or(0)).clamp(0, len), absolute(end.unwrap_or(len)).clamp(0, len));
        while at < end {
            out.extend(take(at));
            at = at.saturating_add(step);
        }
    } else {
        let mut at = absolute(start.unwrap_or(len - 1)).clamp(-1, len - 1);
        let end = end.map_or(-1, |end| absolute(end).clamp(-1, len - 1));
        while at > end {
            out.extend(take(at));
            at = at.saturating_add(step);
        }
    }
}
