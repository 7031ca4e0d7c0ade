//! A text with expressions in it: what a Handlebars template is once it is compiled.

use super::address;
use super::expr::Expr;
use super::scope::{Env, Failure, MOST_TEXT, Scope, Turn};
use super::value::Value;

/// The pieces of a compiled template, in order.
#[derive(Clone, Debug, Default)]
pub struct Text(pub(super) Vec<Piece>);

/// One piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Raw(String),
    Put(Expr),
    /// The first arm whose condition holds.
    Choose(Vec<Arm>),
    /// The body once per item, or `otherwise` if there is none.
    Each {
        list: Expr,
        body: Text,
        otherwise: Text,
    },
}

/// One arm of a [`Piece::Choose`].
#[derive(Clone, Debug)]
pub(super) struct Arm {
    /// The condition and the truth that it must have; none always holds.
    pub(super) when: Option<(Expr, bool)>,
    pub(super) body: Text,
}

impl Text {
    /// The expression, if the template is nothing but one.
    pub fn lone(&self) -> Option<&Expr> {
        match self.0.as_slice() {
            [Piece::Put(expr)] => Some(expr),
            _ => None,
        }
    }

    /// The text, if the template has no expression.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Raw(text)] => Some(text),
            _ => None,
        }
    }

    /// The text that it makes. Bytes in it stay bytes, so the result is bytes if any expression gives bytes.
    pub fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        let mut out = Out::default();
        self.render(env, &mut out)?;
        Ok(match String::from_utf8(out.bytes) {
            Ok(text) if !out.binary => {
                env.spend_text(&text)?;
                Value::from(text)
            }
            Ok(text) => Value::Bytes(text.into()),
            Err(error) => Value::Bytes(error.into_bytes().into()),
        })
    }

    /// The same as a URL: each value is percent-encoded for its place, as [`address`] says.
    pub fn eval_address(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        let mut out = Out { address: true, ..Out::default() };
        self.render(env, &mut out)?;
        Ok(String::from_utf8(out.bytes)
            .map_or_else(|error| Value::Bytes(error.into_bytes().into()), Value::from))
    }

    fn render(&self, env: &mut Env<'_>, out: &mut Out) -> Result<(), Failure> {
        for (at, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Raw(text) => out.put(text.as_bytes())?,
                Piece::Put(expr) if out.address => {
                    let bytes = expr.eval(env)?.to_bytes();
                    let behind = match self.0.get(at + 1) {
                        None => Some(""),
                        Some(Piece::Raw(text)) => Some(text.as_str()),
                        Some(_) => None,
                    };
                    if bytes.is_empty()
                        && behind.is_some_and(|behind| address::is_segment(&out.bytes, behind))
                    {
                        // Without what stands around it, which may be a secret.
                        let part = out.bytes.split(|byte| *byte == b'/').count();
                        return Err(Failure(format!("part {part} of the URL, counted by `/`, is empty")));
                    }
                    let encoded = expr.helper() == Some("url_encode");
                    let put = if encoded { bytes } else { address::encode(&out.bytes, bytes) };
                    out.put(&put)?;
                }
                Piece::Put(expr) => match expr.eval(env)? {
                    Value::Text(text) => out.put(text.as_bytes())?,
                    Value::Bytes(bytes) => {
                        out.binary = true;
                        out.put(&bytes)?;
                    }
                    other => out.put(other.to_text().as_bytes())?,
                },
                Piece::Choose(arms) => {
                    for arm in arms {
                        let holds = match &arm.when {
                            None => true,
                            Some((expr, truth)) => expr.eval(env)?.is_truthy() == *truth,
                        };
                        if holds {
                            arm.body.render(env, out)?;
                            break;
                        }
                    }
                }
                Piece::Each { list, body, otherwise } => {
                    let list = list.eval(env)?;
                    let items = list.as_list().unwrap_or_default();
                    if items.is_empty() {
                        otherwise.render(env, out)?;
                    }
                    let (it, turn) = (env.scope(Scope::It).clone(), env.turn);
                    for (index, item) in items.iter().enumerate() {
                        env.spend(1)?;
                        env.set(Scope::It, item.clone());
                        env.turn = Turn { index, count: items.len() };
                        body.render(env, out)?;
                    }
                    env.set(Scope::It, it);
                    env.turn = turn;
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    binary: bool,
    /// Whether a URL is made.
    address: bool,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.bytes.len() + bytes.len() > MOST_TEXT {
            return Err(Failure(format!("the template makes more than {MOST_TEXT} bytes of text")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
