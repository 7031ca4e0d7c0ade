//! Events to the platform's webhook.

use std::sync::Arc;

use smol_str::SmolStr;

use super::{LONGEST_TEXT, contact_alias, message_alias};
use crate::expression::{Map, Value};
use crate::message::{Attachment, Contact, Event, EventKind, Location};
use crate::pipeline::split;
use crate::plan::{ContactIdKind, Unit};

/// A Custom Channel, as far as its events need it.
#[derive(Clone, Debug)]
pub struct PlatformChannel {
    /// The platform's id of the channel.
    pub channel_id: String,
    /// The ID type of its contacts.
    pub id_type: ContactIdKind,
}

/// Why an event can't be posted: the platform would refuse it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unpostable(pub String);

/// What one request tells the platform of one contact.
#[derive(Clone, Debug)]
pub struct Posting {
    contact_id: SmolStr,
    events: Vec<Value>,
    contact: Map,
}

impl Posting {
    /// What posts an event; none for kinds that the platform does not know.
    pub fn of(channel: &PlatformChannel, event: &Event) -> Result<Option<Self>, Unpostable> {
        let events = match event.kind {
            EventKind::Message => messages("message", event),
            EventKind::MessageEcho => messages("message_echo", event),
            EventKind::MessageStatus => vec![status(event)],
            EventKind::OptOut | EventKind::Contact | EventKind::Event => return Ok(None),
        };
        if events.is_empty() {
            return Ok(None);
        }
        if event.contact.id.is_empty() {
            return Err(Unpostable("the event names no contact".into()));
        }
        let contact_id = match (event.kind, channel.id_type) {
            // The platform named this contact itself, when it handed the message over.
            (EventKind::MessageStatus, ContactIdKind::Phone) => SmolStr::new(&event.contact.id),
            _ => contact_id(channel, &event.contact.id)?,
        };
        let is_status = event.kind == EventKind::MessageStatus;
        let contact = if is_status { Map::new() } else { contact(&event.contact) };
        Ok(Some(Self { contact_id, events, contact }))
    }

    /// Takes in what comes next, if that is about the same contact and no more than `most` events come together;
    /// whether it did.
    ///
    /// A contact of whom other things are known now is told of in a request of its own: of two objects the platform would
    /// make a contact that neither of them meant.
    pub fn join(&mut self, next: &Self, most: usize) -> bool {
        let is_same = self.contact_id == next.contact_id
            && (self.contact == next.contact || self.contact.is_empty() || next.contact.is_empty());
        let fits = is_same && self.events.len() + next.events.len() <= most;
        if fits {
            self.events.extend_from_slice(&next.events);
            if self.contact.is_empty() {
                self.contact = next.contact.clone();
            }
        }
        fits
    }

    /// The body of the request.
    pub fn body(self, channel: &PlatformChannel) -> Value {
        let mut body = Map::new();
        body.insert("channelId", Value::text(&channel.channel_id));
        body.insert("contactId", Value::Text(self.contact_id));
        body.insert("events", Value::list(self.events));
        if !self.contact.is_empty() {
            body.insert("contact", Value::Map(self.contact.into()));
        }
        Value::Map(Arc::new(body))
    }
}

/// The body of the request that posts an event; none for kinds that the platform does not know.
pub fn request_body(channel: &PlatformChannel, event: &Event) -> Result<Option<Value>, Unpostable> {
    Ok(Posting::of(channel, event)?.map(|posting| posting.body(channel)))
}

/// The contact's id as the channel can hold it.
fn contact_id(channel: &PlatformChannel, id: &str) -> Result<SmolStr, Unpostable> {
    match channel.id_type {
        ContactIdKind::Custom => Ok(SmolStr::new(contact_alias(id))),
        ContactIdKind::Phone if is_e164(id) => Ok(SmolStr::new(id)),
        ContactIdKind::Phone => Err(Unpostable(format!(
            "`{id}` is not a phone number (+ and 7 to 15 digits), and the channel's ID type is phone"
        ))),
    }
}

