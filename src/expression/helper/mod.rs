//! The helpers: functions that a template can call, one table per family.
//!
//! Each entry carries its own documentation and an example that is run as a test, so the reference can't say
//! what is not so. Unless a helper says otherwise, null in is null out.

mod bytes;
mod crypto;
mod format;
mod id;
mod key;
mod link;
mod list;
mod markdown;
mod number;
mod phone;
mod rows;
mod sms;
mod text;
mod time;
mod xpath;

pub(crate) use bytes::{decode, hex, unbase64, unhex};
pub(crate) use crypto::hmac;
pub(super) use format::{html, query, xml};
pub(super) use number::same;
use regex::Regex;
use smol_str::SmolStr;

use super::pattern::regex_problem;
use super::problem::{Problem, ProblemKind};
use super::query::Query;
use super::scope::{Env, Failure};
use super::value::Value;

/// A function that a template can call.
pub struct Helper {
    /// Its name.
    pub name: &'static str,
    /// How it is called: the name and its arguments; `name=` is optional, `..` repeats.
    pub usage: &'static str,
    /// What it gives, as a sentence.
    pub about: &'static str,
    /// A template.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub gives: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) named: &'static [&'static str],
    pub(super) prepare: Option<Prepare>,
    run: Run,
}

/// The range of a whole argument.
const WHOLE: std::ops::Range<usize> = 0..usize::MAX;

/// What is wrong with a literal argument: its place among the arguments, and the problem within its text.
type BadLiteral = (usize, Problem);
/// Compiles the arguments that are literals.
type Prepare = fn(&[Option<&Value>]) -> Result<Prepared, BadLiteral>;

#[derive(Clone, Copy)]
enum Run {
    /// None is null.
    Total(fn(&Arguments<'_, '_>) -> Option<Value>),
    Fallible(fn(&Arguments<'_, '_>) -> Result<Value, Failure>),
}

/// What was compiled from literal arguments.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Nothing.
    Nothing,
    /// A regular expression.
    Regex(Regex),
    /// A JSONPath.
    Query(Query),
}

/// What a helper is called with.
pub struct Arguments<'a, 'w> {
    pub(super) positional: &'a [Value],
    pub(super) named: &'a [(SmolStr, Value)],
    pub(super) prepared: &'a Prepared,
    pub(super) env: &'a Env<'w>,
}

static NULL: Value = Value::Null;

impl Arguments<'_, '_> {
    fn get(&self, index: usize) -> &Value {
        self.positional.get(index).unwrap_or(&NULL)
    }

    /// The text of an argument; none for null.
    fn text(&self, index: usize) -> Option<SmolStr> {
        match self.get(index) {
            Value::Null => None,
            other => Some(other.to_text()),
        }
    }

    fn named(&self, name: &str) -> &Value {
        self.named.iter().find(|(key, _)| key == name).map_or(&NULL, |(_, value)| value)
    }

    fn size(&self, index: usize) -> Option<usize> {
        self.get(index).to_int().and_then(|number| usize::try_from(number).ok())
    }

    /// The items of a list, another value being a list of itself; none for null.
    fn list(&self, index: usize) -> Option<Vec<Value>> {
        (!matches!(self.get(index), Value::Null)).then(|| self.items(index))
    }

    /// The items of a list; another value but null is a list of itself.
    fn items(&self, index: usize) -> Vec<Value> {
        match self.get(index) {
            Value::Null => Vec::new(),
            Value::List(items) => items.to_vec(),
            other => vec![other.clone()],
        }
    }

    /// All arguments from `from` on, with lists taken apart.
    fn flat(&self, from: usize) -> Vec<Value> {
        (from..self.positional.len()).flat_map(|index| self.items(index)).collect()
    }
}

impl Helper {
    const fn total(
        usage: &'static str,
        args: (usize, usize),
        about: &'static str,
        example: &'static str,
        gives: &'static str,
        run: fn(&Arguments<'_, '_>) -> Option<Value>,
    ) -> Self {
        Self::new(usage, args, about, example, gives, Run::Total(run))
    }

