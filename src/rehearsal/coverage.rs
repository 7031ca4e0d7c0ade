//! How much of a mapping its tests reach: webhooks, rules, steps, calls and classes of responses.
//!
//! The plan says what can be reached, the tree where that stands in the file; both have the same order, since
//! `compile` keeps it.

use std::collections::HashSet;

use crate::diagnostic::{Sources, Span};
use crate::load::Loaded;
use crate::plan::{CallAction, Plan, Response, Rule};
use crate::yaml::Node;

/// A place of a mapping that a test can reach.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is: `webhook`, `rule`, `step`, `call` or `class`.
    pub what: &'static str,
    /// Its keys, such as `webhooks[0].events[1]`.
    pub path: String,
    /// Where it stands.
    pub span: Span,
    /// Whether a test reached it.
    pub reached: bool,
}

/// The places of a mapping file, in its order: those of its own mapping and of its variants, without those that stand in
/// a file that it extends. What several of them share is reached once one of them reaches it.
pub fn coverage(mapping: &Loaded, sources: &Sources, reached: &HashSet<usize>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (plan, tree) in &mapping.trees {
        for place in of_plan(plan, tree, reached) {
            match places.iter_mut().find(|known| known.what == place.what && known.span == place.span) {
                Some(known) => known.reached |= place.reached,
                None if mapping.holds(place.span, sources) => places.push(place),
                None => {}
            }
        }
    }
    places.sort_by_key(|place| place.span.range().start);
    places
}

fn of_plan(plan: &Plan, node: &Node, reached: &HashSet<usize>) -> Vec<Place> {
    let mut places = Places { reached, found: Vec::new() };
    let calls = Spot { node, path: String::new() }.member("calls");
    for call in &plan.calls {
        // Those that stand for a kind of `auth` have no place of their own.
        let Some(named) = calls.node.get(&call.name) else { continue };
        let named = Spot { node: named, path: format!("calls.{}", call.name) };
        for (index, step) in call.steps.iter().enumerate() {
            let at =
                if named.node.get("steps").is_some() { named.item("steps", index) } else { named.clone() };
            places.note("call", step, &at);
            if let CallAction::Exchange(exchange) = &step.action {
                places.classes(&exchange.response, &at);
            }
        }
    }
    for (index, webhook) in plan.webhooks.iter().enumerate() {
        let at = Spot { node, path: String::new() }.item("webhooks", index);
        places.note("webhook", webhook, &at);
        places.rules(&webhook.rule.rules, &at);
    }
    let top = Spot { node, path: String::new() }.member("send");
    for (index, step) in plan.send.iter().flat_map(|send| send.steps.iter().enumerate()) {
        let at = top.item("steps", index);
        places.note("step", step, &at);
        places.classes(&step.exchange.response, &at);
    }
    places.found
}

/// A node and the keys that lead to it.
#[derive(Clone)]
struct Spot<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Spot<'n> {
    fn member(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) };
        Self { node: self.node.get(key).unwrap_or(self.node), path }
    }

    fn item(&self, key: &str, index: usize) -> Self {
        let Spot { node, path } = self.member(key);
        let item: Option<&'n Node> = node.as_list().and_then(|items| items.get(index));
        Self { node: item.unwrap_or(node), path: format!("{path}[{index}]") }
    }
}

struct Places<'r> {
    reached: &'r HashSet<usize>,
    found: Vec<Place>,
}

impl Places<'_> {
    fn note<T>(&mut self, what: &'static str, place: &T, at: &Spot<'_>) {
        let reached = self.reached.contains(&std::ptr::from_ref(place).addr());
        self.found.push(Place { what, path: at.path.clone(), span: at.node.span, reached });
    }

    fn classes(&mut self, response: &Response, at: &Spot<'_>) {
        for (index, class) in response.classes.iter().enumerate() {
            self.note("class", class, &at.member("response").item("classify", index));
        }
    }

    fn rules(&mut self, rules: &[Rule], at: &Spot<'_>) {
        for (index, rule) in rules.iter().enumerate() {
            let at = at.item("events", index);
            self.note("rule", rule, &at);
            self.rules(&rule.rules, &at);
        }
    }
}
