//! Families of mappings: `extends` and `variants`, worked out on the trees before anything is judged.
//!
//! Invariant: every mapping of every file has one member, whose tree is whole or, where that can't be had, is missing
//! and the reason was told once.

use std::collections::{HashMap, HashSet};

use smol_str::SmolStr;

use super::merge::{OWN, whole};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, suggest};
use crate::yaml::{Entry, Kind, Node, Text};

/// One mapping, whole.
#[derive(Debug)]
pub(super) struct Member {
    /// The number of its file.
    pub(super) file: usize,
    /// Its name; none where the file gives none.
    pub(super) name: Option<Text>,
    /// What it says, with what it inherits; none if that can't be known, which was told.
    pub(super) tree: Option<Node>,
    /// Of how many others it is made.
    pub(super) depth: usize,
    /// Where it says so, and what in that file is its own; none if it is made of no other.
    pub(super) derived: Option<(Span, Span)>,
    /// Whether it is a variant.
    pub(super) variant: bool,
}

/// All mappings of the files; a file is its stem and its tree.
pub(super) fn members(files: &[(SmolStr, Option<&Node>)], out: &mut Diagnostics) -> Vec<Member> {
    let (known, circles) = (HashMap::new(), HashSet::new());
    let mut family = Family { sources: Vec::new(), known, path: Vec::new(), circles, out };
    for (file, (stem, node)) in files.iter().enumerate() {
        family.gather(file, stem, *node);
    }
    (0..family.sources.len()).map(|source| family.member(source)).collect()
}

/// Where a mapping comes from.
#[derive(Clone)]
struct Source<'n> {
    file: usize,
    name: Option<Text>,
    /// The file's tree, or the overlay of a variant.
    node: Option<&'n Node>,
    /// The number of what a variant is made of.
    variant_of: Option<usize>,
}

struct Family<'n, 'o> {
    sources: Vec<Source<'n>>,
    known: HashMap<SmolStr, usize>,
    /// What is being worked out, from the outermost on.
    path: Vec<usize>,
    /// What leads to itself, which was told.
    circles: HashSet<usize>,
    out: &'o mut Diagnostics,
}

