//! The words that both directions share: what a message, a contact, an event and a receipt are.
//!
//! These are Patchcord's own, canonical forms. `platform` turns them into the JSON of IS-Messenger and back, a
//! mapping turns them into a provider's; no other module knows either of those. Their serde form is the
//! canonical JSON of `dry-run`: members that hold nothing are left out.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::expression::Value;
use crate::world::Millis;

/// A person at the provider's side, as far as the provider tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// The provider's address of the person: what `to` of a reply will be.
    pub id: String,
    /// The whole name, where first and last name are not told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// First name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// URL of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// E.164.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Language and region, as in `en-GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// What kind of thing an attachment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    #[default]
    File,
}

impl Media {
    /// The kind that a MIME type stands for.
    pub fn of_mime(mime: &str) -> Self {
        match mime.split('/').next() {
            Some("image") => Self::Image,
            Some("video") => Self::Video,
            Some("audio") => Self::Audio,
            _ => Self::File,
        }
    }

    /// The kind that the ending of a URL's path stands for.
    pub fn of_url(url: &str) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        match path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("jpg" | "jpeg" | "png" | "gif" | "webp" | "heic" | "bmp") => Self::Image,
            Some("mp4" | "3gp" | "mov" | "webm" | "mkv") => Self::Video,
            Some("mp3" | "ogg" | "oga" | "opus" | "m4a" | "aac" | "amr" | "wav") => Self::Audio,
            _ => Self::File,
        }
    }

    /// `image`, `video`, `audio` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::File => "file",
        }
    }
}

/// Where a file is that the platform can't fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// At a URL, which wants credentials.
    Url {
        /// The URL.
        url: String,
    },
    /// At the URL that a call of the mapping gives; it is made whenever the file is fetched.
    Call {
        /// The call's name.
        call: SmolStr,
        /// What it is given.
        arguments: Value,
    },
}

/// A thing that is fetched from a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// What kind it is.
    #[serde(rename = "type")]
    pub media: Media,
    /// Where it is fetched from.
    pub url: String,
    /// Where it is fetched from if the one who fetches it can't do so: the gateway does then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// MIME type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// File name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text that belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

/// A place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Location {
    /// Degrees, north positive.
    pub latitude: f64,
    /// Degrees, east positive.
    pub longitude: f64,
    /// What the place is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// One answer that the contact can give with a tap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuickReply {
    /// What is shown, and sent back.
    pub title: String,
    /// A page to open instead of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What a message says; each part may be missing, not all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Things fetched from a URL, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// A place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Answers to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quick_replies: Vec<QuickReply>,
}

impl Content {
    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.text.as_deref().is_none_or(str::is_empty)
            && self.attachments.is_empty()
            && self.location.is_none()
            && self.quick_replies.is_empty()
    }
}

/// A message on its way from the platform to a contact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outbound {
    /// Our id of the message (`mId`), which receipts name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The provider's address of the contact.
    pub contact_id: String,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// The contact's language, where the platform tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// How far a message has come. The order is the order in which it moves; `Failed` is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The provider took it.
    Sent,
    /// It reached the contact's device.
    Delivered,
    /// The contact saw it.
    Read,
    /// It will not arrive.
    Failed,
}

impl Status {
    /// `sent`, `delivered`, `read` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// Why a provider refused or lost a message, in the provider's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// The provider's code; may be empty.
    pub code: String,
    /// What an agent can read and act on.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.message.as_str(), self.code.as_str()) {
            ("", code) => write!(f, "error {code}"),
            (message, "") => f.write_str(message),
            (message, code) => write!(f, "{message} ({code})"),
        }
    }
}

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The contact wrote.
    Message,
    /// The business wrote, from elsewhere.
    MessageEcho,
    /// A message moved on.
    MessageStatus,
    /// The contact wants no more messages.
    OptOut,
    /// Something about the contact became known.
    Contact,
    /// Anything else worth counting.
    Event,
}

impl EventKind {
    /// `message`, `message_echo` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::MessageEcho => "message_echo",
            Self::MessageStatus => "message_status",
            Self::OptOut => "opt_out",
            Self::Contact => "contact",
            Self::Event => "event",
        }
    }

    /// The kind that [`EventKind::as_str`] calls so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "message" => Self::Message,
            "message_echo" => Self::MessageEcho,
            "message_status" => Self::MessageStatus,
            "opt_out" => Self::OptOut,
            "contact" => Self::Contact,
            "event" => Self::Event,
            _ => return None,
        })
    }
}

/// Whose id a status names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdOwner {
    /// The provider's.
    #[default]
    Provider,
    /// Ours, which the provider echoes.
    Own,
}

/// One thing that happened at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The id of the message: the provider's, or for a status that says so, ours.
    pub id: String,
    /// Whose id it is.
    #[serde(skip)]
    pub id_owner: IdOwner,
    /// When it happened.
    pub timestamp: Millis,
    /// Who it concerns; a status may name nobody.
    pub contact: Contact,
    /// What was said.
    #[serde(flatten)]
    pub content: Content,
    /// How far the message has come; for [`EventKind::MessageStatus`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why it failed; for [`EventKind::MessageStatus`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
    /// All messages that were sent to the contact up to this moment are meant, not the one of `id`; for
    /// [`EventKind::MessageStatus`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Millis>,
}

/// The place of a piece in a message that was cut up on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What all pieces of the message have in common, for one contact.
    pub key: SmolStr,
    /// Where it stands among them; the numbers need not begin at a certain one.
    pub index: u16,
    /// How many there are.
    pub total: u16,
    /// How long the first one that comes waits for the others, in milliseconds.
    pub ttl: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ordered_as_they_happen() {
        assert!(Status::Sent < Status::Delivered && Status::Delivered < Status::Read);
    }

    #[test]
    fn members_that_hold_nothing_are_left_out() {
        let outbound = Outbound { contact_id: "+1".into(), ..Outbound::default() };
        assert_eq!(serde_json::to_string(&outbound).unwrap(), r#"{"contact_id":"+1"}"#);
    }
}
