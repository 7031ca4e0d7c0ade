//! Values and the expressions that make them: JSONPath, templates, operators, tests, helpers.
//!
//! This module knows no YAML and no HTTP: an expression is compiled from text that somebody else found, and
//! a problem names the range of that text.

mod address;
mod call;
mod condition;
mod expr;
mod gsm7;
mod helper;
mod lazy;
mod operator;
mod parse;
mod pattern;
mod problem;
mod query;
mod render;
mod scope;
mod table;
mod template;
mod text;
mod value;

pub use call::{Answers, Call, Known, Wanted};
pub use condition::{Bounds, Condition, Test};
pub use expr::{Expr, Root};
pub(crate) use gsm7::length as gsm7_length;
pub use helper::{FAMILIES, Helper, all as helpers};
pub(crate) use helper::{decode, hex, hmac, unbase64, unhex};
pub use lazy::Later;
pub use operator::{Form, OPERATORS, SAMPLE, TESTS};
pub use parse::template as parse_template;
pub use pattern::regex_problem;
pub use problem::{Problem, ProblemKind};
pub use query::Query;
pub use render::{Escape, Render, render_problem};
pub use scope::{Constant, Declared, Env, Failure, Memory as Remembered, Names, Read, Scope, Turn};
pub use table::{Pattern, Table};
pub use template::{Choice, Each, Key, Mark, Switch, Template};
pub use text::Text;
pub use value::{Map, Value};
