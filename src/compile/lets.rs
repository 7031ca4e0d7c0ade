//! Names that a mapping gives to values.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Scope};
use crate::plan::Lets;
use crate::spec::{Map, Raw};
use crate::yaml::Text;

impl Compiler<'_> {
    /// `let` names: compiles each with those before it.
    pub(super) fn lets(&mut self, lets: &Map<Raw>, names: &mut Names) -> Lets {
        let base = names.depth();
        let mut values = Vec::new();
        for (name, raw) in &lets.0 {
            self.reserved(name);
            values.push(self.value(&raw.0, names));
            self.bind("name", name, names);
        }
        Lets { base, values }
    }

    /// A name must not be that of a scope, nor of a constant.
    pub(super) fn reserved(&mut self, name: &Text) {
        self.taken(name);
        if let Some(scope) = Scope::ALL.iter().find(|scope| scope.name() == name.value) {
            let message = format!("`{}` has a meaning already", scope.name());
            let problem = Diagnostic::new(Code::InvalidValue, name.span, message);
            let problem = problem.label(scope.about().trim_end_matches('.').to_lowercase());
            self.out.push(problem.help("choose another name"));
        }
    }
}
