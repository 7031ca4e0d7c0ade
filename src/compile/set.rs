//! `set`: constants, which every expression of the mapping sees by name.

use super::value::literal_value;
use super::{Compiler, Named};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Constant, Read};
use crate::spec;
use crate::yaml::Text;

impl Compiler<'_> {
    /// Reads the constants, before anything can name them.
    pub(super) fn set(&mut self, spec: &spec::Mapping) {
        if spec.shape.is_unread("set") {
            self.constants = None;
            return;
        }
        let mut constants = Vec::new();
        for (name, spec::Raw(node)) in &spec.set.0 {
            self.reserved(name);
            let value = literal_value(node).unwrap_or_else(|| {
                let message = format!("`{}` is a constant, so nothing in it is evaluated", name.value);
                let problem =
                    Diagnostic::new(Code::InvalidValue, node.span, message).label("not a fixed value");
                self.out.push(problem.help("a `let` names a value that is made"));
                node.to_value()
            });
            let read = Read::default();
            self.named.push(Named { what: "constant", name: name.clone(), read: read.clone() });
            constants.push(Constant { name: name.value.clone(), value, read });
        }
        self.constants = Some(constants);
    }

    /// Reports a name that a constant has.
    pub(super) fn taken(&mut self, name: &Text) {
        let constant = |named: &&Named| named.what == "constant" && named.name.value == name.value;
        if let Some(first) = self.named.iter().find(constant) {
            let message = format!("`{}` is a constant of the mapping", name.value);
            let problem = Diagnostic::new(Code::DuplicateName, name.span, message).label("the second");
            self.out.push(problem.secondary(first.name.span, "the first").help("choose another name"));
        }
    }
}
