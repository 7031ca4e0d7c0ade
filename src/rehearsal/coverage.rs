//! How much of a mapping its tests reach: webhooks, proofs that refuse, rules, steps, calls, classes of responses, and
//! branches of operators.
//!
//! The plan says what can be reached, the tree where that stands in the file; both have the same order, since
//! `compile` keeps it.

use std::collections::HashSet;

use crate::diagnostic::{Sources, Span};
use crate::load::Loaded;
use crate::plan::{Branch, CallAction, CallStep, Plan, Response, Rule};
use crate::yaml::Node;

/// A place of a mapping that a test can reach.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is: `webhook`, `refusal`, `rule`, `step`, `call`, `class`, or a branch: `$then`, `$else`, `case`,
    /// `$default`.
    pub what: &'static str,
    /// Its keys, such as `webhooks[0].events[1]`; empty for a branch.
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
    let root = Spot { node, path: String::new() };
    let calls = root.member("calls");
    for call in &plan.calls {
        // Those that stand for a kind of `auth` have no place of their own.
        let Some(named) = calls.node.get(&call.name) else { continue };
        let named = Spot { node: named, path: format!("calls.{}", call.name) };
        places.call_steps("call", &call.steps, &named);
    }
    for (index, webhook) in plan.webhooks.iter().enumerate() {
        let at = root.item("webhooks", index);
        places.note("webhook", webhook, &at);
        // A proof shows nothing before it has refused something. The mapping's own come before the webhook's.
        let general = node.get("verify").and_then(Node::as_list).map_or(0, <[Node]>::len);
        for (index, proof) in webhook.verify.iter().enumerate() {
            let proof_at = match index.checked_sub(general) {
                Some(index) => at.item("verify", index),
                None => root.item("verify", index),
            };
            places.note("refusal", proof, &proof_at);
        }
        places.rules(&webhook.rule.rules, &at);
    }
    let top = root.member("send");
    for (index, step) in plan.send.iter().flat_map(|send| send.steps.iter().enumerate()) {
        let at = top.item("steps", index);
        places.note("step", step, &at);
        places.classes(&step.exchange.response, &at);
    }
    let (life, cycle) = (&plan.life, root.member("lifecycle"));
    for (name, steps) in
        [("on_connect", &life.on_connect), ("on_disconnect", &life.on_disconnect), ("probe", &life.probe)]
    {
        places.call_steps("step", steps, &cycle.member(name));
    }
    for (name, steps) in &life.actions {
        places.call_steps("step", steps, &root.member("actions").member(name));
    }
    for poll in &life.polls {
        let at = root.member("poll").member(&poll.name);
        places.classes(&poll.exchange.response, &at);
        places.rules(&poll.rule.rules, &at);
    }
    for branch in &plan.branches {
        places.branch(branch);
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
        self.member(key).nth(index)
    }

    fn nth(&self, index: usize) -> Self {
        let Spot { node, path } = self;
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

    /// Notes a branch. A value that is compiled twice, such as an alias or a default, is one.
    fn branch(&mut self, branch: &Branch) {
        let reached = self.reached.contains(&std::ptr::from_ref(&*branch.mark).addr());
        match self.found.iter_mut().find(|place| place.what == branch.what && place.span == branch.span) {
            Some(known) => known.reached |= reached,
            None => {
                let (what, span) = (branch.what, branch.span);
                self.found.push(Place { what, path: String::new(), span, reached });
            }
        }
    }

    /// Notes the steps of a call or of what the gateway does of its own accord; one alone needs no `steps`.
    fn call_steps(&mut self, what: &'static str, steps: &[CallStep], at: &Spot<'_>) {
        for (index, step) in steps.iter().enumerate() {
            let at = match (at.node.as_list(), at.node.get("steps")) {
                (Some(_), _) => at.nth(index),
                (None, Some(_)) => at.item("steps", index),
                (None, None) => at.clone(),
            };
            self.note(what, step, &at);
            if let CallAction::Exchange(exchange) = &step.action {
                self.classes(&exchange.response, &at);
            }
        }
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