impl<'n> Family<'n, '_> {
    fn gather(&mut self, file: usize, stem: &SmolStr, node: Option<&'n Node>) {
        let name = node.and_then(|node| node.get("name")?.as_text().cloned());
        let own = self.sources.len();
        if name.as_ref().is_none_or(|name| name.value == *stem) {
            self.claim(stem, name.as_ref().map(|name| name.span), own);
        } else if let Some(name) = &name {
            self.known.entry(name.value.clone()).or_insert(own); // that it differs from the file's is told elsewhere
        }
        self.sources.push(Source { file, name, node, variant_of: None });
        for variant in node.and_then(|node| node.get("variants")?.as_map()).unwrap_or_default() {
            let number = self.sources.len();
            self.claim(&variant.key.value, Some(variant.key.span), number);
            let (name, node) = (Some(variant.key.clone()), Some(&variant.value));
            self.sources.push(Source { file, name, node, variant_of: Some(own) });
        }
    }

    fn claim(&mut self, name: &SmolStr, place: Option<Span>, source: usize) {
        let Some(first) = self.known.get(name) else {
            self.known.insert(name.clone(), source);
            return;
        };
        let first = self.sources.get(*first).and_then(|source| source.name.as_ref());
        if let (Some(first), Some(second)) = (first, place) {
            let problem =
                Diagnostic::new(Code::DuplicateName, second, format!("two mappings are called `{name}`"));
            let problem = problem.label("the second").secondary(first.span, "the first");
            self.tell(problem);
        }
    }

    fn member(&mut self, source: usize) -> Member {
        let (tree, depth) = self.tree(source).map_or((None, 0), |(tree, depth)| (Some(tree), depth));
        let Some(Source { file, name, node, variant_of }) = self.sources.get(source).cloned() else {
            return Member { file: 0, name: None, tree, depth, derived: None, variant: false };
        };
        let variant = variant_of.is_some();
        let place = if variant {
            name.as_ref().map(|name| name.span)
        } else {
            node.and_then(extends).map(|extends| extends.value.span)
        };
        let derived = place.zip(node).map(|(place, node)| (place, node.span));
        Member { file, name, tree, depth, derived, variant }
    }

    /// What a mapping says with what it inherits, and of how many others it is made.
    fn tree(&mut self, number: usize) -> Option<(Node, usize)> {
        let source = self.sources.get(number).cloned()?;
        let node = source.node?;
        self.path.push(number);
        let made = match source.variant_of {
            Some(whole) => self.variant(whole, node, source.name.as_ref()),
            None => match extends(node) {
                Some(entry) => self.extended(node, &entry.value),
                None => Some((node.clone(), 0)),
            },
        };
        self.path.pop();
        made
    }

    fn extended(&mut self, node: &Node, base: &Node) -> Option<(Node, usize)> {
        let Some(name) = base.as_text() else {
            let message = format!("`extends` is the name of a mapping, not {}", base.kind_name());
            self.tell(Diagnostic::new(Code::WrongType, base.span, message));
            return None;
        };
        let base = self.find(name)?;
        if self.circles.contains(&base) {
            return None;
        }
        if self.path.contains(&base) {
            let circle: Vec<_> = self.path.iter().copied().skip_while(|number| *number != base).collect();
            let names = circle.iter().chain([&base]).filter_map(|at| self.sources.get(*at)?.name.as_ref());
            let way: Vec<_> = names.map(|name| format!("`{}`", name.value)).collect();
            self.circles.extend(circle);
            let problem = Diagnostic::new(Code::InvalidValue, name.span, "a mapping can't extend itself");
            self.tell(problem.label(format!("leads from {}", way.join(" to "))));
            return None;
        }
        let (base, depth) = self.tree(base)?;
        Some((whole(&base, node), depth + 1))
    }

    fn variant(&mut self, of: usize, overlay: &Node, name: Option<&Text>) -> Option<(Node, usize)> {
        let key = name?;
        for entry in overlay
            .as_map()
            .unwrap_or_default()
            .iter()
            .filter(|entry| OWN.contains(&entry.key.value.as_str()))
        {
            let message = format!("a variant has no `{}`", entry.key.value);
            let problem =
                Diagnostic::new(Code::UnknownKey, entry.key.span, message).label("not in a variant");
            self.tell(problem.help("its key is its name, and it is made of the file that it stands in"));
        }
        let mut entries = match &overlay.kind {
            Kind::Map(entries) => entries.clone(),
            Kind::Null => Vec::new(),
            _ => {
                let message =
                    format!("a variant is a map of what it says differently, not {}", overlay.kind_name());
                self.tell(Diagnostic::new(Code::WrongType, overlay.span, message));
                return None;
            }
        };
        entries.retain(|entry| !OWN.contains(&entry.key.value.as_str()));
        let name = Node { span: key.span, kind: Kind::Text(key.clone()) };
        entries.insert(0, Entry { key: Text::at("name", key.span), value: name });
        let (base, depth) = self.tree(of)?;
        Some((whole(&base, &Node { span: overlay.span, kind: Kind::Map(entries) }), depth + 1))
    }

    /// The mapping of that name, or the one that was meant.
    fn find(&mut self, name: &Text) -> Option<usize> {
        if let Some(found) = self.known.get(&name.value) {
            return Some(*found);
        }
        let mut names: Vec<SmolStr> = self.known.keys().cloned().collect();
        names.sort();
        let names = || names.iter().map(SmolStr::as_str);
        let message = format!("there is no mapping `{}`", name.value);
        let problem = Diagnostic::new(Code::UnknownMapping, name.span, message).label("unknown mapping");
        let problem = problem.did_you_mean(&name.value, names());
        self.tell(match problem.fix {
            Some(_) => problem,
            None => problem.help("it is looked for beside this file and among the mappings that are read"),
        });
        suggest(&name.value, names()).and_then(|meant| self.known.get(meant).copied())
    }

    /// Tells a problem, once for all who meet it.
    fn tell(&mut self, problem: Diagnostic) {
        if !self.out.iter().any(|told| *told == problem) {
            self.out.push(problem);
        }
    }
}

