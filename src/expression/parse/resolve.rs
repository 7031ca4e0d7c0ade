//! What names mean: scopes, `let` names and helpers, with a suggestion where there is none of that name.

use std::ops::Range;

use smol_str::SmolStr;

use super::expression::Parser;
use crate::expression::expr::{Call, Expr, Root};
use crate::expression::helper::{self, Prepared};
use crate::expression::problem::{Problem, ProblemKind};
use crate::expression::scope::Scope;
use crate::expression::value::Value;

impl Parser<'_> {
    pub(super) fn resolve(&self, path: &[SmolStr], range: Range<usize>) -> Result<Expr, Problem> {
        let Some((head, steps)) = path.split_first() else {
            return Err(Problem::new(ProblemKind::Template, range, "an expression is missing here"));
        };
        let path = |root| Ok(Expr::Path { root, steps: steps.into() });
        match (head.as_str(), steps) {
            ("@index", []) => return path(Root::Index),
            ("@first", []) => return path(Root::First),
            ("@last", []) => return path(Root::Last),
            ("true", []) => return Ok(Expr::Literal(true.into())),
            ("false", []) => return Ok(Expr::Literal(false.into())),
            ("null", []) => return Ok(Expr::Literal(Value::Null)),
            _ => {}
        }
        let head_range = range.start..range.start + head.len();
        if let Some(slot) = self.names.local(head) {
            if self.names.is_late(slot) {
                self.names.mark_late();
                self.known_at_once(head, &head_range)?;
            }
            return path(Root::Local(slot));
        }
        if let Some(constant) = self.names.constant(head) {
            let value = steps.iter().fold(constant, |node, step| node.get(step));
            return Ok(Expr::Constant(value.clone()));
        }
        match scope_of(head) {
            Some(scope) if self.names.sees(scope) => {
                self.check_member(scope, steps, &head_range)?;
                if scope == Scope::Store {
                    self.known_at_once(head, &head_range)?;
                    self.check_memory(steps, &head_range)?;
                }
                self.names.mark(scope, steps.first().map(SmolStr::as_str));
                path(Root::Scope(scope))
            }
            Some(scope) => {
                let message = format!("`{head}` is not available here");
                let problem = Problem::new(ProblemKind::Name, head_range, message).label("not in this place");
                let about = scope.about();
                let seen: Vec<_> = self.names.all().map(|name| format!("`{name}`")).collect();
                Err(problem.help(format!("`{head}` is {}; here are {}", lower_first(about), seen.join(", "))))
            }
            None => match helper::find(head) {
                Some(_) if steps.is_empty() => build(head, range, Vec::new(), Vec::new()),
                _ if self.names.is_open() => Ok(Expr::Literal(Value::Null)),
                _ => Err(self.unknown_name(head, head_range)),
            },
        }
    }

    /// A scope with a closed set of members must be asked for one of them.
    fn check_member(&self, scope: Scope, steps: &[SmolStr], head: &Range<usize>) -> Result<(), Problem> {
        let (Some(members), Some(step)) = (self.names.members(scope), steps.first()) else { return Ok(()) };
        if members.contains(&step.as_str()) {
            return Ok(());
        }
        let text = self.source.get(head.end..).unwrap_or_default();
        let start = head.end + 1 + usize::from(text.starts_with(".["));
        let range = start..start + step.len();
        let declared = matches!(scope, Scope::Config | Scope::Deployment);
        let (kind, message) = if declared {
            (ProblemKind::Config, format!("`{}.{step}` is not declared", scope.name()))
        } else {
            (ProblemKind::Name, format!("`{}` has no member `{step}`", scope.name()))
        };
        let label = if declared { "not declared" } else { "no such member" };
        let problem = Problem::new(kind, range, message).label(label);
        Err(match crate::diagnostic::suggest(step, members.iter().copied()) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
            None if declared => {
                problem.help(format!("declare it under `{}:` at the top of the mapping", scope.name()))
            }
            None => problem.help(format!(
                "it has {}",
                members.iter().map(|m| format!("`{m}`")).collect::<Vec<_>>().join(", ")
            )),
        })
    }

    /// What a webhook is judged by must be known while the provider waits for its answer.
    fn known_at_once(&self, name: &str, range: &Range<usize>) -> Result<(), Problem> {
        if !self.names.is_prompt() {
            return Ok(());
        }
        let message = format!("`{name}` is not known here yet");
        let problem = Problem::new(ProblemKind::Name, range.clone(), message);
        let problem = problem.label("known when the event is delivered, after the webhook was answered");
        Err(problem.help(
            "`text`, `attachments`, `location`, `as_text` and the members of `contact` other than `id` may read it",
        ))
    }

    /// Only what the mapping remembers somewhere can be read.
    fn check_memory(&self, steps: &[SmolStr], head: &Range<usize>) -> Result<(), Problem> {
        let [owner, name, ..] = steps else { return Ok(()) };
        let known = self.names.remembered();
        let full = format!("{owner}.{name}");
        if known.iter().any(|known| *known == full) {
            return Ok(());
        }
        let of_owner = known.iter().filter_map(|known| known.strip_prefix(owner.as_str())?.strip_prefix('.'));
        let start = head.end + owner.len() + 2;
        let range = start..start + name.len();
        let problem = Problem::new(ProblemKind::Name, range, format!("nothing remembers `{full}`"));
        let problem = problem.label("never written");
        Err(match crate::diagnostic::suggest(name, of_owner) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
            None => problem.help(format!("write it with `remember: {{{full}: ..}}` in a rule or a response")),
        })
    }

    fn unknown_name(&self, name: &str, range: Range<usize>) -> Problem {
        let problem = Problem::new(ProblemKind::Name, range, format!("nothing is called `{name}` here"));
        let problem = problem.label("unknown name");
        if name == "this" {
            return problem.help("the current node is called `it`").replace("it");
        }
        let candidates = self.names.all().chain(helper::all().map(|helper| helper.name));
        match crate::diagnostic::suggest(name, candidates) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
            None if self.names.is_hidden(name) => {
                problem.help(format!("the result of the step `{name}` is known to the steps behind it"))
            }
            None if self.names.sees(Scope::It) => {
                problem.help(format!("a member of the payload is reached through `it`, as in `it.{name}`"))
            }
            None => {
                let seen: Vec<_> = self.names.all().map(|name| format!("`{name}`")).collect();
                problem.help(format!("the names are {}", seen.join(", ")))
            }
        }
    }
}

