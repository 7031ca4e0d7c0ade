//! Answers to webhooks.

use smol_str::SmolStr;

use crate::compile::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Template, Value};
use crate::plan::{Answer, AnswerBody};
use crate::spec::{self, FromNode, Raw};
use crate::yaml::Node;

/// The answer where a mapping says nothing: 200 with an empty JSON object.
pub(super) fn unspecified() -> Answer {
    Answer {
        status: Template::Literal(Value::Int(200)),
        content_type: Template::Literal(Value::Null),
        body: AnswerBody::Json(Template::Literal(Value::map::<SmolStr>([]))),
    }
}

impl Compiler<'_> {
    pub(super) fn reply(&mut self, node: &Node, names: &Names) -> Option<Answer> {
        if node.as_map().is_some() {
            let answer = spec::AnswerSpec::from_node(node, self.out)?;
            return Some(self.answer(&answer, names));
        }
        Some(Answer {
            status: Template::Literal(Value::Int(200)),
            content_type: Template::Literal(Value::text("text/plain")),
            body: AnswerBody::Text(self.value(node, names)),
        })
    }

    /// The answer to a request that could not be understood: no success unless the mapping says so.
    pub(super) fn refusal(&mut self, answer: &spec::AnswerSpec, names: &Names) -> Answer {
        let made = self.answer(answer, names);
        match answer.status {
            Some(_) => made,
            None => Answer { status: Template::Literal(Value::Int(400)), ..made },
        }
    }

    pub(super) fn answer(&mut self, answer: &spec::AnswerSpec, names: &Names) -> Answer {
        let bodies =
            [("body", answer.body.is_some()), ("json", answer.json.is_some()), ("xml", answer.xml.is_some())];
        if let Some((second, _)) = bodies.into_iter().filter(|(_, given)| *given).nth(1) {
            let span = answer.shape.key(second, answer.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "an answer has one body");
            self.out.push(problem.label("the second").help("keep one of `body`, `json` and `xml`"));
        }
        let mut value = |raw: &Option<Raw>, otherwise: Value| {
            raw.as_ref().map_or(Template::Literal(otherwise), |raw| self.value(&raw.0, names))
        };
        Answer {
            status: value(&answer.status, Value::Int(200)),
            content_type: value(&answer.r#type, Value::Null),
            body: match (&answer.json, &answer.xml, &answer.body) {
                (Some(_), _, _) => AnswerBody::Json(value(&answer.json, Value::Null)),
                (None, Some(_), _) => AnswerBody::Xml(value(&answer.xml, Value::Null)),
                (None, None, Some(_)) => AnswerBody::Text(value(&answer.body, Value::Null)),
                (None, None, None) if answer.r#type.is_some() => {
                    AnswerBody::Text(Template::Literal(Value::Null))
                }
                (None, None, None) => AnswerBody::Json(Template::Literal(Value::map::<SmolStr>([]))),
            },
        }
    }
}
