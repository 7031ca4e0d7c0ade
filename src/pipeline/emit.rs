//! Rules over a tree to canonical events.

use std::collections::HashSet;
use std::time::Duration;

use smol_str::SmolStr;

use super::answer::{Reply, answer};
use super::receive::{Poked, Routed, Terms};
use super::remember::remember;
use crate::expression::{Env, Failure, Later, Scope, Template, Turn, Value};
use crate::memory::Remember;
use crate::message::{
    Attachment, Contact, Content, Event, EventKind, Fault, Location, Media, Piece, Source, Status,
};
use crate::plan::{Collect, ContactMember, Emission, Memos, Rule};
use crate::world::Millis;

/// Collects what the rules of one webhook make.
#[derive(Default)]
pub(super) struct Emitter {
    /// The events so far.
    pub(super) events: Vec<Routed>,
    /// The polls that are asked for.
    pub(super) polls: Vec<Poked>,
    /// What is remembered without an event.
    pub(super) remember: Vec<Remember>,
    /// Why something was left out on purpose.
    pub(super) ignored: Option<String>,
    /// Why something could not be understood.
    pub(super) failed: Option<String>,
    /// The answer of a rule that ends the request.
    pub(super) reply: Option<Reply>,
    /// The answer of the last rule that made an event and has one.
    pub(super) ack: Option<Reply>,
    /// The only node that is looked at: its place in each list on the way to it.
    only: Option<Vec<usize>>,
    /// The place of the current node.
    path: Vec<usize>,
    seen: HashSet<(usize, SmolStr)>,
    channel: SmolStr,
}

impl Emitter {
    /// One that looks at a single node, at its place in each list on the way to it.
    pub(super) fn only(place: &[usize]) -> Self {
        Self { only: Some(place.to_vec()), ..Self::default() }
    }

    /// Goes to an item of a list, and says whether it is looked at; [`Emitter::leave`] comes back.
    pub(super) fn enter(&mut self, index: usize) -> bool {
        let depth = self.path.len();
        self.path.push(index);
        self.only.as_ref().is_none_or(|only| only.get(depth).is_none_or(|place| *place == index))
    }

    /// Comes back from an item.
    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// Applies a webhook's rule to the current node, for a channel.
    pub(super) fn node(&mut self, rule: &Rule, channel: &SmolStr, env: &mut Env<'_>) {
        env.answers.deferred = false;
        self.channel = channel.clone();
        if let Err(failure) = self.apply(rule, env) {
            self.failed.get_or_insert(failure.0);
        }
    }

    /// Applies one rule; says whether it took the node, so that later rules don't see it.
    fn rule(&mut self, rule: &Rule, env: &mut Env<'_>) -> Result<bool, Failure> {
        let Some(each) = &rule.each else {
            let took = self.apply(rule, env)?;
            return Ok(took && !rule.also);
        };
        let list = each.eval(env)?;
        let items: &[Value] = match &list {
            Value::Null => &[],
            Value::List(items) => items,
            other => std::slice::from_ref(other),
        };
        let (it, turn) = (env.scope(Scope::It).clone(), env.turn);
        for (index, item) in items.iter().enumerate() {
            if self.reply.is_some() {
                break;
            }
            env.set(Scope::It, item.clone());
            env.turn = Turn { index, count: items.len() };
            // One bad item must not take the others of its batch with it.
            if self.enter(index)
                && let Err(failure) = self.apply(rule, env)
            {
                self.failed.get_or_insert(failure.0);
            }
            self.leave();
        }
        env.set(Scope::It, it);
        env.turn = turn;
        Ok(false)
    }

    /// Applies a rule to the current node; says whether it took it.
    fn apply(&mut self, rule: &Rule, env: &mut Env<'_>) -> Result<bool, Failure> {
        if let Some(unique) = &rule.unique {
            let key = unique.eval(env)?.to_text();
            let place = std::ptr::from_ref(rule).addr();
            if !key.is_empty() && !self.seen.insert((place, key)) {
                return Ok(true);
            }
        }
        if let Some(when) = &rule.when
            && !when.holds(env)?
        {
            return Ok(false);
        }
        env.world.reach(rule);
        rule.lets.bind(env)?;
        if let Some(ignore) = &rule.ignore
            && ignore.asks(env)?
        {
            self.ignored.get_or_insert_with(|| "a rule ignores it".into());
            return Ok(true);
        }
        if let Some(reply) = &rule.reply {
            self.reply = Some(answer(reply, env)?);
            return Ok(true);
        }
        let mut emitted = false;
        if let Some(emission) = &rule.emit {
            emitted = self.emit(emission, env)?;
            if let (true, Some(ack)) = (emitted, &rule.ack) {
                self.ack = Some(answer(ack, env)?);
            }
        }
        if let Some(poke) = &rule.poll {
            let with = poke.with.eval(env)?;
            self.polls.push(Poked { channel: self.channel.clone(), poll: poke.poll.clone(), with });
        }
        if let Some(memos) = &rule.remember {
            let changes = self.changes(memos, env)?;
            match self.events.last_mut().filter(|_| emitted) {
                Some(routed) => routed.terms.remember = changes,
                None => self.remember.extend(changes),
            }
        }
        let took = rule.emit.is_some() || rule.poll.is_some();
        for inner in &rule.rules {
            if self.rule(inner, env)? || self.reply.is_some() {
                return Ok(true);
            }
        }
        Ok(took)
    }

