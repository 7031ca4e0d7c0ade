//! A message to the parts that the provider can carry.
//!
//! Invariant: whatever the mapping does not declare native becomes text ([`super::as_text`]); nothing is dropped
//! unless the mapping says `drop`. The parts are a location, then attachments and texts in the plan's order.

use super::as_text::{add_attachment, add_line, add_location, add_quick_replies};
use super::split::{size, split};
use crate::expression::{Env, Failure, Map, Value};
use crate::message::{Attachment, Content, Location, Media, QuickReply};
use crate::plan::{AttachmentMode, Caption, Order, Overflow, Parts, ReplyParts, TextParts, Unit};

/// The most parts that one message may become.
const MOST: usize = 100;

/// Cuts a message into parts: the values of the scope `parts`.
pub(super) fn parts(rules: &Parts, content: &Content, env: &mut Env<'_>) -> Result<Vec<Value>, Failure> {
    let mut text = content.text.clone().unwrap_or_default();
    let replies = native_replies(rules, content);
    let mut attachments = native_attachments(rules, content, &mut text);
    if let Some(location) = content.location.as_ref().filter(|_| !rules.location) {
        add_location(&mut text, location);
    }
    if replies.is_none() {
        add_quick_replies(&mut text, &content.quick_replies);
    }
    caption(rules, &mut attachments, &mut text, replies.is_none(), env)?;

    let mut texts: Vec<Map> = texts(&rules.text, &text, env)?
        .into_iter()
        .map(|text| part("text", [("text", text.into())]))
        .collect();
    let list = || Value::list(attachments.iter().map(attachment_value).collect());
    let own_parts = match rules.attachments.mode {
        AttachmentMode::Each => attachments.iter().map(attachment_part).collect(),
        AttachmentMode::OneRequest if !attachments.is_empty() => {
            vec![part("attachments", [("attachments", list())])]
        }
        AttachmentMode::FirstPart if !attachments.is_empty() => {
            if texts.is_empty() {
                texts.push(part("text", []));
            }
            set(texts.first_mut(), "attachments", list());
            Vec::new()
        }
        _ => Vec::new(),
    };
    if let Some(rules) = replies {
        let carrier = if rules.on_first { texts.first_mut() } else { texts.last_mut() };
        set(carrier, "quick_replies", Value::list(content.quick_replies.iter().map(reply_value).collect()));
    }
    let location = content.location.as_ref().filter(|_| rules.location).map(location_part);
    let (before, after) = match rules.attachments.order {
        Order::BeforeText => (own_parts, texts),
        Order::AfterText => (texts, own_parts),
    };
    numbered(location.into_iter().chain(before).chain(after).collect())
}

/// Says of every part where it stands.
fn numbered(mut parts: Vec<Map>) -> Result<Vec<Value>, Failure> {
    if parts.len() > MOST {
        let count = parts.len();
        return Err(Failure(format!("the message would become {count} parts; at most {MOST} are sent")));
    }
    let last = parts.len().saturating_sub(1);
    for (index, part) in parts.iter_mut().enumerate() {
        set(Some(part), "index", index.into());
        set(Some(part), "first", (index == 0).into());
        set(Some(part), "last", (index == last).into());
    }
    Ok(parts.into_iter().map(|part| Value::Map(part.into())).collect())
}

/// How quick replies travel as the provider's own kind; none if they can't. They hang on a text, so they need one.
fn native_replies<'r>(rules: &'r Parts, content: &Content) -> Option<&'r ReplyParts> {
    let replies = &content.quick_replies;
    let has_text = content.text.as_deref().is_some_and(|text| !text.trim().is_empty());
    let too_long = |reply: &QuickReply, max: usize| !size(&reply.title, max, rules.text.unit).fits();
    rules.quick_replies.as_ref().filter(|rules| {
        let fits = |max| !replies.iter().any(|reply| too_long(reply, max));
        has_text && !replies.is_empty() && replies.len() <= rules.max && rules.title_max.is_none_or(fits)
    })
}

/// The attachments that travel as they are; the others become lines of the text.
fn native_attachments(rules: &Parts, content: &Content, text: &mut String) -> Vec<Attachment> {
    let rules = &rules.attachments;
    let mut native = Vec::new();
    for attachment in &content.attachments {
        match rules.mode {
            AttachmentMode::Drop => {}
            AttachmentMode::AsText => add_attachment(text, attachment),
            _ if rules.takes(attachment) => native.push(attachment.clone()),
            _ => add_attachment(text, attachment),
        }
    }
    native
}

