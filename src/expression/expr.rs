//! One expression: a literal, a path into a scope, or a helper called with expressions.

use smol_str::SmolStr;

use super::helper::{Arguments, Helper, Prepared};
use super::scope::{Env, Failure, Scope};
use super::value::Value;

/// A compiled expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A value that is written there.
    Literal(Value),
    /// A value that has a name: what depends on it may be another in a mapping that sets it differently.
    Constant(Value),
    /// A path from a root.
    Path {
        /// Where it starts.
        root: Root,
        /// The names and indexes on the way.
        steps: Box<[SmolStr]>,
    },
    /// A helper's result.
    Call(Box<Call>),
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// At a scope.
    Scope(Scope),
    /// At a `let` name.
    Local(usize),
    /// `@index`.
    Index,
    /// `@first`.
    First,
    /// `@last`.
    Last,
}

/// A helper and what it is called with.
#[derive(Clone, Debug)]
pub struct Call {
    pub(super) helper: &'static Helper,
    pub(super) positional: Box<[Expr]>,
    pub(super) named: Box<[(SmolStr, Expr)]>,
    pub(super) prepared: Prepared,
}

impl Expr {
    /// Its value.
    pub fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        match self {
            Self::Literal(value) | Self::Constant(value) => Ok(value.clone()),
            Self::Path { root, steps } => {
                if *root == Root::Scope(Scope::Store) && env.answers.deferring {
                    env.answers.deferred = true;
                }
                if let Root::Local(slot) = root {
                    env.answered(*slot)?;
                }
                Ok(follow(*root, steps, env))
            }
            Self::Call(call) => call.eval(env),
        }
    }

    /// The value, if it is written there.
    pub fn literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// `a.b.c` where the expression is the path to a scope's member: what `sign: true` and lints look for.
    pub fn as_scope_path(&self) -> Option<(Scope, &[SmolStr])> {
        match self {
            Self::Path { root: Root::Scope(scope), steps } => Some((*scope, steps)),
            _ => None,
        }
    }
}

fn follow(root: Root, steps: &[SmolStr], env: &Env<'_>) -> Value {
    let start = match root {
        Root::Scope(scope) => env.scope(scope),
        Root::Local(slot) => env.local(slot),
        Root::Index => return env.turn.index.into(),
        Root::First => return (env.turn.index == 0).into(),
        Root::Last => return (env.turn.index + 1 >= env.turn.count).into(),
    };
    steps.iter().fold(start, |node, step| node.get(step)).clone()
}

impl Call {
    fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        env.spend(1)?;
        let positional = self.positional.iter().map(|expr| expr.eval(env)).collect::<Result<Vec<_>, _>>()?;
        // A helper looks at every item of a list; in a loop that adds up.
        for list in positional.iter().filter_map(Value::as_list) {
            env.spend(list.len() / 32)?;
        }
        let named = self
            .named
            .iter()
            .map(|(name, expr)| Ok((name.clone(), expr.eval(env)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let arguments = Arguments { positional: &positional, named: &named, prepared: &self.prepared, env };
        let value = self
            .helper
            .run(&arguments)
            .map_err(|Failure(why)| Failure(format!("`{}`: {why}", self.helper.name)))?;
        match &value {
            Value::List(items) => env.spend(items.len())?,
            Value::Text(text) => env.spend_text(text)?,
            _ => {}
        }
        Ok(value)
    }
}
