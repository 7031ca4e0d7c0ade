//! Tags and raw text to the pieces of a template: conditions, loops, expressions.

use std::ops::Range;

use super::DEEPEST;
use super::expression::Parser;
use super::scan::{Tag, TagKind};
use crate::expression::expr::Expr;
use crate::expression::problem::{Problem, ProblemKind};
use crate::expression::scope::{Names, Scope};
use crate::expression::text::{Arm, Piece, Text};

/// Puts tags and raw text together into blocks.
pub(super) struct Blocks<'s, 'n> {
    pub(super) source: &'s str,
    pub(super) names: &'n Names,
    pub(super) tags: &'s [Tag],
    pub(super) raws: &'s [Range<usize>],
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) problems: &'n mut Vec<Problem>,
}

impl<'s> Blocks<'s, '_> {
    /// Pieces up to a tag that ends the body, and that tag.
    pub(super) fn body(&mut self) -> (Text, Option<&'s Tag>) {
        let mut pieces = Vec::new();
        loop {
            let raw =
                self.raws.get(self.at).and_then(|range| self.source.get(range.clone())).unwrap_or_default();
            if !raw.is_empty() {
                pieces.push(Piece::Raw(raw.replace("\\{{", "{{")));
            }
            let Some(tag) = self.tags.get(self.at) else { return (Text(pieces), None) };
            self.at += 1;
            match tag.kind {
                TagKind::Comment => {}
                TagKind::Put => pieces.extend(self.expression(tag.inner.clone()).map(Piece::Put)),
                TagKind::Open => pieces.extend(self.block(tag)),
                TagKind::Close | TagKind::Else => return (Text(pieces), Some(tag)),
            }
        }
    }

    fn expression(&mut self, range: Range<usize>) -> Option<Expr> {
        Parser { source: self.source, at: range.start, end: range.end, depth: 0, names: self.names }
            .whole()
            .map_err(|problem| self.problems.push(problem))
            .ok()
    }

    fn block(&mut self, tag: &Tag) -> Option<Piece> {
        let inner = self.source.get(tag.inner.clone()).unwrap_or_default();
        let name = inner.split_whitespace().next().unwrap_or_default();
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("blocks are nested deeper than {DEEPEST}");
            self.problems.push(Problem::new(ProblemKind::Size, tag.range.clone(), message));
            self.at = self.tags.len();
            return None;
        }
        let piece = match name {
            "if" | "unless" => self.choose(tag, name),
            "each" => self.each(tag),
            _ => {
                let start = tag.inner.start + inner.find(name).unwrap_or(0);
                let problem =
                    Problem::new(ProblemKind::Helper, start..start + name.len(), "there is no such block");
                let known = ["if", "unless", "each"];
                let problem = problem.label("unknown block");
                self.problems.push(match crate::diagnostic::suggest(name, known) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
                    None => problem.help("the blocks are `if`, `unless` and `each`"),
                });
                let (_, end) = self.body();
                self.closed(tag, name, end);
                None
            }
        };
        self.depth -= 1;
        piece
    }

    /// The expression behind the name of a block, as in `{{#if THIS}}`.
    fn operand(&mut self, range: Range<usize>, name: &str) -> Option<Expr> {
        let inner = self.source.get(range.clone()).unwrap_or_default();
        let start = range.start + inner.find(name).unwrap_or(0) + name.len();
        if self.source.get(start..range.end).is_none_or(|rest| rest.trim().is_empty()) {
            let problem = Problem::new(ProblemKind::Template, range, format!("`{name}` needs an expression"));
            self.problems.push(problem.help(format!("for example `{{{{#{name} message.text}}}}`")));
            return None;
        }
        Parser { source: self.source, at: start, end: range.end, depth: 0, names: self.names }
            .operand_only()
            .map_err(|problem| self.problems.push(problem))
            .ok()
    }

    fn choose(&mut self, tag: &Tag, name: &str) -> Option<Piece> {
        let mut arms = Vec::new();
        let mut when = self.operand(tag.inner.clone(), name).map(|expr| (expr, name == "if"));
        let mut sound = when.is_some();
        loop {
            let (body, end) = self.body();
            arms.push(Arm { when: when.take(), body });
            match end {
                Some(end) if end.kind == TagKind::Else => {
                    let inner = self.source.get(end.inner.clone()).unwrap_or_default();
                    match inner.split_whitespace().next() {
                        None => {}
                        Some(word @ ("if" | "unless")) => {
                            when = self.operand(end.inner.clone(), word).map(|expr| (expr, word == "if"));
                            sound &= when.is_some();
                        }
                        Some(_) => {
                            let problem =
                                Problem::new(ProblemKind::Template, end.inner.clone(), "not an `else` arm");
                            self.problems.push(problem.help("write `{{else}}` or `{{else if ..}}`"));
                            sound = false;
                        }
                    }
                }
                end => {
                    self.closed(tag, name, end);
                    return sound.then_some(Piece::Choose(arms));
                }
            }
        }
    }

    fn each(&mut self, tag: &Tag) -> Option<Piece> {
        let list = self.operand(tag.inner.clone(), "each");
        let names = self.names.with(&[Scope::It]);
        let (body, mut end) = {
            let mut inner = Blocks {
                source: self.source,
                names: &names,
                tags: self.tags,
                raws: self.raws,
                at: self.at,
                depth: self.depth,
                problems: self.problems,
            };
            let result = inner.body();
            self.at = inner.at;
            result
        };
        let mut otherwise = Text::default();
        if end.is_some_and(|end| end.kind == TagKind::Else) {
            (otherwise, end) = self.body();
        }
        self.closed(tag, "each", end);
        Some(Piece::Each { list: list?, body, otherwise })
    }

    fn closed(&mut self, open: &Tag, name: &str, end: Option<&Tag>) {
        let problem = |range, message: String| Problem::new(ProblemKind::Template, range, message);
        match end {
            None => self.problems.push(
                problem(open.range.clone(), "this block is never closed".into())
                    .label("opened here")
                    .help(format!("close it with `{{{{/{name}}}}}`")),
            ),
            Some(end) => {
                let found = self.source.get(end.inner.clone()).unwrap_or_default().trim();
                if end.kind == TagKind::Else {
                    self.problems.push(problem(end.range.clone(), "a second `{{else}}` in one block".into()));
                } else if found != name {
                    let start = end.inner.clone();
                    self.problems.push(
                        problem(
                            start,
                            format!("`{{{{/{found}}}}}` closes a block that was opened as `{name}`"),
                        )
                        .replace(name),
                    );
                }
            }
        }
    }
}