    const fn fallible(
        usage: &'static str,
        args: (usize, usize),
        about: &'static str,
        example: &'static str,
        gives: &'static str,
        run: fn(&Arguments<'_, '_>) -> Result<Value, Failure>,
    ) -> Self {
        Self::new(usage, args, about, example, gives, Run::Fallible(run))
    }

    const fn new(
        usage: &'static str,
        (least, most): (usize, usize),
        about: &'static str,
        example: &'static str,
        gives: &'static str,
        run: Run,
    ) -> Self {
        Self {
            name: first_word(usage),
            usage,
            about,
            example,
            gives,
            least,
            most,
            named: &[],
            prepare: None,
            run,
        }
    }

    const fn named(mut self, named: &'static [&'static str]) -> Self {
        self.named = named;
        self
    }

    const fn prepare(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    pub(super) fn takes(&self, name: &str) -> bool {
        self.named.contains(&name) || self.named == ANY_NAME
    }

    pub(super) fn run(&self, arguments: &Arguments<'_, '_>) -> Result<Value, Failure> {
        match self.run {
            Run::Total(run) => Ok(run(arguments).unwrap_or_default()),
            Run::Fallible(run) => run(arguments),
        }
    }
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.usage)
    }
}

/// A helper that takes arguments of any name.
const ANY_NAME: &[&str] = &["*"];
/// Any number of arguments.
const MANY: usize = usize::MAX;

const fn first_word(usage: &'static str) -> &'static str {
    let bytes = usage.as_bytes();
    let mut rest = bytes;
    let mut len = 0;
    while let [first, tail @ ..] = rest {
        if *first == b' ' {
            return usage.split_at(len).0;
        }
        len += 1;
        rest = tail;
    }
    usage
}

/// Compiles the literal regular expression at that place.
fn prepare_regex<const AT: usize>(literals: &[Option<&Value>]) -> Result<Prepared, BadLiteral> {
    let Some(pattern) = literals.get(AT).copied().flatten().and_then(Value::as_text) else {
        return Err((AT, Problem::new(ProblemKind::Arguments, WHOLE, "the pattern must be a literal text")));
    };
    match regex::RegexBuilder::new(pattern).size_limit(1 << 20).build() {
        Ok(regex) => Ok(Prepared::Regex(regex)),
        Err(error) => {
            let (range, why) = regex_problem(pattern, &error);
            let message = format!("this is not a regular expression: {why}");
            Err((AT, Problem::new(ProblemKind::Regex, range, message)))
        }
    }
}

/// Compiles the literal JSONPath at that place.
fn prepare_query(literals: &[Option<&Value>]) -> Result<Prepared, BadLiteral> {
    const AT: usize = 1;
    let Some(path) = literals.get(AT).copied().flatten().and_then(Value::as_text) else {
        return Err((AT, Problem::new(ProblemKind::Arguments, WHOLE, "the JSONPath must be a literal text")));
    };
    Query::compile(path).map(Prepared::Query).map_err(|problem| (AT, problem))
}

/// A topic, and its helpers.
pub type Family = (&'static str, &'static [Helper]);

/// The helpers by topic.
pub const FAMILIES: &[Family] = &[
    ("Text", text::HELPERS),
    ("Text in other formats", format::HELPERS),
    ("Markdown", markdown::HELPERS),
    ("XML", xpath::HELPERS),
    ("URLs and files", link::HELPERS),
    ("Lists and maps", list::HELPERS),
    ("Rows of buttons", rows::HELPERS),
    ("Numbers and logic", number::HELPERS),
    ("Time", time::HELPERS),
    ("Ids and addresses of our own", id::HELPERS),
    ("Phone numbers", phone::HELPERS),
    ("SMS", sms::HELPERS),
    ("Bytes and character sets", bytes::HELPERS),
    ("Hashes", crypto::HELPERS),
    ("Keys and tokens", key::HELPERS),
];

/// All helpers, topic by topic.
pub fn all() -> impl Iterator<Item = &'static Helper> {
    FAMILIES.iter().flat_map(|(_, helpers)| *helpers)
}

