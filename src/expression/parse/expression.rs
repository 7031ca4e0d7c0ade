//! One expression: literals, paths, helpers with their arguments.

use std::ops::Range;

use smol_str::SmolStr;

use super::DEEPEST;
use super::resolve::{build, scope_of, unknown_helper};
use crate::expression::expr::Expr;
use crate::expression::helper;
use crate::expression::problem::{Problem, ProblemKind};
use crate::expression::scope::Names;
use crate::expression::value::Value;

/// Reads one expression.
pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) depth: usize,
    pub(super) names: &'a Names,
}

impl Parser<'_> {
    /// A helper with its arguments, or one operand; nothing may follow.
    pub(super) fn whole(mut self) -> Result<Expr, Problem> {
        self.blank();
        if self.rest().is_empty() {
            let at = self.at.saturating_sub(2)..(self.end + 2).min(self.source.len());
            return Err(Problem::new(ProblemKind::Template, at, "this template tag is empty"));
        }
        let expr = self.call()?;
        self.nothing_left(expr)
    }

    pub(super) fn operand_only(mut self) -> Result<Expr, Problem> {
        self.blank();
        let expr = self.operand()?;
        self.nothing_left(expr)
    }

    fn nothing_left(mut self, expr: Expr) -> Result<Expr, Problem> {
        self.blank();
        match self.rest() {
            "" => Ok(expr),
            rest => {
                let word = rest.split_whitespace().next().unwrap_or(rest);
                let range = self.at..self.at + word.len();
                let problem = Problem::new(ProblemKind::Template, range, "one expression is expected here");
                Err(problem
                    .label("this is too much")
                    .help("a helper's arguments stand behind its name; nested calls in parentheses"))
            }
        }
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn unexpected(&self, c: char) -> Problem {
        let range = self.at..self.at + c.len_utf8();
        let problem =
            Problem::new(ProblemKind::Template, range, format!("`{c}` does not belong in an expression"));
        match c {
            '+' | '-' | '*' | '<' | '>' | '!' | '&' | '?' | '=' | '|' | '/' | '%' => {
                problem.help("there are no operators in templates; use helpers: `(add a b)`, `(gt a b)`, `(and a b)`, `(not a)`")
            }
            '$' => problem.help("a JSONPath stands alone as a value; in a template write `it.member`"),
            '{' => problem.help("nested calls stand in parentheses, not in braces"),
            _ => problem,
        }
    }

    /// `helper arg arg name=arg`, or one operand.
    fn call(&mut self) -> Result<Expr, Problem> {
        let start = self.at;
        if !self.peek().is_some_and(starts_name) {
            return self.operand();
        }
        let (head, range) = self.path_text()?;
        self.blank();
        let more = self.peek().is_some_and(|c| c != ')');
        if !more {
            return self.resolve(&head, range);
        }
        if let Some(c) = self.peek().filter(|c| "+*<>!&?=|/%".contains(*c)) {
            return Err(self.unexpected(c));
        }
        if self.rest().starts_with("- ") {
            return Err(self.unexpected('-'));
        }
        let name = match head.as_slice() {
            [name] if helper::find(name).is_some() => name.clone(),
            [name] if self.names.local(name).is_none() && scope_of(name).is_none() => {
                return Err(unknown_helper(name, range));
            }
            _ => {
                let problem =
                    Problem::new(ProblemKind::Template, self.at..self.end, "only a helper takes arguments");
                let text = self.source.get(start..range.end).unwrap_or_default();
                return Err(problem
                    .label(format!("`{text}` is a value"))
                    .help("join values with `concat`, or put each into its own `{{..}}`"));
            }
        };
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        loop {
            self.blank();
            match self.peek() {
                None | Some(')') => break,
                _ => match self.argument_name() {
                    Some((name, range)) => {
                        self.blank();
                        let value = self.operand()?;
                        named.push((name, range, value));
                    }
                    None => {
                        let from = self.at;
                        let value = self.operand()?;
                        positional.push((from..self.at, value));
                    }
                },
            }
        }
        build(&name, range, positional, named)
    }

    /// `name=` before an argument.
    fn argument_name(&mut self) -> Option<(SmolStr, Range<usize>)> {
        let rest = self.rest();
        let len = rest.find(|c: char| !continues_name(c)).unwrap_or(rest.len());
        let name = rest.get(..len).filter(|name| name.starts_with(|c| starts_name(c) && c != '@'))?;
        let behind = rest.get(len..)?;
        if !behind.starts_with('=') {
            return None;
        }
        let (name, start) = (SmolStr::new(name), self.at);
        self.at += len + 1;
        Some((name, start..start + len))
    }

    fn operand(&mut self) -> Result<Expr, Problem> {
        let Some(c) = self.peek() else {
            let at = self.at.min(self.source.len());
            return Err(Problem::new(ProblemKind::Template, at..at, "an expression is missing here"));
        };
        match c {
            '(' => {
                let open = self.at;
                self.depth += 1;
                if self.depth > DEEPEST {
                    let message = format!("parentheses are nested deeper than {DEEPEST}");
                    return Err(Problem::new(ProblemKind::Size, open..open + 1, message));
                }
                self.at += 1;
                self.blank();
                let expr = self.call()?;
                self.blank();
                if self.peek() != Some(')') {
                    let problem = Problem::new(
                        ProblemKind::Template,
                        open..open + 1,
                        "this parenthesis is never closed",
                    );
                    return Err(problem.label("opened here").help("close it with `)`"));
                }
                self.at += 1;
                self.depth -= 1;
                Ok(expr)
            }
            '\'' | '"' => self.string(c),
            c if c.is_ascii_digit()
                || (c == '-'
                    && self.rest().get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))) =>
            {
                self.number()
            }
            c if starts_name(c) => {
                let (path, range) = self.path_text()?;
                self.resolve(&path, range)
            }
            c => Err(self.unexpected(c)),
        }
    }

    fn string(&mut self, quote: char) -> Result<Expr, Problem> {
        let start = self.at;
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            if escaped {
                escaped = false;
                match c {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    '\\' | '\'' | '"' => text.push(c),
                    // Any other escape is for the regular expression that the text may be.
                    other => text.extend(['\\', other]),
                }
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                self.at = start + at + 1;
                return Ok(Expr::Literal(Value::from(text)));
            } else {
                text.push(c);
            }
        }
        let problem = Problem::new(ProblemKind::Template, start..start + 1, "this text is never closed");
        Err(problem.label("opened here").help(format!("close it with {quote}")))
    }

    fn number(&mut self) -> Result<Expr, Problem> {
        let rest = self.rest();
        let len = rest
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && *c == '-')))
            .map_or(rest.len(), |(at, _)| at);
        let (text, start) = (rest.get(..len).unwrap_or_default(), self.at);
        let value = text.parse().map(Value::Int).ok().or_else(|| text.parse().ok().map(Value::Float));
        let next = rest.get(len..).and_then(|rest| rest.chars().next());
        match value {
            Some(value) if !next.is_some_and(continues_name) => {
                self.at += len;
                Ok(Expr::Literal(value))
            }
            _ => {
                let end = start + rest.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(rest.len());
                let problem = Problem::new(ProblemKind::Template, start..end, "this is not a number");
                Err(problem.help("put text into quotes"))
            }
        }
    }

    /// The segments of a path like `it.a.[b c].0`, and its range.
    fn path_text(&mut self) -> Result<(Vec<SmolStr>, Range<usize>), Problem> {
        let start = self.at;
        let mut segments = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('[') {
                let Some(close) = rest.find(']') else {
                    let problem = Problem::new(
                        ProblemKind::Template,
                        self.at..self.at + 1,
                        "this bracket is never closed",
                    );
                    return Err(problem.label("opened here"));
                };
                segments.push(SmolStr::new(rest.get(1..close).unwrap_or_default()));
                self.at += close + 1;
            } else {
                let len = rest
                    .char_indices()
                    .find(|(at, c)| !(continues_name(*c) || (*at == 0 && *c == '@')))
                    .map_or(rest.len(), |(at, _)| at);
                if len == 0 {
                    let problem = Problem::new(
                        ProblemKind::Template,
                        self.at.saturating_sub(1)..self.at,
                        "a member's name is expected behind the dot",
                    );
                    return Err(
                        problem.help("a name with blanks or dots stands in brackets: `it.[first name]`")
                    );
                }
                segments.push(SmolStr::new(rest.get(..len).unwrap_or_default()));
                self.at += len;
            }
            match self.peek() {
                Some('.') => self.at += 1,
                Some('/') => return Err(self.unexpected('/').help("members are separated by dots")),
                _ => return Ok((segments, start..self.at)),
            }
        }
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '@' || c == '['
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}
