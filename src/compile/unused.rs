//! Names that nothing reads.
//!
//! A name is only called unused where that is certain: in a file with errors, what reads it may be what could
//! not be compiled.

use super::{Compiler, Named};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::Names;
use crate::yaml::{Kind, Node, Text};

impl Compiler<'_> {
    /// Gives a `let` name a slot, and keeps in mind to ask whether anything reads it.
    pub(super) fn bind(&mut self, what: &'static str, name: &Text, names: &mut Names) -> usize {
        let slot = names.bind(&name.value);
        self.named.push(Named { what, name: name.clone(), read: names.read_of(slot) });
        slot
    }

    /// Warns of each name that nothing reads.
    pub(super) fn unused(&mut self, root: &Node) {
        let unread: Vec<&Named> = self.named.iter().filter(|named| !named.read.is_read()).collect();
        let certain = !self.out.has_errors();
        let mut found = Vec::new();
        for Named { what, name, .. } in unread {
            let meant = |problem: &Diagnostic| {
                problem.fix.as_ref().is_some_and(|fix| fix.replacement == name.value.as_str())
            };
            if !certain && (mentions(root, name) || self.out.iter().any(meant)) {
                continue;
            }
            let message = format!("nothing reads the {what} `{}`", name.value);
            let problem = Diagnostic::new(Code::UnusedName, name.span, message).label("never read");
            let help = match *what {
                "call" => format!("use it with `{{$call: {}, ..}}`, or remove it", name.value),
                "poll" => {
                    format!("add `every:`, ask for it with `poll: {}` in a rule, or remove it", name.value)
                }
                "table" => format!("read it with `{{$table: {}, key: ..}}`, or remove it", name.value),
                "config item" => format!("read it as `{{{{config.{}}}}}`, or remove it", name.value),
                "deployment item" => format!("read it as `{{{{deployment.{}}}}}`, or remove it", name.value),
                _ => format!("read it as `{{{{{}}}}}`, or remove it", name.value),
            };
            found.push(problem.help(help));
        }
        self.out.extend(found);
    }
}

/// Whether any other text of the file has that word in it.
fn mentions(node: &Node, name: &Text) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let has = |text: &Text| {
        text.span != name.span && text.value.split(|c| !word(c)).any(|found| found == name.value)
    };
    match &node.kind {
        Kind::Text(text) => has(text),
        Kind::List(items) => items.iter().any(|item| mentions(item, name)),
        Kind::Map(entries) => entries
            .iter()
            .any(|entry| (entry.key.value.contains("{{") && has(&entry.key)) || mentions(&entry.value, name)),
        _ => false,
    }
}