/// The helper of that name.
pub fn find(name: &str) -> Option<&'static Helper> {
    all().find(|helper| helper.name == name)
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Names, SAMPLE, Scope, parse};
    use super::*;
    use crate::world::World;

    #[test]
    fn every_example_gives_what_it_says() {
        let world = World::fixed(1_767_323_045_000, 1);
        for helper in all() {
            let mut problems = Vec::new();
            let names = Names::of(Scope::ALL);
            let text = parse::template(helper.example, &names, &mut problems);
            assert!(problems.is_empty(), "{}: {problems:?}", helper.usage);
            let mut env = Env::new(&world);
            env.set(Scope::It, Value::from_json(SAMPLE.as_bytes()).unwrap());
            env.set(Scope::Channel, Value::map([("url", Value::text("https://gw.example/channels/c"))]));
            let value = match text.lone() {
                Some(expr) => expr.eval(&mut env),
                None => text.eval(&mut env),
            };
            let value = value.unwrap_or_else(|error| panic!("{}: {error}", helper.usage));
            assert_eq!(value.to_json().unwrap_or_else(|| "bytes".into()), helper.gives, "{}", helper.example);
        }
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut seen = std::collections::HashSet::new();
        for helper in all() {
            assert!(seen.insert(helper.name), "{} is there twice", helper.name);
            assert!(helper.about.ends_with('.'), "{}", helper.name);
            assert!(helper.example.contains(helper.name), "{}", helper.name);
        }
    }

    #[test]
    fn many_members_take_no_longer_each_than_few() {
        let world = World::fixed(0, 1);
        let pairs = |separator: &str| {
            Value::from((0..200_000).map(|n| format!("{n}=x")).collect::<Vec<_>>().join(separator))
        };
        let items = Value::list((0..100_000_i64).map(|n| Value::map([("k", Value::from(n))])).collect());
        let start = std::time::Instant::now();
        for (name, positional) in [
            ("parse_query", vec![pairs("&")]),
            ("parse_pairs", vec![pairs(","), Value::text(","), Value::text("=")]),
            ("index_by", vec![items, Value::text("k")]),
        ] {
            let arguments = Arguments {
                positional: &positional,
                named: &[],
                prepared: &Prepared::Nothing,
                env: &Env::new(&world),
            };
            let made = find(name).unwrap().run(&arguments).unwrap();
            assert!(made.as_map().unwrap().len() >= 100_000, "{name}");
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn hostile_arguments_never_panic() {
        let world = World::fixed(0, 1);
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i128::MAX),
            Value::Int(i128::MIN),
            Value::Int(-1),
            Value::Float(1e300),
            Value::text(""),
            Value::text("ä\u{0}😀"),
            Value::Bytes(::bytes::Bytes::from_static(b"\xff\x00")),
            Value::list(vec![Value::Null, Value::text("a")]),
            Value::map([("a", Value::Int(1))]),
        ];
        let env = Env::new(&world);
        let regex = Regex::new("a").unwrap();
        for helper in all() {
            for a in &values {
                for b in &values {
                    let positional = [a.clone(), b.clone(), a.clone()];
                    let prepared = if helper.prepare.is_some() {
                        if helper.name == "path" {
                            Prepared::Query(Query::compile("$.a").unwrap())
                        } else {
                            Prepared::Regex(regex.clone())
                        }
                    } else {
                        Prepared::Nothing
                    };
                    let names = if helper.named == ANY_NAME { &["a", "b"] } else { helper.named };
                    let named: Vec<_> = names.iter().map(|name| (SmolStr::new(name), b.clone())).collect();
                    for named in [&[], named.as_slice()] {
                        let _ = helper.run(&Arguments {
                            positional: &positional,
                            named,
                            prepared: &prepared,
                            env: &env,
                        });
                    }
                }
            }
        }
    }
}