/// Leaves captions where they may be; the others move into the text. The text moves into the caption of the only
/// attachment, or of the first that takes it, if it may (`free`: nothing else needs the text).
fn caption(
    rules: &Parts,
    attachments: &mut [Attachment],
    text: &mut String,
    free: bool,
    env: &mut Env<'_>,
) -> Result<(), Failure> {
    if attachments.is_empty() {
        return Ok(());
    }
    let limits = Limits::of(rules.attachments.caption.as_ref(), rules.text.unit, env)?;
    for attachment in attachments.iter_mut() {
        if !attachment.caption.as_deref().is_some_and(|caption| limits.allow(attachment.media, caption)) {
            add_line(text, &attachment.caption.take().unwrap_or_default());
        }
    }
    let whole = text.trim();
    if !free || whole.is_empty() || (attachments.len() > 1 && !rules.attachments.absorb) {
        return Ok(());
    }
    for attachment in attachments {
        let mut wanted = attachment.caption.clone().unwrap_or_default();
        add_line(&mut wanted, whole);
        if limits.allow(attachment.media, &wanted) {
            attachment.caption = Some(wanted);
            text.clear();
            break;
        }
    }
    Ok(())
}

/// Which captions there may be in one message.
struct Limits<'r> {
    media: &'r [Media],
    max: Option<usize>,
    unit: Unit,
}

impl<'r> Limits<'r> {
    fn of(rules: Option<&'r Caption>, unit: Unit, env: &mut Env<'_>) -> Result<Self, Failure> {
        let allowed = match rules {
            Some(rules) => match &rules.when {
                Some(when) => when.holds(env)?,
                None => true,
            },
            None => false,
        };
        let Some(rules) = rules.filter(|_| allowed) else { return Ok(Self { media: &[], max: None, unit }) };
        let max = match &rules.max {
            Some(max) => max.eval(env)?.to_int().and_then(|max| usize::try_from(max).ok()),
            None => None,
        };
        Ok(Self { media: &rules.media, max, unit })
    }

    fn allow(&self, media: Media, caption: &str) -> bool {
        self.media.contains(&media) && self.max.is_none_or(|max| size(caption, max, self.unit).fits())
    }
}

/// The pieces of the text.
fn texts(rules: &TextParts, text: &str, env: &mut Env<'_>) -> Result<Vec<String>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let max = match &rules.max {
        Some(max) => max.eval(env)?.to_int().and_then(|max| usize::try_from(max).ok()),
        None => None,
    };
    let Some(max) = max.filter(|max| *max > 0) else { return Ok(vec![text.to_string()]) };
    let size = size(text, max, rules.unit);
    if size.fits() {
        return Ok(vec![text.to_string()]);
    }
    match rules.overflow {
        Overflow::Split => Ok(split(text, max, rules.unit)),
        Overflow::Truncate => Ok(split(text, max, rules.unit).into_iter().take(1).collect()),
        Overflow::Fail => Err(Failure(format!(
            "the text has {} {}; the provider takes at most {}",
            size.count,
            size.unit.as_str(),
            size.max
        ))),
    }
}

fn part<const N: usize>(kind: &'static str, members: [(&'static str, Value); N]) -> Map {
    let mut part = Map::new();
    part.insert("kind", Value::text(kind));
    for (name, value) in members {
        if !value.is_empty() {
            part.insert(name, value);
        }
    }
    part
}

fn set(part: Option<&mut Map>, name: &'static str, value: Value) {
    if let Some(part) = part {
        part.insert(name, value);
    }
}

fn attachment_part(attachment: &Attachment) -> Map {
    part(
        "attachment",
        [
            ("media", Value::text(attachment.media.as_str())),
            ("url", Value::text(&attachment.url)),
            ("mime", Value::from(attachment.mime.clone())),
            ("name", Value::from(attachment.name.clone())),
            ("caption", Value::from(attachment.caption.clone())),
        ],
    )
}

fn location_part(location: &Location) -> Map {
    part(
        "location",
        [
            ("latitude", Value::Float(location.latitude)),
            ("longitude", Value::Float(location.longitude)),
            ("name", Value::from(location.name.clone())),
            ("address", Value::from(location.address.clone())),
        ],
    )
}

/// An attachment as the scopes `message` and `part` have it.
pub(super) fn attachment_value(attachment: &Attachment) -> Value {
    known([
        ("type", Value::text(attachment.media.as_str())),
        ("url", Value::text(&attachment.url)),
        ("mime", Value::from(attachment.mime.clone())),
        ("name", Value::from(attachment.name.clone())),
        ("caption", Value::from(attachment.caption.clone())),
    ])
}

/// A quick reply as the scopes `message` and `part` have it.
pub(super) fn reply_value(reply: &QuickReply) -> Value {
    known([("title", Value::text(&reply.title)), ("url", Value::from(reply.url.clone()))])
}

/// A map of the members that are known: a mapping may send it as it is, and providers refuse null.
fn known<const N: usize>(members: [(&'static str, Value); N]) -> Value {
    Value::map(members.into_iter().filter(|(_, value)| !value.is_empty()))
}

#[cfg(test)]
mod tests;
