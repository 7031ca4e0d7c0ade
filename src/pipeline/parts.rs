//! A message to the parts that the provider can carry.
//!
//! What the mapping does not declare native becomes text, in one way for all providers; nothing is dropped
//! unless the mapping says `drop`.

use super::split::{size, split};
use crate::expression::{Env, Failure, Map, Value};
use crate::message::{Attachment, Content, Location, Media, QuickReply};
use crate::plan::{AttachmentMode, Caption, Mode, Overflow, Parts};

/// The most parts that one message may become.
const MOST: usize = 100;

/// Cuts a message into parts: the values of the scope `parts`.
pub(super) fn parts(rules: &Parts, content: &Content, env: &mut Env<'_>) -> Result<Vec<Value>, Failure> {
    let mut text = content.text.clone().unwrap_or_default();
    let mut made = Vec::new();
    let replies = &content.quick_replies;
    let native_replies = !replies.is_empty()
        && rules.quick_replies == Mode::Native
        && replies.len() <= rules.quick_replies_max;
    let mut carried = Vec::new();
    match rules.attachments {
        AttachmentMode::Each => {
            for attachment in &content.attachments {
                made.push(attachment_part(rules, attachment, content, &mut text, env)?);
            }
        }
        AttachmentMode::FirstPart => {
            carried.clone_from(&content.attachments);
            for caption in content.attachments.iter().filter_map(|attachment| attachment.caption.as_ref()) {
                add_line(&mut text, caption);
            }
        }
        AttachmentMode::AsText => {
            content.attachments.iter().for_each(|one| add_attachment_lines(&mut text, one))
        }
        AttachmentMode::Drop => {}
    }
    if let Some(location) = &content.location {
        match rules.location {
            Mode::Native => made.push(location_part(location)),
            Mode::AsText => add_line(&mut text, &location_text(location)),
        }
    }
    if !native_replies {
        for (index, reply) in replies.iter().enumerate() {
            add_line(&mut text, &reply_line(index, reply));
        }
    }
    let texts = texts(rules, &text, env)?;
    let first_text = made.len();
    made.extend(texts.into_iter().map(|text| part("text", [("text", Value::from(text))])));
    if !carried.is_empty() || (native_replies && made.len() == first_text) {
        if made.len() == first_text {
            made.push(part("text", []));
        }
        let list = carried.iter().map(attachment_value).collect();
        set(made.get_mut(first_text), "attachments", Value::list(list));
    }
    if native_replies {
        let at = if rules.quick_replies_first { first_text } else { made.len().saturating_sub(1) };
        let list = replies.iter().map(reply_value).collect();
        set(made.get_mut(at), "quick_replies", Value::list(list));
    }
    if made.len() > MOST {
        return Err(Failure(format!(
            "the message would become {} parts; at most {MOST} are sent",
            made.len()
        )));
    }
    let last = made.len().saturating_sub(1);
    for (index, part) in made.iter_mut().enumerate() {
        set(Some(part), "index", index.into());
        set(Some(part), "first", (index == 0).into());
        set(Some(part), "last", (index == last).into());
    }
    Ok(made.into_iter().map(|part| Value::Map(part.into())).collect())
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

/// A part for one attachment. The message's text moves into the caption if it may; a caption that may not be
/// one moves into the text.
fn attachment_part(
    rules: &Parts,
    attachment: &Attachment,
    content: &Content,
    text: &mut String,
    env: &mut Env<'_>,
) -> Result<Map, Failure> {
    // Quick replies hang on the text, so it stays one where there are some.
    let alone =
        content.attachments.len() == 1 && content.location.is_none() && content.quick_replies.is_empty();
    let own = attachment.caption.clone().filter(|caption| !caption.is_empty());
    let wanted = match (&own, alone && !text.is_empty()) {
        (None, true) => Some(text.clone()),
        (Some(own), true) => Some(format!("{own}\n{text}")),
        (own, false) => (*own).clone(),
    };
    let fits = match (&rules.caption, &wanted) {
        (Some(caption), Some(wanted)) => may_caption(caption, attachment.media, wanted, rules, env)?,
        _ => false,
    };
    let caption = match (fits, own) {
        (true, _) => {
            if alone {
                text.clear();
            }
            wanted
        }
        (false, Some(own)) => {
            // The caption alone may still fit where caption and text together do not.
            let alone_fits = match &rules.caption {
                Some(caption) => may_caption(caption, attachment.media, &own, rules, env)?,
                None => false,
            };
            if !alone_fits {
                add_line(text, &own);
            }
            alone_fits.then_some(own)
        }
        (false, None) => None,
    };
    Ok(part(
        "attachment",
        [
            ("media", Value::text(attachment.media.as_str())),
            ("url", Value::text(&attachment.url)),
            ("mime", Value::from(attachment.mime.clone())),
            ("name", Value::from(attachment.name.clone())),
            ("caption", Value::from(caption)),
        ],
    ))
}

fn may_caption(
    caption: &Caption,
    media: Media,
    text: &str,
    rules: &Parts,
    env: &mut Env<'_>,
) -> Result<bool, Failure> {
    let allowed = match &caption.when {
        Some(when) => when.holds(env)?,
        None => true,
    };
    let fits = match &caption.max {
        Some(max) => max
            .eval(env)?
            .to_int()
            .and_then(|max| usize::try_from(max).ok())
            .is_none_or(|max| size(text, max, rules.unit).fits()),
        None => true,
    };
    Ok(allowed && fits && caption.media.contains(&media))
}

fn texts(rules: &Parts, text: &str, env: &mut Env<'_>) -> Result<Vec<String>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(max) = &rules.text_max else { return Ok(vec![text.to_string()]) };
    let Some(max) = max.eval(env)?.to_int().and_then(|max| usize::try_from(max).ok()).filter(|max| *max > 0)
    else {
        return Ok(vec![text.to_string()]);
    };
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

fn location_text(location: &Location) -> String {
    let Location { latitude, longitude, name, address } = location;
    let link = format!(
        "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}"
    );
    [name.clone(), address.clone(), Some(link)].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn reply_line(index: usize, reply: &QuickReply) -> String {
    match &reply.url {
        Some(url) => format!("{}. {}: {url}", index + 1, reply.title),
        None => format!("{}. {}", index + 1, reply.title),
    }
}

fn add_attachment_lines(text: &mut String, attachment: &Attachment) {
    if let Some(caption) = &attachment.caption {
        add_line(text, caption);
    }
    match &attachment.name {
        Some(name) => add_line(text, &format!("{name}: {}", attachment.url)),
        None => add_line(text, &attachment.url),
    }
}

fn add_line(text: &mut String, line: &str) {
    if line.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
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