fn is_e164(id: &str) -> bool {
    id.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// One platform event for each thing that a message says; ids `mId`, `mId-1` and so on.
fn messages(kind: &'static str, event: &Event) -> Vec<Value> {
    let content = &event.content;
    let mut messages: Vec<Value> = texts(content.text.as_deref().unwrap_or_default()).collect();
    for one in &content.attachments {
        match attachment(one) {
            Some(attachment) => messages.push(attachment),
            None => messages.extend(texts(&described(one))),
        }
    }
    messages.extend(content.location.as_ref().map(location));
    let id = message_alias(&event.id);
    let numbered = |(index, message): (usize, Value)| {
        let id = if index == 0 { id.to_string() } else { format!("{id}-{index}") };
        Value::map([
            ("type", Value::text(kind)),
            ("mId", Value::from(id)),
            ("timestamp", Value::from(event.timestamp)),
            ("message", message),
        ])
    };
    messages.into_iter().enumerate().map(numbered).collect()
}

/// A text, in as many messages as it takes.
fn texts(text: &str) -> impl Iterator<Item = Value> {
    let pieces = split(text, LONGEST_TEXT, Unit::Chars).into_iter();
    pieces.map(|text| Value::map([("type", Value::text("text")), ("text", Value::from(text))]))
}

/// An attachment; none for one that the platform can't fetch, and would refuse the whole message for.
fn attachment(attachment: &Attachment) -> Option<Value> {
    url::Url::parse(&attachment.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut inner = Map::new();
    inner.insert("type", Value::text(attachment.media.as_str()));
    inner.insert("url", Value::text(&attachment.url));
    put(&mut inner, "mimeType", attachment.mime.as_deref());
    put(&mut inner, "fileName", attachment.name.as_deref());
    put(&mut inner, "description", attachment.caption.as_deref());
    Some(Value::map([("type", Value::text("attachment")), ("attachment", Value::Map(inner.into()))]))
}

/// An attachment that can't be one, as text: what it was.
fn described(attachment: &Attachment) -> String {
    let kind = format!("[{}]", attachment.media.as_str());
    let words = [Some(&kind), attachment.name.as_ref(), attachment.caption.as_ref()];
    words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn location(location: &Location) -> Value {
    let mut inner = Map::new();
    inner.insert("type", Value::text("location"));
    inner.insert("latitude", Value::Float(location.latitude));
    inner.insert("longitude", Value::Float(location.longitude));
    let address =
        [&location.name, &location.address].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    put(&mut inner, "address", Some(&address.join(", ")));
    Value::Map(inner.into())
}

fn status(event: &Event) -> Value {
    let mut status = Map::new();
    put(&mut status, "value", event.status.map(crate::message::Status::as_str));
    put(&mut status, "message", event.error.as_ref().map(ToString::to_string).as_deref());
    Value::map([
        ("type", Value::text("message_status")),
        ("mId", Value::text(message_alias(&event.id))),
        ("timestamp", Value::from(event.timestamp)),
        ("status", Value::Map(status.into())),
    ])
}

fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What is known of a contact, in the platform's words; what it could not read is left out.
fn contact(contact: &Contact) -> Map {
    let letters = |text: &&str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let name = contact.name.as_deref().unwrap_or_default().trim();
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    let mut map = Map::new();
    put(&mut map, "firstName", contact.first_name.as_deref().or(Some(first)));
    put(
        &mut map,
        "lastName",
        contact.last_name.as_deref().or(Some(if contact.first_name.is_some() { "" } else { last })),
    );
    put(&mut map, "profilePic", contact.avatar.as_deref().filter(|url| is_web_address(url)));
    put(
        &mut map,
        "countryCode",
        contact.country.as_deref().filter(letters).map(str::to_uppercase).as_deref(),
    );
    put(&mut map, "email", contact.email.as_deref().filter(|email| email.contains('@')));
    put(&mut map, "phone", contact.phone.as_deref().filter(|phone| is_e164(phone)));
    put(&mut map, "language", contact.language.as_deref().filter(letters).map(str::to_lowercase).as_deref());
    put(&mut map, "locale", contact.locale.as_deref());
    put(&mut map, "timezone", contact.timezone.as_deref());
    map
}

/// Puts a text into a map, unless there is none.
fn put(map: &mut Map, name: &'static str, text: Option<&str>) {
    if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) {
        map.insert(name, Value::text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Content, Fault, IdOwner, Media, Status};

    fn event() -> Event {
        Event {
            kind: EventKind::Message,
            id: "m1".into(),
            id_owner: IdOwner::Provider,
            timestamp: 1_700_000_000_000,
            contact: Contact {
                id: "+60123456789".into(),
                name: Some("Ada King Lovelace".into()),
                ..Contact::default()
            },
            content: Content { text: Some("hi".into()), ..Content::default() },
            status: None,
            error: None,
            up_to: None,
        }
    }

    fn body(id_type: ContactIdKind, event: &Event) -> String {
        let channel = PlatformChannel { channel_id: "ch".into(), id_type };
        request_body(&channel, event).unwrap().unwrap().to_json().unwrap()
    }

    #[test]
    fn a_text_and_who_wrote_it() {
        assert_eq!(
            body(ContactIdKind::Phone, &event()),
            r#"{"channelId":"ch","contactId":"+60123456789","events":[{"type":"message","mId":"m1","timestamp":1700000000000,"message":{"type":"text","text":"hi"}}],"contact":{"firstName":"Ada","lastName":"King Lovelace"}}"#
        );
    }

    #[test]
    fn everything_that_a_message_says_is_an_event_with_an_id_of_its_own() {
        let mut event = event();
        event.content.text = Some(format!("{} {}", "a".repeat(7000), "b"));
        event.content.attachments =
            vec![Attachment { media: Media::Image, url: "https://x/a".into(), ..Attachment::default() }];
        event.content.location = Some(Location {
            latitude: 1.5,
            longitude: 2.0,
            name: Some("N".into()),
            address: Some("A".into()),
        });
        let body = body(ContactIdKind::Phone, &event);
        for id in ["\"m1\"", "\"m1-1\"", "\"m1-2\"", "\"m1-3\""] {
            assert!(body.contains(id), "{id}");
        }
        assert!(body.contains(r#"{"type":"location","latitude":1.5,"longitude":2.0,"address":"N, A"}"#));
    }

    #[test]
    fn nothing_that_is_empty_or_unreadable_is_posted() {
        let mut event = event();
        event.contact = Contact {
            id: "US.1-2".into(),
            country: Some("USA".into()),
            language: Some("EN".into()),
            email: Some("nope".into()),
            phone: Some("12".into()),
            avatar: Some(String::new()),
            ..Contact::default()
        };
        let body = body(ContactIdKind::Custom, &event);
        assert!(
            body.contains(r#""contactId":"c_"#) && body.ends_with(r#""contact":{"language":"en"}}"#),
            "{body}"
        );
    }

    #[test]
    fn events_of_a_contact_go_together_unless_something_else_is_known_of_it() {
        let channel = PlatformChannel { channel_id: "ch".into(), id_type: ContactIdKind::Phone };
        let posting = |event: &Event| Posting::of(&channel, event).unwrap().unwrap();
        let mut status = event();
        status.kind = EventKind::MessageStatus;
        status.status = Some(Status::Read);
        let named = |id: &str, name: &str| {
            let mut event = event();
            event.contact.id = id.into();
            event.contact.name = Some(name.into());
            event
        };
        let own = event().contact.id;
        let mut all = posting(&status);
        assert!(all.join(&posting(&event()), 10) && all.join(&posting(&status), 3));
        assert!(!all.join(&posting(&named("+60123456780", "Ada King Lovelace")), 10), "another contact");
        assert!(!all.join(&posting(&named(&own, "Countess")), 10), "another name");
        assert!(!all.join(&posting(&event()), 3), "too many");
        assert_eq!(
            all.body(&channel).to_json().unwrap(),
            r#"{"channelId":"ch","contactId":"+60123456789","events":[{"type":"message_status","mId":"m1","timestamp":1700000000000,"status":{"value":"read"}},{"type":"message","mId":"m1","timestamp":1700000000000,"message":{"type":"text","text":"hi"}},{"type":"message_status","mId":"m1","timestamp":1700000000000,"status":{"value":"read"}}],"contact":{"firstName":"Ada","lastName":"King Lovelace"}}"#
        );
    }

    #[test]
    fn a_failure_carries_the_provider_s_reason() {
        let mut event = event();
        event.kind = EventKind::MessageStatus;
        event.status = Some(Status::Failed);
        event.error = Some(Fault { code: "30007".into(), message: "Filtered".into() });
        assert!(
            body(ContactIdKind::Phone, &event)
                .contains(r#""status":{"value":"failed","message":"Filtered (30007)"}"#)
        );
    }

    #[test]
    fn no_text_is_longer_than_the_platform_takes_whatever_it_came_from() {
        let mut event = event();
        let caption = Some("c".repeat(2 * LONGEST_TEXT));
        event.content.attachments =
            vec![Attachment { url: "data:x".into(), caption, ..Attachment::default() }];
        let body: Value = Value::from_json(body(ContactIdKind::Phone, &event).as_bytes()).unwrap();
        let events = body.get("events").as_list().unwrap();
        assert!(events.len() > 2);
        for event in events {
            assert!(event.get("message").get("text").to_text().chars().count() <= LONGEST_TEXT);
        }
    }

    #[test]
    fn what_the_platform_can_t_fetch_is_described() {
        let mut event = event();
        event.content.attachments = vec![Attachment {
            media: Media::Image,
            url: "data:image/png;base64,xx".into(),
            caption: Some("look".into()),
            ..Attachment::default()
        }];
        let body = body(ContactIdKind::Phone, &event);
        assert!(body.contains(r#""message":{"type":"text","text":"[image] look"}"#), "{body}");
        assert!(!body.contains("data:"), "{body}");
    }

    #[test]
    fn a_status_names_the_contact_as_the_platform_did() {
        let mut event = event();
        event.kind = EventKind::MessageStatus;
        event.status = Some(Status::Delivered);
        event.contact.id = "60123456789".into();
        assert!(body(ContactIdKind::Phone, &event).contains(r#""contactId":"60123456789""#));
        event.contact.id.clear();
        let channel = PlatformChannel { channel_id: "ch".into(), id_type: ContactIdKind::Custom };
        assert!(request_body(&channel, &event).is_err());
    }

    #[test]
    fn a_sender_that_is_no_number_can_t_be_posted_to_a_phone_channel() {
        let mut event = event();
        event.contact.id = "AMAZON".into();
        let channel = PlatformChannel { channel_id: "ch".into(), id_type: ContactIdKind::Phone };
        assert!(request_body(&channel, &event).unwrap_err().0.contains("AMAZON"));
    }
}