    /// Makes an event; says whether there was one to make.
    fn emit(&mut self, emission: &Emission, env: &mut Env<'_>) -> Result<bool, Failure> {
        let made = event(emission, env)?;
        match made {
            Ok(event) => {
                let terms = terms(emission, &self.path, env)?;
                env.set(Scope::Event, scope_of(&event));
                self.events.push(Routed { channel: self.channel.clone(), event, terms });
                Ok(true)
            }
            Err(reason) => {
                self.ignored.get_or_insert(reason);
                Ok(false)
            }
        }
    }

    fn changes(&self, memos: &Memos, env: &mut Env<'_>) -> Result<Vec<Remember>, Failure> {
        let contact = match &memos.contact {
            Some(contact) => contact.eval(env)?.to_text(),
            None => SmolStr::default(),
        };
        remember(&memos.memos, &self.channel, &contact, env)
    }
}

/// How an event is delivered.
fn terms(emission: &Emission, place: &[usize], env: &mut Env<'_>) -> Result<Terms, Failure> {
    let unless_sent = text(emission.unless_sent.as_ref(), env)?;
    let piece = match &emission.collect {
        Some(collect) => piece(collect, env)?,
        None => None,
    };
    let deferred = (emission.late && env.answers.deferred).then(|| place.to_vec());
    Ok(Terms { delay: millis(emission.delay), unless_sent, piece, remember: Vec::new(), deferred })
}

