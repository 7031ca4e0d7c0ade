//! What will run when a provider calls.

use std::time::Duration;

use smol_str::SmolStr;

use super::decoding::Decoding;
use super::proof::Verify;
use super::{Collect, Lets, Memos, Poke};
use crate::expression::{Condition, Template};
use crate::message::{EventKind, IdOwner};

/// One URL that the provider calls.
#[derive(Debug)]
pub struct Webhook {
    /// The methods.
    pub methods: Vec<SmolStr>,
    /// The path, segment by segment.
    pub path: Vec<Segment>,
    /// Whether one URL serves all channels.
    pub shared: bool,
    /// For a shared route: the value that equals the channel's address.
    pub address: Option<Template>,
    /// How the body is read.
    pub decode: Decoding,
    /// The proofs that it must bring.
    pub verify: Vec<Verify>,
    /// The answer to a request that carries no events.
    pub reply: Option<Answer>,
    /// The answer when there were events.
    pub ack_ok: Answer,
    /// The answer when there were none.
    pub ack_ignored: Answer,
    /// The answer when the request could not be understood.
    pub ack_error: Option<Answer>,
    /// What must hold, or the request is refused.
    pub require: Option<Condition>,
    /// The nodes to handle one by one.
    pub each: Option<Template>,
    /// What the nodes say: a rule without `each` of its own, with the webhook's `unique`, `when`, `let` and
    /// `ignore`.
    pub rule: Rule,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this.
    Fixed(SmolStr),
    /// One of these, under this name.
    OneOf(SmolStr, Vec<SmolStr>),
    /// Anything, under this name.
    Bound(SmolStr),
}

impl Webhook {
    /// The route as the mapping writes it, without the methods.
    pub fn route(&self) -> String {
        let segments = self.path.iter().map(|segment| match segment {
            Segment::Fixed(text) => text.to_string(),
            Segment::OneOf(name, words) => format!("{{{name}:{}}}", words.join("|")),
            Segment::Bound(name) => format!("{{{name}}}"),
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// The bound names with their values, if the path is this webhook's.
    pub fn matches(&self, path: &str) -> Option<Vec<(SmolStr, SmolStr)>> {
        let given: Vec<&str> =
            path.trim_matches('/').split('/').filter(|segment| !segment.is_empty()).collect();
        if given.len() != self.path.len() {
            return None;
        }
        let mut bound = Vec::new();
        for (segment, text) in self.path.iter().zip(given) {
            match segment {
                Segment::Fixed(fixed) if fixed == text => {}
                Segment::OneOf(name, words) if words.iter().any(|word| word == text) => {
                    bound.push((name.clone(), SmolStr::new(text)));
                }
                Segment::Fixed(_) | Segment::OneOf(..) => return None,
                Segment::Bound(name) => bound.push((name.clone(), SmolStr::new(text))),
            }
        }
        Some(bound)
    }

    /// How much else its path could match: of two that match, the one with less is meant.
    pub fn openness(&self) -> (usize, usize) {
        let count = |wanted: fn(&Segment) -> bool| self.path.iter().filter(|segment| wanted(segment)).count();
        (count(|it| matches!(it, Segment::Bound(_))), count(|it| matches!(it, Segment::OneOf(..))))
    }
}

/// An answer to a webhook.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: Template,
    /// The Content-Type; empty goes by the body.
    pub content_type: Template,
    /// The body.
    pub body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// Text.
    Text(Template),
    /// JSON.
    Json(Template),
    /// XML, from a tree with one root.
    Xml(Template),
}

/// One rule: for which nodes it is, and what they say.
#[derive(Debug, Default)]
pub struct Rule {
    /// The nodes to handle one by one.
    pub each: Option<Template>,
    /// Of nodes with the same value only the first is handled.
    pub unique: Option<Template>,
    /// What must hold.
    pub when: Option<Condition>,
    /// Names for values.
    pub lets: Lets,
    /// When the node is none of our business.
    pub ignore: Option<Condition>,
    /// The answer that ends the request.
    pub reply: Option<Box<Answer>>,
    /// The event that the node is.
    pub emit: Option<Box<Emission>>,
    /// The answer instead of the webhook's, where this rule made an event.
    pub ack: Option<Box<Answer>>,
    /// The poll that is asked for.
    pub poll: Option<Box<Poke>>,
    /// What is remembered.
    pub remember: Option<Box<Memos>>,
    /// Whether later rules see the node too.
    pub also: bool,
    /// Rules for the same node.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// Whether it, or one in it, may ask for that poll.
    pub(super) fn asks_for(&self, poll: &str) -> bool {
        self.poll.as_ref().is_some_and(|poke| poke.poll == poll)
            || self.rules.iter().any(|rule| rule.asks_for(poll))
    }
}

/// What an event is made of.
#[derive(Debug)]
pub struct Emission {
    /// What happened.
    pub kind: EventKind,
    /// The id of the message.
    pub id: Template,
    /// Whose id it is.
    pub id_owner: IdOwner,
    /// When it happened.
    pub timestamp: Option<Template>,
    /// Who it concerns: the members of a contact, by name.
    pub contact: Vec<(ContactMember, Template)>,
    /// The text.
    pub text: Option<Template>,
    /// The attachments.
    pub attachments: Option<Template>,
    /// The location.
    pub location: Option<Template>,
    /// How far the message has come.
    pub status: Option<Template>,
    /// Why it failed.
    pub error: Option<Template>,
    /// The text of a message that tells the agent.
    pub as_text: Option<Template>,
    /// For a status: all messages up to this moment, instead of one.
    pub up_to: Option<Template>,
    /// How long the event waits before it is delivered.
    pub delay: Duration,
    /// A message of ours, by the provider's id, which the event is an echo of.
    pub unless_sent: Option<Template>,
    /// When the event is only a piece of a message.
    pub collect: Option<Collect>,
    /// Whether what it says may depend on calls or on `store`, which are not asked before it is delivered.
    pub late: bool,
}

/// A member of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the members of `message::Contact`
pub enum ContactMember {
    Id,
    Name,
    FirstName,
    LastName,
    Avatar,
    Country,
    Email,
    Phone,
    Language,
    Locale,
    Timezone,
}