/// What a file says that it extends; a key that is mistyped was meant all the same.
pub(super) fn extends(node: &Node) -> Option<&Entry> {
    let meant = |entry: &&Entry| suggest(&entry.key.value, ["extends"]).is_some();
    node.entry("extends").or_else(|| node.as_map()?.iter().find(meant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Sources;
    use crate::yaml;

    /// The trees of files, as JSON by name, and the problems.
    fn trees(files: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let (mut sources, mut out) = (Sources::new(), Diagnostics::new());
        let nodes: Vec<(SmolStr, Option<Node>)> = files
            .iter()
            .map(|(stem, text)| {
                let file = sources.add(format!("{stem}.yaml"), *text);
                (SmolStr::new(stem), yaml::parse(file, &sources, &mut out))
            })
            .collect();
        let nodes: Vec<_> = nodes.iter().map(|(stem, node)| (stem.clone(), node.as_ref())).collect();
        let made = members(&nodes, &mut out).into_iter().map(|member| {
            let tree = member.tree.map(|tree| tree.to_value().to_json().unwrap()).unwrap_or_default();
            (member.name.map(|name| name.value.to_string()).unwrap_or_default(), tree)
        });
        (made.collect(), out.iter().map(|problem| problem.message.clone()).collect())
    }

    fn merged(base: &str, over: &str) -> String {
        let over = format!("name: over\nextends: base\n{over}");
        let (trees, problems) = trees(&[("base", &format!("name: base\n{base}")), ("over", &over)]);
        assert_eq!(problems, Vec::<String>::new());
        trees[1].1.replace(r#""name":"over","extends":"base","#, "")
    }

    #[test]
    fn maps_are_merged_and_lists_are_replaced() {
        let base = "config: {a: {about: x}, b: {}}\nwebhooks: [1, 2]\nlimits: {rate: 1/s}";
        let over = "config: {a: {secret: true}, c: {}}\nwebhooks: [3]";
        let expected = r#"{"config":{"a":{"about":"x","secret":true},"b":{},"c":{}},"webhooks":[3],"limits":{"rate":"1/s"}}"#;
        assert_eq!(merged(base, over), expected);
    }

    #[test]
    fn null_removes_a_member_but_is_a_row_of_a_table() {
        let base =
            "config: {a: {}, b: {}}\nretry: {attempts: 1}\ntables: {t: {x: 1, $default: 2}, u: {y: 1}}";
        let over = "config: {a: ~}\nretry: ~\ntables: {t: {x: ~, z: 3}, u: ~}";
        let expected = r#"{"config":{"b":{}},"tables":{"t":{"x":null,"$default":2,"z":3}}}"#;
        assert_eq!(merged(base, over), expected);
    }

    #[test]
    fn null_for_what_is_not_there_stays_to_be_judged() {
        assert_eq!(merged("a: 1", "b: ~"), r#"{"b":null,"a":1}"#);
    }

    #[test]
    fn a_value_with_an_operator_and_auth_are_taken_as_a_whole() {
        let base = "http: {base: {$if: a, $then: b}, auth: {bearer: x}}\nlookup_contact: {$call: a, id: 1}";
        let over = "http: {base: {$first: [c]}, auth: {header: {K: y}}}\nlookup_contact: {$call: b}";
        let expected = r#"{"http":{"base":{"$first":["c"]},"auth":{"header":{"K":"y"}}},"lookup_contact":{"$call":"b"}}"#;
        assert_eq!(merged(base, over), expected);
    }

    #[test]
    fn variants_are_mappings_of_their_own_and_are_not_inherited() {
        let file = "name: one\nset: {x: 1}\nvariants:\n  two: {set: {x: 2}}\n  three:\n";
        let (trees, problems) = trees(&[("one", file), ("four", "name: four\nextends: two\nset: {y: 4}")]);
        assert_eq!(problems, Vec::<String>::new());
        let tree = |at: usize| (trees[at].0.as_str(), trees[at].1.as_str());
        assert_eq!(tree(1), ("two", r#"{"name":"two","set":{"x":2}}"#));
        assert_eq!(tree(2), ("three", r#"{"name":"three","set":{"x":1}}"#));
        assert_eq!(tree(3), ("four", r#"{"name":"four","extends":"two","set":{"x":2,"y":4}}"#));
        assert_eq!(trees.len(), 4);
    }

    #[test]
    fn a_circle_is_told_once_and_leaves_nothing_to_judge() {
        let (trees, problems) = trees(&[
            ("a", "name: a\nextends: b"),
            ("b", "name: b\nextends: c\nvariants: {c: {}}"),
            ("d", "name: d\nextends: d"),
            ("e", "name: e\nextends: f"),
            ("f", "name: f\nextends: e"),
        ]);
        assert!(trees.iter().all(|(_, tree)| tree.is_empty()), "{trees:?}");
        assert_eq!(problems, ["a mapping can't extend itself"; 3]);
    }

    #[test]
    fn a_base_that_is_mistyped_is_told_and_read_as_the_one_that_was_meant() {
        let (trees, problems) = trees(&[
            ("common", "name: common\na: 1"),
            ("b", "name: b\nextends: comon"),
            ("c", "name: c\nextend: common"),
        ]);
        assert_eq!(trees[1].1, r#"{"name":"b","extends":"comon","a":1}"#);
        assert_eq!(trees[2].1, r#"{"name":"c","extend":"common","a":1}"#);
        assert_eq!(problems, ["there is no mapping `comon`"]);
    }

    #[test]
    fn a_name_is_given_once() {
        let (_, problems) = trees(&[("a", "name: a\nvariants: {b: {}, a: {}}"), ("b", "name: b")]);
        assert_eq!(problems, ["two mappings are called `a`", "two mappings are called `b`"]);
    }
}
