//! Values: a node of the file to a [`Template`].

use crate::diagnostic::{Code, Diagnostic, Span, suggest};
use crate::expression::{
    Choice, Each, Escape, Key, Mark, Names, OPERATORS, Pattern, Problem, ProblemKind, Query, Render, Scope,
    Switch, Template, Text as TemplateText, Value, parse_template, render_problem,
};
use crate::plan::Branch;
use crate::yaml::{Entry, Kind, Node, Text};

use smol_str::SmolStr;

use super::Compiler;

/// Whether a text is a JSONPath.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with("$.") || text.starts_with("$[")
}

/// The value of a node in which nothing is evaluated; none if something is.
pub(super) fn literal_value(node: &Node) -> Option<Value> {
    fn plain(node: &Node) -> bool {
        match &node.kind {
            Kind::Text(text) => !is_path(&text.value) && !text.value.contains("{{"),
            Kind::List(items) => items.iter().all(plain),
            Kind::Map(entries) => {
                entries.iter().all(|entry| !entry.key.value.starts_with('$') && plain(&entry.value))
            }
            _ => true,
        }
    }
    plain(node).then(|| node.to_value())
}

impl Compiler<'_> {
    /// Compiles a value; what can't be compiled is reported and becomes null.
    pub(super) fn value(&mut self, node: &Node, names: &Names) -> Template {
        match &node.kind {
            Kind::Text(text) => self.text(text, names),
            Kind::List(items) => {
                let made: Vec<_> = items.iter().map(|item| self.value(item, names)).collect();
                match made.iter().map(|item| item.literal().cloned()).collect::<Option<Vec<_>>>() {
                    Some(values) => Template::Literal(Value::list(values)),
                    None => Template::List(made.into()),
                }
            }
            Kind::Map(entries) => self.map(node, entries, names),
            _ => Template::Literal(node.to_value()),
        }
    }

    /// Compiles a text: a path, a template or a literal.
    pub(super) fn text(&mut self, text: &Text, names: &Names) -> Template {
        if is_path(&text.value) {
            if !self.sees_it(text.span, names) {
                return Template::Literal(Value::Null);
            }
            return match Query::compile(&text.value) {
                Ok(query) => Template::Path(query),
                Err(problem) => {
                    self.report(text, &problem);
                    Template::Literal(Value::Null)
                }
            };
        }
        if !text.value.contains("{{") {
            return Template::Literal(Value::Text(text.value.clone()));
        }
        let compiled = self.template_text(text, names);
        match (compiled.lone(), compiled.literal()) {
            (Some(expr), _) => Template::Expression(expr.clone()),
            (None, Some(literal)) => Template::Literal(Value::text(literal)),
            (None, None) => Template::Text(compiled),
        }
    }

    fn template_text(&mut self, text: &Text, names: &Names) -> TemplateText {
        let mut problems = Vec::new();
        let compiled = parse_template(&text.value, names, &mut problems);
        for problem in &problems {
            self.report(text, problem);
        }
        compiled
    }

    fn sees_it(&mut self, span: Span, names: &Names) -> bool {
        let sees = names.sees(Scope::It);
        if !sees {
            let problem =
                Diagnostic::new(Code::UnknownName, span, "there is no current node here for a JSONPath");
            self.out.push(problem.help("name the value in a template, as in `{{message.text}}`"));
        }
        sees
    }

    fn report(&mut self, text: &Text, problem: &Problem) {
        let code = match problem.kind {
            ProblemKind::Path => Code::InvalidJsonpath,
            ProblemKind::Template => Code::InvalidTemplate,
            ProblemKind::Name => Code::UnknownName,
            ProblemKind::Helper => Code::UnknownHelper,
            ProblemKind::Arguments => Code::WrongArguments,
            ProblemKind::Config => Code::UndeclaredConfig,
            ProblemKind::Regex => Code::InvalidRegex,
            ProblemKind::Size => Code::TooLarge,
        };
        let mut diagnostic =
            Diagnostic::new(code, text.span_of(problem.range.clone()), problem.message.clone())
                .label(problem.label.clone());
        if let Some((range, replacement)) = &problem.replacement {
            let message = problem.help.clone().unwrap_or_else(|| format!("write `{replacement}`"));
            diagnostic = diagnostic.fix(text.span_of(range.clone()), replacement.clone(), message);
        } else if let Some(help) = &problem.help {
            diagnostic = diagnostic.help(help.clone());
        }
        self.out.push(diagnostic);
    }

    fn map(&mut self, node: &Node, entries: &[Entry], names: &Names) -> Template {
        let operator =
            entries.iter().find(|entry| entry.key.value.starts_with('$') && !is_path(&entry.key.value));
        if let Some(entry) = operator {
            return self.operator(node, entries, entry, names);
        }
        let members: Vec<(Key, Template)> = entries
            .iter()
            .map(|entry| {
                let key = if entry.key.value.contains("{{") {
                    Key::Made(self.template_text(&entry.key, names))
                } else {
                    Key::Fixed(entry.key.value.clone())
                };
                (key, self.value(&entry.value, names))
            })
            .collect();
        let literal = members.iter().map(|(key, template)| match (key, template.literal()) {
            (Key::Fixed(key), Some(value)) => Some((key.clone(), value.clone())),
            _ => None,
        });
        match literal.collect::<Option<Vec<_>>>() {
            Some(members) => Template::Literal(Value::map(members)),
            None => Template::Map(members.into()),
        }
    }

    fn operator(&mut self, node: &Node, entries: &[Entry], first: &Entry, names: &Names) -> Template {
        let main = entries.iter().find(|entry| OPERATORS.iter().any(|known| entry.key.value == known.name));
        let key = first.key.value.as_str();
        let meant = suggest(key, OPERATORS.iter().map(|known| known.name)).filter(|_| main.is_none());
        let Some((main, operator)) =
            main.map(|main| (main, main.key.value.as_str())).or(meant.map(|meant| (first, meant)))
        else {
            let problem = Diagnostic::new(
                Code::UnknownOperator,
                first.key.span,
                format!("there is no operator `{key}`"),
            );
            let list: Vec<_> = OPERATORS.iter().map(|known| format!("`{}`", known.name)).collect();
            let problem = problem.label("unknown operator");
            let problem = problem.help(format!("the operators are {}", list.join(", ")));
            self.out.push(
                problem.help(format!("a member that is called `{key}` is written `\"{{{{'{key}'}}}}\"`")),
            );
            return Template::Literal(Value::Null);
        };
        if meant.is_some() {
            // What was meant is judged too.
            let problem = Diagnostic::new(
                Code::UnknownOperator,
                main.key.span,
                format!("there is no operator `{key}`"),
            );
            self.out.push(problem.label("unknown operator").fix(
                main.key.span,
                operator,
                format!("did you mean `{operator}`?"),
            ));
        }
        let companions =
            OPERATORS.iter().find(|known| known.name == operator).map_or(&[][..], |known| known.with);
        for entry in entries {
            let key = entry.key.value.as_str();
            let free = operator == "$switch" || (operator == "$call" && !key.starts_with('$'));
            if !std::ptr::eq(entry, main) && !companions.contains(&key) && !free {
                let message = format!("`{key}` can't stand beside `{operator}`");
                let problem =
                    Diagnostic::new(Code::UnknownOperator, entry.key.span, message).label("not here");
                let problem = problem.secondary(main.key.span, "an operator is the only one in its map");
                self.out.push(problem.did_you_mean(key, companions.iter().copied()));
            }
        }
        // A companion that is mistyped was told, and is read as what was meant.
        let get = |name: &str| {
            let mistyped = |entry: &&Entry| {
                let key = entry.key.value.as_str();
                !companions.contains(&key) && suggest(key, companions.iter().copied()) == Some(name)
            };
            let mistyped = || entries.iter().filter(|entry| !std::ptr::eq(*entry, main)).find(mistyped);
            node.get(name).or_else(|| mistyped().map(|entry| &entry.value))
        };
        match operator {
            "$first" => Template::First(self.items(&main.value, names).into()),
            "$merge" => Template::Merge(self.items(&main.value, names).into()),
            "$if" => {
                self.needs(main, get("$then"), "$then");
                Template::If(Box::new(Choice {
                    when: self.value(&main.value, names),
                    then: self.optional(get("$then"), names),
                    otherwise: self.optional(get("$else"), names),
                    marks: [self.branch("$then", get("$then")), self.branch("$else", get("$else"))],
                }))
            }
            "$switch" => {
                let cases: Vec<&Entry> = entries
                    .iter()
                    .filter(|entry| !std::ptr::eq(*entry, main) && entry.key.value != "$default")
                    .collect();
                cases.iter().for_each(|case| self.fixed_case(&case.key));
                if cases.is_empty() {
                    let problem =
                        Diagnostic::new(Code::MissingKey, main.key.span, "this `$switch` has no cases");
                    self.out
                        .push(problem.help("write `value: result` beside it; `$default` is for the rest"));
                }
                Template::Switch(Box::new(Switch {
                    on: self.value(&main.value, names),
                    marks: cases.iter().map(|case| self.branch("case", Some(&case.value))).collect(),
                    mark: self.branch("$default", get("$default")),
                    cases: cases
                        .into_iter()
                        .map(|entry| (Pattern::parse(&entry.key.value), self.value(&entry.value, names)))
                        .collect(),
                    otherwise: self.optional(get("$default"), names),
                }))
            }
            "$table" => self.look_up(main, get("key"), names),
            "$call" => self.call_use(main, entries, (get("$when"), get("$on_error")), names),
            "$each" => {
                self.needs(main, get("$do"), "$do");
                let list = self.value(&main.value, names);
                let mut inner = names.with(&[Scope::It]);
                let slot = get("$as").and_then(Node::as_text).map(|name| {
                    self.reserved(name);
                    self.bind("item", name, &mut inner)
                });
                Template::Each(Box::new(Each { list, slot, body: self.optional(get("$do"), &inner) }))
            }
            "$flat" => Template::Flat(Box::new(self.value(&main.value, names))),
            "$json" => Template::Json(Box::new(self.value(&main.value, names))),
            "$render" => {
                self.needs(main, get("vars"), "vars");
                self.needs(main, get("escape"), "escape");
                Template::Render(Box::new(Render {
                    source: self.value(&main.value, names),
                    vars: self.render_vars(get("vars"), names),
                    escape: self.render_escape(get("escape"), names),
                }))
            }
            _ => Template::Keep(Box::new(self.value(&main.value, names))),
        }
    }

    /// The mark of a branch; one that is not written can't be told to be unreached.
    fn branch(&mut self, what: &'static str, node: Option<&Node>) -> Mark {
        let mark = Mark::default();
        let branch = node.map(|node| Branch { what, span: node.span, mark: mark.clone() });
        self.branches.extend(branch);
        mark
    }

    /// What a template that is data may name: written out, so that an empty value is told from an unknown name.
    fn render_vars(&mut self, node: Option<&Node>, names: &Names) -> Vec<(SmolStr, Template)> {
        let Some(node) = node else { return Vec::new() };
        let Some(entries) = node.as_map() else {
            let problem = Diagnostic::new(Code::WrongType, node.span, "`vars` is a map of names and values");
            let problem = problem.label(format!("this is {}", node.kind_name()));
            self.out.push(problem.help("write the names here; a YAML alias (`&vars`, `*vars`) repeats them"));
            return Vec::new();
        };
        let mut vars = Vec::new();
        for entry in entries {
            let name = &entry.key.value;
            if render_problem(&format!("{{{{{name}}}}}")).is_some() {
                let message = format!("`{name}` can't be a name in a template");
                let problem = Diagnostic::new(Code::InvalidValue, entry.key.span, message);
                self.out
                    .push(problem.help("a name has letters, digits, `_` and `-`, and begins with a letter"));
            }
            vars.push((name.clone(), self.value(&entry.value, names)));
        }
        vars
    }

    fn render_escape(&mut self, node: Option<&Node>, names: &Names) -> Template {
        let escape = self.optional(node, names);
        if let (Some(node), Some(word)) = (node, escape.literal()) {
            let word = word.to_text();
            if Escape::of(&word).is_none() {
                let message = format!("there is no way `{word}` to escape");
                let problem = Diagnostic::new(Code::InvalidValue, node.span, message);
                let words: Vec<_> = Escape::WORDS.iter().map(|word| format!("`{word}`")).collect();
                let problem = problem.did_you_mean(&word, Escape::WORDS.iter().copied());
                self.out.push(problem.help(format!("there are {}, and MIME types", words.join(", "))));
            }
        }
        escape
    }

    /// A case is compared with what its key says, to the letter.
    fn fixed_case(&mut self, key: &Text) {
        let why = if key.value.contains("{{") {
            "a template"
        } else if is_path(&key.value) {
            "a JSONPath"
        } else if key.value.starts_with('$') {
            let message = format!("`{}` can't stand beside `$switch`", key.value);
            let problem = Diagnostic::new(Code::UnknownOperator, key.span, message).label("not a case");
            self.out.push(problem.did_you_mean(&key.value, ["$default"]));
            return;
        } else {
            return;
        };
        let message = format!("a case of `$switch` is a fixed text, not {why}");
        let problem = Diagnostic::new(Code::InvalidValue, key.span, message).label("never evaluated");
        self.out.push(problem.help("compare values that change with `$if: \"{{eq a b}}\"`"));
    }

    fn optional(&mut self, node: Option<&Node>, names: &Names) -> Template {
        node.map_or(Template::Literal(Value::Null), |node| self.value(node, names))
    }

    fn needs(&mut self, main: &Entry, found: Option<&Node>, key: &str) {
        if found.is_none() {
            let message = format!("`{}` needs `{key}`", main.key.value);
            self.out.push(Diagnostic::new(Code::MissingKey, main.key.span, message));
        }
    }

    fn items(&mut self, node: &Node, names: &Names) -> Vec<Template> {
        match node.as_list() {
            Some(items) => items.iter().map(|item| self.value(item, names)).collect(),
            None => {
                let problem = Diagnostic::new(Code::WrongType, node.span, "this operator takes a list");
                self.out.push(problem.label(format!("this is {}", node.kind_name())));
                Vec::new()
            }
        }
    }

    fn look_up(&mut self, main: &Entry, key: Option<&Node>, names: &Names) -> Template {
        self.needs(main, key, "key");
        let key = self.optional(key, names);
        let Some(name) = main.value.as_text() else {
            let problem =
                Diagnostic::new(Code::WrongType, main.value.span, "`$table` takes the name of a table");
            self.out.push(problem);
            return Template::Literal(Value::Null);
        };
        let Some(tables) = &self.tables else { return Template::Literal(Value::Null) };
        if let Some(table) = tables.get(&name.value) {
            table.read.mark();
            return Template::Table(table.table.clone(), Box::new(key));
        }
        if name.value.contains("{{") || is_path(&name.value) {
            let message = "the name of a table is a fixed text";
            let problem = Diagnostic::new(Code::UnknownTable, name.span, message).label("never evaluated");
            self.out.push(problem.help("choose between tables with `$switch`"));
            return Template::Literal(Value::Null);
        }
        let mut known: Vec<String> = tables.keys().map(ToString::to_string).collect();
        known.sort();
        let problem =
            Diagnostic::new(Code::UnknownTable, name.span, format!("there is no table `{}`", name.value));
        let problem = if known.is_empty() {
            problem.help("the mapping has no `tables:`")
        } else if suggest(&name.value, known.iter().map(String::as_str)).is_some() {
            problem
        } else {
            let list: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            problem.help(format!("the tables are {}", list.join(", ")))
        };
        let problem =
            problem.label("not under `tables:`").did_you_mean(&name.value, known.iter().map(String::as_str));
        self.out.push(problem);
        Template::Literal(Value::Null)
    }
}