pub(super) fn unknown_helper(name: &str, range: Range<usize>) -> Problem {
    let problem = Problem::new(ProblemKind::Helper, range, format!("there is no helper `{name}`"))
        .label("unknown helper");
    match crate::diagnostic::suggest(name, helper::all().map(|helper| helper.name)) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
        None => match ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)) {
            Some((_, meant)) => problem.help(format!("here it is called `{meant}`")),
            None => problem,
        },
    }
}

/// What other template languages call some helpers.
const ALIASES: &[(&str, &str)] = &[
    ("uppercase", "upper"),
    ("upcase", "upper"),
    ("toUpperCase", "upper"),
    ("lowercase", "lower"),
    ("downcase", "lower"),
    ("toLowerCase", "lower"),
    ("length", "len"),
    ("size", "len"),
    ("count", "len"),
    ("default", "coalesce"),
    ("substring", "left"),
    ("truncate", "ellipsis"),
    ("toJSON", "json"),
    ("stringify", "json"),
    ("number", "int"),
    ("encodeURIComponent", "url_encode"),
    ("urlencode", "url_encode"),
    ("sha256", "digest"),
    ("md5", "digest"),
    ("base64_encode", "base64"),
    ("base64_decode", "unbase64"),
    ("plus", "add"),
    ("minus", "sub"),
    ("times", "mul"),
    ("equals", "eq"),
];

pub(super) fn build(
    name: &str,
    range: Range<usize>,
    positional: Vec<(Range<usize>, Expr)>,
    named: Vec<(SmolStr, Range<usize>, Expr)>,
) -> Result<Expr, Problem> {
    let Some(helper) = helper::find(name) else { return Err(unknown_helper(name, range)) };
    let count = positional.len();
    if count < helper.least || count > helper.most {
        let wanted = match (helper.least, helper.most) {
            (least, most) if least == most => format!("{least}"),
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        let plural = if wanted == "1" { "" } else { "s" };
        let message = format!("`{name}` takes {wanted} argument{plural}, not {count}");
        let problem = Problem::new(ProblemKind::Arguments, range, message);
        return Err(problem.help(format!("`{}`: {}", helper.usage, helper.about)));
    }
    for (argument, at, _) in &named {
        if !helper.takes(argument) {
            let message = format!("`{name}` takes no argument `{argument}`");
            let problem = Problem::new(ProblemKind::Arguments, at.clone(), message);
            return Err(match crate::diagnostic::suggest(argument, helper.named.iter().copied()) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")).replace(meant),
                None => problem.help(format!("`{}`: {}", helper.usage, helper.about)),
            });
        }
    }
    let literals: Vec<Option<&Value>> = positional
        .iter()
        .map(|(_, expr)| match expr {
            Expr::Literal(value) | Expr::Constant(value) => Some(value),
            _ => None,
        })
        .collect();
    let prepared = match helper.prepare {
        None => Prepared::Nothing,
        Some(prepare) => prepare(&literals).map_err(|(index, mut problem)| {
            let at = positional.get(index).map_or(range.clone(), |(at, _)| at.clone());
            // Within a text without escapes the place is exact.
            let length = literals.get(index).copied().flatten().and_then(Value::as_text).map(str::len);
            problem.range = match length {
                Some(length) if at.len() == length + 2 && problem.range.end <= length => {
                    at.start + 1 + problem.range.start..at.start + 1 + problem.range.end
                }
                _ => at.clone(),
            };
            problem.replacement = None;
            problem
        })?,
    };
    Ok(Expr::Call(Box::new(Call {
        helper,
        positional: positional.into_iter().map(|(_, expr)| expr).collect(),
        named: named.into_iter().map(|(name, _, expr)| (name, expr)).collect(),
        prepared,
    })))
}

pub(super) fn scope_of(name: &str) -> Option<Scope> {
    Scope::ALL.iter().copied().find(|scope| scope.name() == name)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
