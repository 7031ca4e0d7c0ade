//! Compiling the members of families, each problem told once.
//!
//! A mapping inherits the mistakes of what it is made of. They are told where they were made; what is only wrong
//! in the mapping that inherits it is told there too, with the mapping that it was found in.

use std::collections::HashSet;
use std::sync::Arc;

use super::family::Member;
use crate::compile;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::plan::Plan;
use crate::yaml::{Kind, Node};

/// The plans of mappings, in their order.
pub(super) fn compile(members: &[&Member], out: &mut Diagnostics) -> Vec<Option<Arc<Plan>>> {
    // The mistakes of a base come first, so that those who inherit them are not named.
    let mut order: Vec<(usize, &Member)> = members.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, member)| member.depth);
    let mut plans: Vec<Option<Arc<Plan>>> = members.iter().map(|_| None).collect();
    let mut found: Vec<(&Member, Diagnostics)> = Vec::new();
    for (at, member) in order {
        let mut problems = Diagnostics::new();
        let plan = member.tree.as_ref().and_then(|tree| compile::mapping(tree, &mut problems));
        if let Some(place) = plans.get_mut(at) {
            *place = plan.map(Arc::new);
        }
        found.push((member, problems));
    }
    let mut told = HashSet::new();
    for (member, problems) in &found {
        // What is suggested may differ from mapping to mapping, so the problem alone counts.
        let before = told.clone();
        for problem in problems {
            let what = (problem.code, problem.primary.span, problem.message.as_str());
            let unread = problem.code == Code::UnusedName;
            if before.contains(&what) || (unread && !unread_by_all(problem, &found)) {
                continue;
            }
            told.insert(what);
            out.push(match &member.derived {
                Some((place, own)) if !within(problem.primary.span, *own) => {
                    let name = member.name.as_ref().map(|name| name.value.as_str()).unwrap_or_default();
                    problem.clone().secondary(*place, format!("found in `{name}`, which is made of it"))
                }
                _ => problem.clone(),
            });
        }
    }
    plans
}

/// Whether a name that one mapping does not read is read by none that has it.
fn unread_by_all(problem: &Diagnostic, found: &[(&Member, Diagnostics)]) -> bool {
    let span = problem.primary.span;
    found.iter().all(|(member, problems)| {
        problems.iter().any(|other| other.code == problem.code && other.primary.span == span)
            || !member.tree.as_ref().is_some_and(|tree| has_key(tree, span))
    })
}

/// Whether a key of a tree stands there.
fn has_key(node: &Node, span: Span) -> bool {
    match &node.kind {
        Kind::Map(entries) => {
            entries.iter().any(|entry| entry.key.span == span || has_key(&entry.value, span))
        }
        Kind::List(items) => items.iter().any(|item| has_key(item, span)),
        _ => false,
    }
}

fn within(span: Span, whole: Span) -> bool {
    span.file == whole.file && whole.start <= span.start && span.end <= whole.end
}
