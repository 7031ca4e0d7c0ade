//! A tree of literals, paths, templates and operators that makes a [`Value`].
//!
//! What is evaluated and comes out empty (null, `""`, `[]`, `{}`) vanishes from the map or list around it;
//! literals stay, and `$keep` keeps.

use std::sync::Arc;

use smol_str::SmolStr;

use super::call::Call;
use super::expr::Expr;
use super::helper::same;
use super::query::Query;
use super::render::Render;
use super::scope::{Env, Failure, Scope, Turn};
use super::table::{Pattern, Table};
use super::text::Text;
use super::value::Value;

/// A compiled value.
#[derive(Clone, Debug)]
pub enum Template {
    /// Itself.
    Literal(Value),
    /// A JSONPath on the current node.
    Path(Query),
    /// One expression; keeps its type.
    Expression(Expr),
    /// A text with expressions in it.
    Text(Text),
    /// A URL with expressions in it, each of which is encoded for its place.
    Address(Text),
    /// A map; keys may be made too.
    Map(Box<[(Key, Template)]>),
    /// A list.
    List(Box<[Template]>),
    /// The first that is not empty.
    First(Box<[Template]>),
    /// One of two.
    If(Box<Choice>),
    /// One of several.
    Switch(Box<Switch>),
    /// A look-up.
    Table(Arc<Table>, Box<Template>),
    /// One result per item.
    Each(Box<Each>),
    /// Lists in a list taken apart, one level.
    Flat(Box<Template>),
    /// Maps put together; of a repeated member the last counts.
    Merge(Box<[Template]>),
    /// As JSON text.
    Json(Box<Template>),
    /// A template that is data.
    Render(Box<Render>),
    /// Stays even if it is empty.
    Keep(Box<Template>),
    /// What one of the mapping's calls answers.
    Call(Box<Call>),
    /// A call that is made when a file is fetched.
    Later(Box<Call>),
}

/// The name of a member.
#[derive(Clone, Debug)]
pub enum Key {
    /// Always the same.
    Fixed(SmolStr),
    /// Made from a template; an empty one leaves the member out.
    Made(Text),
}

/// The identity of a branch, for the coverage of tests; a clone of a template has the same ones.
pub type Mark = Arc<u8>;

/// `$if`.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The condition: holds if its value is true.
    pub when: Template,
    /// The value if it holds.
    pub then: Template,
    /// The value if not.
    pub otherwise: Template,
    /// The marks of both values.
    pub marks: [Mark; 2],
}

/// `$switch`.
#[derive(Clone, Debug)]
pub struct Switch {
    /// What decides.
    pub on: Template,
    /// The cases, in order.
    pub cases: Vec<(Pattern, Template)>,
    /// The value where no case fits.
    pub otherwise: Template,
    /// The marks of the cases, in order.
    pub marks: Vec<Mark>,
    /// The mark of the value where no case fits.
    pub mark: Mark,
}

/// `$each`.
#[derive(Clone, Debug)]
pub struct Each {
    /// The items; a value that is no list is its own only item.
    pub list: Template,
    /// The slot of the name that `$as` gives the item.
    pub slot: Option<usize>,
    /// What is made of each.
    pub body: Template,
}

