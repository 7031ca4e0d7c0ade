//! How a body becomes a tree: the stages of `decode`.

use smol_str::SmolStr;

use crate::compile::Compiler;
use crate::compile::value::is_path;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Template, Value, decode as decode_charset};
use crate::plan::{Decode, Decoding, Decrypt, Stage};
use crate::spec::{self, FromNode, Raw};
use crate::yaml::{Entry, Node};

/// The stages that say more than a word.
const STAGES: &[&str] = &["form", "json", "xml", "decrypt"];

impl Compiler<'_> {
    pub(super) fn decoding(&mut self, node: &Node, names: &Names) -> Decoding {
        let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
        if nodes.is_empty() {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "`decode` has no stages");
            self.out.push(problem.help("leave it out, and the Content-Type decides; or write `none`"));
        }
        let mut decoding = Decoding::default();
        let mut before: Option<Made> = None;
        for node in nodes {
            let Some(stage) = self.stage(node, names) else {
                before = None; // it was told, and what follows from it is no news
                continue;
            };
            self.fits(&stage, before, node);
            before = Some(Made::of(&stage));
            let sealed = !decoding.sealed.is_empty() || matches!(stage, Stage::Decrypt(_));
            if sealed { decoding.sealed.push(stage) } else { decoding.open.push(stage) }
        }
        decoding
    }

    /// Whether a stage can read what the one before makes.
    fn fits(&mut self, stage: &Stage, before: Option<Made>, node: &Node) {
        let (message, help) = match (stage, before) {
            (_, None) | (Stage::Json(_) | Stage::Decrypt(_), _) => return,
            (Stage::Word(Decode::Multipart), _) => {
                ("only the first stage can be `multipart`", "its boundary is in the header of the request")
            }
            (_, Some(Made::Text)) => return,
            (_, Some(Made::Tree)) => {
                let message = "this stage reads text, and the one before makes a tree";
                (message, "JSON in a member of the tree is `{json: $.member}`")
            }
        };
        self.out.push(Diagnostic::new(Code::InvalidValue, node.span, message).help(help));
    }

    fn stage(&mut self, node: &Node, names: &Names) -> Option<Stage> {
        if node.as_text().is_some_and(|text| !is_path(&text.value) && !text.value.contains("{{")) {
            return Decode::from_node(node, self.out).map(Stage::Word);
        }
        let Some(entries) = node.as_map() else {
            if node.as_text().is_some() {
                return Some(Stage::Made(self.value(node, names)));
            }
            let message = format!("a way to decode is expected, not {}", node.kind_name());
            self.out.push(Diagnostic::new(Code::WrongType, node.span, message).help(help()));
            return None;
        };
        if entries.iter().any(|entry| entry.key.value.starts_with('$')) {
            self.words(node);
            return Some(Stage::Made(self.value(node, names)));
        }
        let known = spec::unknown_keys(entries, STAGES, "a stage", self.out);
        let [(key, entry)] = known.as_slice() else {
            let span = known.get(1).map_or(node.span, |(_, second)| second.key.span);
            if known.len() > 1 || entries.is_empty() {
                let problem = Diagnostic::new(Code::InvalidValue, span, "a stage does one thing");
                self.out.push(problem.help("write a list: `- form` and then `- {json: $.payload}`"));
            }
            return None;
        };
        self.long_stage(key, entry, names)
    }

    fn long_stage(&mut self, key: &str, entry: &Entry, names: &Names) -> Option<Stage> {
        let node = &entry.value;
        match key {
            "form" => {
                let members = node.as_map();
                let known = spec::unknown_keys(members.unwrap_or_default(), &["charset"], "`form`", self.out);
                let Some((_, charset)) = known.first() else {
                    if members.is_none_or(<[Entry]>::is_empty) {
                        let problem =
                            Diagnostic::new(Code::MissingKey, entry.key.span, "`form` needs `charset`");
                        self.out.push(problem.help("without one write the word: `decode: form`"));
                    }
                    return None;
                };
                let template = self.value(&charset.value, names);
                self.charset(&template, &charset.value);
                Some(Stage::Form(template))
            }
            "json" => Some(Stage::Json(self.value(node, names))),
            "xml" => {
                let members = node.as_map();
                let known = spec::unknown_keys(members.unwrap_or_default(), &["lists"], "`xml`", self.out);
                let Some((_, lists)) = known.first() else {
                    if members.is_none_or(<[Entry]>::is_empty) {
                        let problem =
                            Diagnostic::new(Code::MissingKey, entry.key.span, "`xml` needs `lists`");
                        self.out.push(problem.help("without them write the word: `decode: xml`"));
                    }
                    return None;
                };
                let names = Vec::<crate::yaml::Text>::from_node(&lists.value, self.out)?;
                Some(Stage::Xml(names.into_iter().map(|name| name.value).collect::<Vec<SmolStr>>()))
            }
            _ => {
                let spec = spec::Decrypt::from_node(node, self.out)?;
                let mut value = |raw: &Raw| self.value(&raw.0, names);
                Some(Stage::Decrypt(Box::new(Decrypt {
                    key: value(&spec.key),
                    data: value(&spec.data),
                    receiver: spec.receiver.as_ref().map(value),
                })))
            }
        }
    }

    /// A charset that is written out must be one.
    fn charset(&mut self, template: &Template, node: &Node) {
        let Some(literal) = template.literal() else { return };
        let name = literal.to_text().to_lowercase();
        if !matches!(literal, Value::Text(_)) || (name != "bytes" && decode_charset(&[], &name).is_err()) {
            let message = format!("there is no charset `{name}`");
            let problem = Diagnostic::new(Code::InvalidValue, node.span, message);
            self.out
                .push(problem.help("write `bytes` to decode by yourself, or a name such as `iso-8859-1`"));
        }
    }

    /// Every word that a value can be must be a way to decode.
    fn words(&mut self, node: &Node) {
        if let Some(text) = node.as_text() {
            if !is_path(&text.value) && !text.value.contains("{{") {
                let _ = Decode::from_node(node, self.out);
            }
            return;
        }
        if let Some(items) = node.get("$first").and_then(Node::as_list) {
            items.iter().for_each(|item| self.words(item));
        }
        let branches = node.as_map().unwrap_or_default().iter().filter(|entry| {
            let key = entry.key.value.as_str();
            matches!(key, "$then" | "$else" | "$default")
                || (node.get("$switch").is_some() && key != "$switch")
        });
        branches.for_each(|branch| self.words(&branch.value));
    }
}

/// What a stage makes.
#[derive(Clone, Copy)]
enum Made {
    Text,
    Tree,
}

impl Made {
    fn of(stage: &Stage) -> Self {
        match stage {
            // What a value makes is known when it is made.
            Stage::Word(Decode::Text) | Stage::Made(_) | Stage::Decrypt(_) => Self::Text,
            _ => Self::Tree,
        }
    }
}

fn help() -> String {
    let words: Vec<_> = Decode::WORDS.iter().map(|word| format!("`{word}`")).collect();
    format!("write one of {}, a value that makes one, or a list of stages", words.join(", "))
}
