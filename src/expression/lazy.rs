//! Calls that are not made while a value is evaluated, nor for the event at all: only when the platform asks for the
//! file whose URL they give.
//!
//! Evaluated, such a call is a text that stands for it, and what it would be given is noted in the [`Env`]. Invariant:
//! the text means something within that evaluation alone, so no payload can bring one of its own into being.

use smol_str::{SmolStr, format_smolstr};

use super::call::Call;
use super::scope::{Env, Failure};
use super::template::{Key, Template};
use super::value::Value;

/// What the text that stands for a call begins with.
const MARK: &str = "$call:";

/// A call to be made later, with what it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Later {
    /// Its name.
    pub call: SmolStr,
    /// A map of what it is given.
    pub arguments: Value,
}

impl Call {
    /// Notes the call instead of making it; null where its `$when` does not hold.
    pub(super) fn postpone(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        if let Some(when) = &self.when
            && !when.eval(env)?.is_truthy()
        {
            return Ok(Value::Null);
        }
        let arguments = self.arguments.eval(env)?;
        if arguments.to_json().is_none() {
            return Err(Failure(format!("the call `{}` can't be given bytes", self.name)));
        }
        let later = &mut env.answers.later;
        let mark = format_smolstr!("{MARK}{}", later.len());
        later.push(Later { call: self.name.clone(), arguments });
        Ok(Value::Text(mark))
    }
}

impl Env<'_> {
    /// The call that a text stands for in this evaluation.
    pub fn later(&self, text: &str) -> Option<&Later> {
        let index: usize = text.strip_prefix(MARK)?.parse().ok()?;
        self.answers.later.get(index)
    }
}

impl Template {
    /// The same, in which calls that are the member `name` of the maps in it are made later.
    #[must_use]
    pub fn postponing(self, name: &str) -> Self {
        self.branches(&|branch| match branch {
            Self::Map(members) => Self::Map(
                members
                    .into_iter()
                    .map(|(key, value)| match key {
                        Key::Fixed(key) if key == name => (Key::Fixed(key), value.postponed()),
                        key => (key, value),
                    })
                    .collect(),
            ),
            other => other,
        })
    }

    /// The same, made later where it is a call.
    fn postponed(self) -> Self {
        self.branches(&|branch| match branch {
            Self::Call(call) => Self::Later(call),
            other => other,
        })
    }

    /// The same with something done to each of the templates that its value can come from.
    fn branches(self, change: &dyn Fn(Self) -> Self) -> Self {
        let inner = |template: Self| template.branches(change);
        match self {
            Self::List(items) => Self::List(items.into_iter().map(inner).collect()),
            Self::First(items) => Self::First(items.into_iter().map(inner).collect()),
            Self::Merge(items) => Self::Merge(items.into_iter().map(inner).collect()),
            Self::Flat(list) => Self::Flat(Box::new(inner(*list))),
            Self::Keep(value) => Self::Keep(Box::new(inner(*value))),
            Self::If(mut choice) => {
                choice.then = inner(choice.then);
                choice.otherwise = inner(choice.otherwise);
                Self::If(choice)
            }
            Self::Switch(mut switch) => {
                switch.cases =
                    switch.cases.into_iter().map(|(pattern, case)| (pattern, inner(case))).collect();
                switch.otherwise = inner(switch.otherwise);
                Self::Switch(switch)
            }
            Self::Each(mut each) => {
                each.body = inner(each.body);
                Self::Each(each)
            }
            other => change(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn call(id: &str) -> Template {
        Template::Call(Box::new(Call {
            index: 0,
            name: "file".into(),
            arguments: Template::Literal(Value::map([("id", Value::text(id))])),
            when: None,
            on_error: None,
        }))
    }

    fn attachment(url: Template) -> Template {
        let members = vec![
            (Key::Fixed("url".into()), url),
            (Key::Fixed("name".into()), Template::Literal(Value::text("n"))),
        ];
        Template::Map(members.into())
    }

    #[test]
    fn a_call_in_the_url_of_a_listed_attachment_is_noted_and_not_wanted() {
        let world = World::fixed(0, 1);
        let mut env = Env::new(&world);
        let first = Template::First(vec![Template::Literal(Value::Null), call("b")].into());
        let list = Template::List(vec![attachment(call("a")), attachment(first)].into()).postponing("url");
        let value = list.eval(&mut env).unwrap();
        assert!(env.answers.wanted.is_none());
        let of = |index: i64| env.later(&value.at(index).get("url").to_text()).unwrap().arguments.clone();
        assert_eq!((of(0).get("id").to_text(), of(1).get("id").to_text()), ("a".into(), "b".into()));
        assert_eq!(env.later("$call:2"), None, "nobody asked for a third");
    }

    #[test]
    fn a_call_elsewhere_is_wanted_at_once() {
        let world = World::fixed(0, 1);
        let mut env = Env::new(&world);
        let members = vec![(Key::Fixed("name".into()), call("a"))];
        assert!(Template::Map(members.into()).postponing("url").eval(&mut env).is_err());
        assert!(env.answers.wanted.is_some());
    }
}