impl Template {
    /// Its value.
    pub fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        env.spend(1)?;
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Path(query) => {
                let value = query.value(env.scope(Scope::It));
                if let Value::List(items) = &value {
                    env.spend(items.len())?;
                }
                Ok(value)
            }
            Self::Expression(expr) => expr.eval(env),
            Self::Text(text) => text.eval(env),
            Self::Address(text) => text.eval_address(env),
            Self::Map(members) => {
                let mut made = Vec::with_capacity(members.len());
                for (key, template) in members {
                    let value = template.eval(env)?;
                    if value.is_empty() && !template.stays() {
                        continue;
                    }
                    let key = match key {
                        Key::Fixed(key) => key.clone(),
                        Key::Made(text) => text.eval(env)?.to_text(),
                    };
                    if !key.is_empty() {
                        made.push((key, value));
                    }
                }
                Ok(Value::Map(Arc::new(made.into_iter().collect())))
            }
            Self::List(items) => {
                let mut made = Vec::with_capacity(items.len());
                for template in items {
                    let value = template.eval(env)?;
                    if !value.is_empty() || template.stays() {
                        made.push(value);
                    }
                }
                Ok(Value::list(made))
            }
            Self::First(choices) => {
                for choice in choices {
                    let value = choice.eval(env)?;
                    // A path that may select several offers each node in turn.
                    let value = match (&value, choice) {
                        (Value::List(items), Self::Path(query)) if query.is_many() => {
                            items.iter().find(|item| !item.is_empty()).cloned().unwrap_or_default()
                        }
                        _ => value,
                    };
                    if !value.is_empty() {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Self::If(choice) => {
                let holds = choice.when.eval(env)?.is_truthy();
                let [then, otherwise] = &choice.marks;
                env.world.reach(if holds { &**then } else { &**otherwise });
                if holds { choice.then.eval(env) } else { choice.otherwise.eval(env) }
            }
            Self::Switch(switch) => {
                let on = switch.on.eval(env)?;
                let mut cases = switch.cases.iter().zip(&switch.marks);
                let (case, mark) = cases
                    .find(|((pattern, _), _)| pattern.fits(&on))
                    .map_or((&switch.otherwise, &switch.mark), |((_, case), mark)| (case, mark));
                env.world.reach(&**mark);
                case.eval(env)
            }
            Self::Table(table, key) => {
                let key = key.eval(env)?;
                Ok(table.get(&key))
            }
            Self::Each(each) => each.eval(env),
            Self::Flat(list) => Ok(match list.eval(env)? {
                Value::List(items) => Value::list(
                    items
                        .iter()
                        .flat_map(|item| match item {
                            Value::List(inner) => inner.to_vec(),
                            other => vec![other.clone()],
                        })
                        .collect(),
                ),
                other => other,
            }),
            Self::Merge(maps) => {
                let mut merged = Vec::new();
                for map in maps {
                    match map.eval(env)? {
                        Value::Map(map) => {
                            merged.extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
                        }
                        Value::Null => {}
                        other => {
                            return Err(Failure(format!(
                                "`$merge` puts maps together, not {}",
                                other.kind()
                            )));
                        }
                    }
                }
                Ok(Value::map(merged))
            }
            Self::Json(inner) => {
                let value = inner.eval(env)?;
                if value.is_empty() && !inner.stays() {
                    return Ok(Value::Null);
                }
                let text = value.to_json().ok_or_else(|| Failure("bytes can't be put into JSON".into()))?;
                Ok(Value::from(text))
            }
            Self::Render(render) => render.eval(env),
            Self::Keep(inner) => inner.eval(env),
            Self::Call(call) => call.eval(env),
            Self::Later(call) => call.postpone(env),
        }
    }

    /// Its value as text of its own; none where that is empty.
    pub fn text(&self, env: &mut Env<'_>) -> Result<Option<SmolStr>, Failure> {
        let value = self.eval(env)?;
        if value.is_empty() {
            return Ok(None);
        }
        let text = value.to_text();
        env.spend_text(&text)?;
        Ok(Some(text))
    }

    /// The same as a URL: what stands between braces in its texts is encoded for its place.
    #[must_use]
    pub fn into_address(self) -> Self {
        let each = |templates: Box<[Self]>| templates.into_iter().map(Self::into_address).collect();
        match self {
            Self::Text(text) => Self::Address(text),
            Self::List(items) => Self::List(each(items)),
            Self::First(choices) => Self::First(each(choices)),
            Self::If(choice) => Self::If(Box::new(Choice {
                then: choice.then.into_address(),
                otherwise: choice.otherwise.into_address(),
                ..*choice
            })),
            Self::Switch(switch) => Self::Switch(Box::new(Switch {
                cases: switch
                    .cases
                    .into_iter()
                    .map(|(pattern, case)| (pattern, case.into_address()))
                    .collect(),
                otherwise: switch.otherwise.into_address(),
                ..*switch
            })),
            Self::Each(each) => Self::Each(Box::new(Each { body: each.body.into_address(), ..*each })),
            Self::Flat(list) => Self::Flat(Box::new(list.into_address())),
            Self::Keep(inner) => Self::Keep(Box::new(inner.into_address())),
            other => other,
        }
    }

    /// The constant that it is.
    pub fn literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Whether its value stays in a map even if it is empty.
    fn stays(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Keep(_))
    }
}

impl Each {
    fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        let list = self.list.eval(env)?;
        let items: &[Value] = match &list {
            Value::Null => &[],
            Value::List(items) => items,
            other => std::slice::from_ref(other),
        };
        let (it, turn) = (env.scope(Scope::It).clone(), env.turn);
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            env.turn = Turn { index, count: items.len() };
            if let Some(slot) = self.slot {
                env.set_local(slot, item.clone());
            }
            env.set(Scope::It, item.clone());
            let value = self.body.eval(env)?;
            if !value.is_empty() || self.body.stays() {
                made.push(value);
            }
        }
        env.set(Scope::It, it);
        env.turn = turn;
        Ok(Value::list(made))
    }
}

impl Pattern {
    /// Whether a value is what the pattern says.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Exactly(texts) => texts.iter().any(|text| same(&Value::Text(text.clone()), value)),
            Self::Null => matches!(value, Value::Null),
            Self::Any(patterns) => patterns.iter().any(|pattern| pattern.fits(value)),
            Self::Range { from, to } => {
                value.to_int().is_some_and(|number| number >= *from && to.is_none_or(|to| number <= to))
            }
        }
    }
}