/// The place of an event among the pieces of its message; none if it is a message of its own.
fn piece(collect: &Collect, env: &mut Env<'_>) -> Result<Option<Piece>, Failure> {
    const MOST: u16 = 255;
    if let Some(when) = &collect.when
        && !when.holds(env)?
    {
        return Ok(None);
    }
    let key = collect.key.eval(env)?.to_text();
    let index = collect.index.eval(env)?.to_int().and_then(|index| u16::try_from(index).ok());
    let total = collect.total.eval(env)?.to_int().and_then(|total| u16::try_from(total).ok());
    // What makes no sense as a piece is not kept back.
    let (Some(index), Some(total @ 2..=MOST)) = (index, total) else { return Ok(None) };
    Ok((!key.is_empty()).then(|| Piece { key, index, total, ttl: millis(collect.ttl) }))
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// The scope `event`.
fn scope_of(event: &Event) -> Value {
    let contact = [("id", Value::text(&event.contact.id)), ("name", Value::from(event.contact.name.clone()))];
    Value::record([
        ("id", Value::text(&event.id)),
        ("type", Value::text(event.kind.as_str())),
        ("contact", Value::record(contact)),
    ])
}

/// The event, or why there is none on purpose.
fn event(emission: &Emission, env: &mut Env<'_>) -> Result<Result<Event, String>, Failure> {
    let mut kind = emission.kind;
    let status = match &emission.status {
        None => None,
        Some(template) => match status(&template.eval(env)?) {
            Ok(status) => Some(status),
            Err(reason) => return Ok(Err(reason)),
        },
    };
    let mut content = Content {
        text: text(emission.text.as_ref(), env)?,
        attachments: attachments(emission.attachments.as_ref(), env)?,
        location: location(emission.location.as_ref(), env)?,
        quick_replies: Vec::new(),
    };
    if let Some(told) = text(emission.as_text.as_ref(), env)? {
        content.text = Some(told);
        kind = EventKind::Message;
    }
    // What is not known yet may say something.
    let may_say = emission.late && env.answers.deferred;
    if may_say && emission.as_text.is_some() {
        kind = EventKind::Message;
    }
    let is_message = matches!(kind, EventKind::Message | EventKind::MessageEcho);
    if is_message && content.is_empty() && !may_say {
        return Ok(Err("the message has neither text nor attachment nor location".into()));
    }
    let id = emission.id.eval(env)?.to_text();
    let up_to = match &emission.up_to {
        Some(template) => match moment(&template.eval(env)?) {
            Some(moment) => Some(moment),
            None => return Ok(Err("this status names no moment".into())),
        },
        None => None,
    };
    if id.is_empty() && (is_message || kind == EventKind::MessageStatus) && up_to.is_none() {
        return Err(Failure("the event has no id".into()));
    }
    let contact = contact(&emission.contact, env)?;
    if contact.id.is_empty() && (is_message || up_to.is_some()) {
        return Err(Failure("the event names no contact".into()));
    }
    let error = match (&emission.error, status) {
        (Some(template), Some(Status::Failed)) => fault(&template.eval(env)?),
        _ => None,
    };
    let timestamp = match &emission.timestamp {
        Some(template) => moment(&template.eval(env)?).unwrap_or(env.now),
        None => env.now,
    };
    let id_owner = emission.id_owner;
    Ok(Ok(Event { kind, id: id.into(), id_owner, timestamp, contact, content, status, error, up_to }))
}

/// A status, or why it is no news.
fn status(value: &Value) -> Result<Status, String> {
    match value.to_text().as_str() {
        "" => Err("this status is no news".into()),
        "sent" => Ok(Status::Sent),
        "delivered" => Ok(Status::Delivered),
        "read" => Ok(Status::Read),
        "failed" => Ok(Status::Failed),
        "retry" => Err("the provider will try again".into()),
        other => Err(format!("`{other}` is not a status")),
    }
}

/// A moment in milliseconds; one that can't be is none: before September 2001 it is zero or seconds, after 2100
/// it is something else.
fn moment(value: &Value) -> Option<Millis> {
    const START: Millis = 1_000_000_000_000;
    const END: Millis = 4_102_444_800_000;
    value
        .to_int()
        .and_then(|moment| Millis::try_from(moment).ok())
        .filter(|moment| (START..END).contains(moment))
}

fn text(template: Option<&Template>, env: &mut Env<'_>) -> Result<Option<String>, Failure> {
    match template {
        None => Ok(None),
        Some(template) => Ok(template.text(env)?.map(String::from)),
    }
}

fn attachments(template: Option<&Template>, env: &mut Env<'_>) -> Result<Vec<Attachment>, Failure> {
    let Some(template) = template else { return Ok(Vec::new()) };
    let value = template.eval(env)?;
    let items = match &value {
        Value::List(items) => items.as_slice(),
        Value::Null => &[],
        other => std::slice::from_ref(other),
    };
    Ok(items.iter().filter_map(|item| attachment(item, env)).collect())
}

/// An attachment; one without a URL is none.
fn attachment(value: &Value, env: &Env<'_>) -> Option<Attachment> {
    let member = |name: &str| Some(value.get(name).to_text().to_string()).filter(|text| !text.is_empty());
    let url = member("url")?;
    let (url, source) = match env.later(&url).cloned() {
        Some(Later { call, arguments }) => (String::new(), Some(Source::Call { call, arguments })),
        None => (url, None),
    };
    let mime = member("mime");
    let media = match member("type").as_deref() {
        Some("image") => Media::Image,
        Some("video") => Media::Video,
        Some("audio") => Media::Audio,
        Some("file") => Media::File,
        _ => mime.as_deref().map_or_else(|| Media::of_url(&url), Media::of_mime),
    };
    Some(Attachment { media, url, source, mime, name: member("name"), caption: member("caption") })
}

fn location(template: Option<&Template>, env: &mut Env<'_>) -> Result<Option<Location>, Failure> {
    let Some(template) = template else { return Ok(None) };
    let value = template.eval(env)?;
    let member = |name: &str| Some(value.get(name).to_text().to_string()).filter(|text| !text.is_empty());
    let degrees = |name: &str, most: f64| value.get(name).to_number().filter(|degrees| degrees.abs() <= most);
    let (Some(latitude), Some(longitude)) = (degrees("latitude", 90.0), degrees("longitude", 180.0)) else {
        return Ok(None);
    };
    Ok(Some(Location { latitude, longitude, name: member("name"), address: member("address") }))
}

fn fault(value: &Value) -> Option<Fault> {
    let fault = match value {
        Value::Map(_) => {
            Fault { code: value.get("code").to_text().into(), message: value.get("message").to_text().into() }
        }
        other => Fault { code: String::new(), message: other.to_text().into() },
    };
    (fault != Fault::default()).then_some(fault)
}

fn contact(members: &[(ContactMember, Template)], env: &mut Env<'_>) -> Result<Contact, Failure> {
    let mut contact = Contact::default();
    for (member, template) in members {
        let value = template.text(env)?.map(String::from);
        let place = match member {
            ContactMember::Id => {
                contact.id = value.unwrap_or_default();
                continue;
            }
            ContactMember::Name => &mut contact.name,
            ContactMember::FirstName => &mut contact.first_name,
            ContactMember::LastName => &mut contact.last_name,
            ContactMember::Avatar => &mut contact.avatar,
            ContactMember::Country => &mut contact.country,
            ContactMember::Email => &mut contact.email,
            ContactMember::Phone => &mut contact.phone,
            ContactMember::Language => &mut contact.language,
            ContactMember::Locale => &mut contact.locale,
            ContactMember::Timezone => &mut contact.timezone,
        };
        *place = value;
    }
    Ok(contact)
}
