//! Conditions: a node of the file to a [`Condition`].

use regex::RegexBuilder;

use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{self, Bounds, Condition, Names, Scope, TESTS, Template, Test, Value};
use crate::yaml::{Entry, Kind, Node};

use super::Compiler;
use super::value::{is_path, literal_value};

/// What others call them.
const ALIASES: &[(&str, &str)] = &[
    ("regex", "re"),
    ("regexp", "re"),
    ("match", "re"),
    ("matches", "re"),
    ("pattern", "re"),
    ("gte", "ge"),
    ("min", "ge"),
    ("lte", "le"),
    ("max", "le"),
];

impl Compiler<'_> {
    /// Compiles a condition.
    pub(super) fn condition(&mut self, node: &Node, names: &Names) -> Condition {
        match &node.kind {
            Kind::List(items) => {
                Condition::Any(items.iter().map(|item| self.condition(item, names)).collect())
            }
            Kind::Map(entries) if is_clauses(entries) => {
                Condition::All(entries.iter().map(|entry| self.clause(entry, names)).collect())
            }
            Kind::Text(text) if text.value.contains("{{") || is_path(&text.value) => {
                let value = self.value(node, names);
                let fixed = match &value {
                    Template::Text(_) => {
                        let problem =
                            Diagnostic::new(Code::InvalidValue, node.span, "this condition is always true");
                        let problem = problem.label("a text that is not empty counts as true");
                        self.out.push(
                            problem
                                .help("a condition is exactly one `{{expression}}`, or a map `value: test`"),
                        );
                        None
                    }
                    // A path that could not be compiled is null too, which was told.
                    Template::Expression(expr) => expr.literal().map(Value::is_truthy),
                    _ => None,
                };
                if let Some(truth) = fixed {
                    self.never_changes(node, truth);
                }
                Condition::Truth(value)
            }
            Kind::Bool(truth) => {
                self.never_changes(node, *truth);
                Condition::Truth(Template::Literal(Value::Bool(*truth)))
            }
            Kind::Map(_) => Condition::Truth(self.value(node, names)),
            Kind::Text(text) => {
                let head = text.value.split(['.', ' ']).next().unwrap_or_default();
                let message = "this text is a literal, so the condition never changes";
                let problem = Diagnostic::new(Code::InvalidValue, node.span, message).label("always true");
                let scope = Scope::ALL.iter().any(|scope| scope.name() == head);
                self.out.push(if scope || names.has_local(head) {
                    let template = format!("\"{{{{{}}}}}\"", text.value);
                    problem.fix(node.span, template, "make it a template")
                } else {
                    problem.help("write `{$.member: value}`, a list of those, or `\"{{expression}}\"`")
                });
                Condition::Truth(Template::Literal(Value::Null))
            }
            _ => {
                let message = format!("a condition is expected, not {}", node.kind_name());
                let problem = Diagnostic::new(Code::WrongType, node.span, message);
                self.out.push(
                    problem.help("write `{$.member: value}`, a list of those, or `\"{{expression}}\"`"),
                );
                Condition::Truth(Template::Literal(Value::Null))
            }
        }
    }

    fn never_changes(&mut self, node: &Node, truth: bool) {
        let message = format!("this condition is always {truth}");
        let problem = Diagnostic::new(Code::InvalidValue, node.span, message);
        let problem = problem.label("it depends on nothing");
        self.out.push(if truth {
            problem.help("leave it out")
        } else {
            problem.help("a condition reads something: `{$.member: value}`")
        });
    }

    pub(super) fn optional_condition(
        &mut self,
        raw: Option<&crate::spec::Raw>,
        names: &Names,
    ) -> Option<Condition> {
        raw.map(|raw| self.condition(&raw.0, names))
    }

    fn clause(&mut self, entry: &Entry, names: &Names) -> (Template, Test) {
        let value = self.text(&entry.key, names);
        if value.literal().is_some() && !is_path(&entry.key.value) && !entry.key.value.contains("{{") {
            let message = format!("`{}` is a literal, so the condition never changes", entry.key.value);
            let problem = Diagnostic::new(Code::InvalidValue, entry.key.span, message);
            let problem = problem.label("not evaluated");
            let key = entry.key.value.as_str();
            let name = key.chars().all(|c| c.is_alphanumeric() || c == '_');
            let head = key.split('.').next().unwrap_or_default();
            let scope = Scope::ALL.iter().any(|scope| scope.name() == head) || names.has_local(head);
            self.out.push(if scope {
                problem.fix(entry.key.span, format!("\"{{{{{key}}}}}\""), "make it a template")
            } else if name && names.sees(Scope::It) {
                problem.fix(entry.key.span, format!("$.{key}"), "a member of the payload is a JSONPath")
            } else {
                problem.help("write a JSONPath (`$.member`) or a template (`\"{{expression}}\"`)")
            });
        }
        (value, self.test(&entry.value, names))
    }

    fn test(&mut self, node: &Node, names: &Names) -> Test {
        match &node.kind {
            Kind::List(items) => {
                let values: Option<Vec<_>> = items.iter().map(literal_value).collect();
                if values.is_none() {
                    self.out.push(Diagnostic::new(
                        Code::InvalidValue,
                        node.span,
                        "the values of a list test must be literals",
                    ));
                }
                Test::OneOf(values.unwrap_or_default().into())
            }
            Kind::Map(entries) => self.map_test(node, entries),
            _ => Test::Equal(self.value(node, names)),
        }
    }

    fn map_test(&mut self, node: &Node, entries: &[Entry]) -> Test {
        let mut bounds = Bounds::default();
        let mut test = None;
        for entry in entries {
            let key = entry.key.value.as_str();
            match key {
                "is" => match entry.value.as_text().map(|text| text.value.as_str()) {
                    Some("present") => test = Some(Test::Present),
                    Some("absent") => test = Some(Test::Absent),
                    _ => {
                        let problem = Diagnostic::new(
                            Code::InvalidValue,
                            entry.value.span,
                            "`is` is `present` or `absent`",
                        );
                        self.out.push(problem);
                    }
                },
                "re" => test = self.regex(&entry.value).map(Test::Matches).or(test),
                "lt" | "le" | "gt" | "ge" => {
                    let bound = entry.value.to_value().to_number();
                    if bound.is_none() {
                        self.out.push(Diagnostic::new(
                            Code::WrongType,
                            entry.value.span,
                            "a number is expected",
                        ));
                    }
                    match key {
                        "lt" => bounds.lt = bound,
                        "le" => bounds.le = bound,
                        "gt" => bounds.gt = bound,
                        _ => bounds.ge = bound,
                    }
                    test = Some(Test::Bounds(bounds));
                }
                _ => {
                    let problem = Diagnostic::new(
                        Code::UnknownKey,
                        entry.key.span,
                        format!("there is no test `{key}`"),
                    );
                    let meant = ALIASES.iter().find(|(alias, _)| *alias == key).map(|(_, meant)| *meant);
                    let meant = meant
                        .or_else(|| crate::diagnostic::suggest(key, TESTS.iter().map(|known| known.name)));
                    let problem = problem.label("unknown test");
                    self.out.push(match meant {
                        Some(meant) => problem.fix(entry.key.span, meant, format!("did you mean `{meant}`?")),
                        None => problem.help(
                            "the tests are `is`, `re`, `lt`, `le`, `gt`, `ge`, a value, or a list of values",
                        ),
                    });
                }
            }
        }
        if entries.is_empty() {
            self.out.push(Diagnostic::new(Code::MissingKey, node.span, "this test says nothing"));
        }
        test.unwrap_or(Test::Present)
    }

    fn regex(&mut self, node: &Node) -> Option<regex::Regex> {
        let Some(text) = node.as_text() else {
            self.out.push(Diagnostic::new(
                Code::WrongType,
                node.span,
                "a regular expression (text) is expected",
            ));
            return None;
        };
        match RegexBuilder::new(&text.value).size_limit(1 << 20).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                let (range, why) = expression::regex_problem(&text.value, &error);
                let problem = Diagnostic::new(
                    Code::InvalidRegex,
                    text.span_of(range),
                    format!("this is not a regular expression: {why}"),
                );
                let around = why.contains("look-around") || why.contains("backreferences");
                self.out.push(if around {
                    problem
                        .help("matching takes linear time here, which look-around and back references don't")
                } else {
                    problem
                });
                None
            }
        }
    }
}

/// Whether a map says `value: test`, and is not an operator.
fn is_clauses(entries: &[Entry]) -> bool {
    entries.iter().all(|entry| !entry.key.value.starts_with('$') || is_path(&entry.key.value))
}
