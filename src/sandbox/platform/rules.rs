//! What IS-Messenger's Custom Channel webhook asks of a request body, row by row of the documented contract.
//!
//! Every problem is found, not only the first, and each names the place: `events[0].mId: ...`. Members that the
//! contract does not know are problems too: a gateway that sends them has misread it.

use serde_json::{Map, Value};

use super::options::{Channel, IdType};
use crate::world::Millis;

/// Most characters of a text.
pub const MAX_TEXT: usize = 7000;
/// Most characters of an id.
pub const MAX_ID: usize = 50;

const MAX_PROBLEMS: usize = 20;
/// 2001-09-09; what is below is seconds.
const EARLIEST: Millis = 1_000_000_000_000;
/// Two clocks may differ by a day.
const AHEAD: Millis = 86_400_000;

/// One event that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The message id.
    pub mid: String,
    /// What it says.
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The contact wrote, or the business did from elsewhere (`echo`); `content` is the message object as it came.
    Message {
        /// Whether it is an echo.
        echo: bool,
        /// The message object.
        content: Value,
    },
    /// A message of the platform's moved on.
    Status {
        /// How far.
        value: String,
        /// Why it failed.
        reason: Option<String>,
    },
}

/// A body that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// Who it is about.
    pub contact_id: String,
    /// What happened.
    pub events: Vec<Event>,
}

/// The body, if it keeps the contract; otherwise every problem.
pub fn check(body: &Value, channel: &Channel, now: Millis) -> Result<Passed, Vec<String>> {
    let mut check = Check { channel, now, problems: Vec::new() };
    let passed = check.body(body);
    match passed {
        Some(passed) if check.problems.is_empty() => Ok(passed),
        _ => Err(check.problems),
    }
}

/// A message object in a few words, for people.
pub fn describe(message: &Value) -> String {
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "text" => text("text").to_owned(),
        "attachment" => {
            let attachment = message.get("attachment").unwrap_or(message);
            let part = |name: &str| attachment.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("[{}] {} {}", part("type"), part("url"), part("description")).trim_end().to_owned()
        }
        "location" => {
            let number = |name: &str| message.get(name).map(ToString::to_string).unwrap_or_default();
            let place = format!("[location] {}, {}", number("latitude"), number("longitude"));
            format!("{place} {}", text("address")).trim_end().to_owned()
        }
        "quick_reply" => {
            let replies: Vec<_> = message
                .get("replies")
                .and_then(Value::as_array)
                .map(|all| all.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            format!("{} [{}]", text("title"), replies.join(" | "))
        }
        other => format!("[{other}]"),
    }
}

/// A member, what its text must be, and that in words.
type Rule = (&'static str, fn(&str) -> bool, &'static str);

struct Check<'a> {
    channel: &'a Channel,
    now: Millis,
    problems: Vec<String>,
}

impl Check<'_> {
    fn body(&mut self, body: &Value) -> Option<Passed> {
        self.no_empties("", body);
        let body = self.object("", body, &["channelId", "contactId", "events"], &["contact"])?;
        let contact_id = self.text("contactId", body.get("contactId")?)?;
        if let Err(problem) = check_contact_id(contact_id, self.channel.id_type) {
            self.problem("contactId", &problem);
        }
        if let Some(contact) = body.get("contact") {
            self.contact(contact);
        }
        let Some(events) = body.get("events").and_then(Value::as_array) else {
            self.problem("events", "must be a list");
            return None;
        };
        if events.is_empty() {
            self.problem("events", "must hold at least one event");
        }
        let events = events
            .iter()
            .enumerate()
            .filter_map(|(at, event)| self.event(&format!("events[{at}]"), event))
            .collect();
        Some(Passed { contact_id: contact_id.to_owned(), events })
    }

    fn event(&mut self, place: &str, event: &Value) -> Option<Event> {
        let kind = event.get("type").and_then(Value::as_str);
        let content = match kind {
            Some("message" | "message_echo") => "message",
            Some("message_status") => "status",
            _ => {
                self.problem(&format!("{place}.type"), "must be message, message_echo or message_status");
                return None;
            }
        };
        let members = self.object(place, event, &["type", "mId", "timestamp", content], &[])?;
        self.timestamp(&format!("{place}.timestamp"), members.get("timestamp")?);
        let mid = self.text(&format!("{place}.mId"), members.get("mId")?)?;
        let of_mid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if mid.chars().count() > MAX_ID || !mid.chars().all(of_mid) {
            let length = mid.chars().count();
            let problem =
                format!("must be at most {MAX_ID} characters out of A-Z a-z 0-9 _ - (has {length})");
            self.problem(&format!("{place}.mId"), &problem);
        }
        let value = members.get(content)?;
        let what = if content == "status" {
            self.status(&format!("{place}.status"), value)?
        } else {
            self.message(&format!("{place}.message"), value)?;
            What::Message { echo: kind == Some("message_echo"), content: value.clone() }
        };
        Some(Event { mid: mid.to_owned(), what })
    }

    fn message(&mut self, place: &str, message: &Value) -> Option<()> {
        match message.get("type").and_then(Value::as_str) {
            Some("text") => {
                let members = self.object(place, message, &["type", "text"], &[])?;
                let text = self.text(&format!("{place}.text"), members.get("text")?)?;
                let length = text.chars().count();
                if length > MAX_TEXT {
                    let problem = format!("must be at most {MAX_TEXT} characters (has {length})");
                    self.problem(&format!("{place}.text"), &problem);
                }
            }
            Some("attachment") => {
                let members = self.object(place, message, &["type", "attachment"], &[])?;
                self.attachment(&format!("{place}.attachment"), members.get("attachment")?)?;
            }
            Some("location") => {
                let members =
                    self.object(place, message, &["type", "latitude", "longitude"], &["address"])?;
                for (name, most) in [("latitude", 90.0), ("longitude", 180.0)] {
                    let number = members.get(name).and_then(Value::as_f64);
                    if !number.is_some_and(|number| (-most..=most).contains(&number)) {
                        self.problem(
                            &format!("{place}.{name}"),
                            &format!("must be a number up to {most} degrees"),
                        );
                    }
                }
                self.texts(place, members, &["address"]);
            }
            Some("quick_reply") => {
                self.problem(
                    &format!("{place}.type"),
                    "quick_reply only goes from the platform to the customer",
                );
            }
            _ => self.problem(&format!("{place}.type"), "must be text, attachment or location"),
        }
        Some(())
    }

    fn attachment(&mut self, place: &str, attachment: &Value) -> Option<()> {
        let optional = ["mimeType", "fileName", "description"];
        let members = self.object(place, attachment, &["type", "url"], &optional)?;
        if !matches!(members.get("type").and_then(Value::as_str), Some("image" | "video" | "audio" | "file"))
        {
            self.problem(&format!("{place}.type"), "must be image, video, audio or file");
        }
        self.url(&format!("{place}.url"), members.get("url")?);
        self.texts(place, members, &optional);
        Some(())
    }

    fn status(&mut self, place: &str, status: &Value) -> Option<What> {
        let members = self.object(place, status, &["value"], &["message"])?;
        let value = self.text(&format!("{place}.value"), members.get("value")?)?;
        if !self.channel.statuses.iter().any(|known| known == value) {
            let known = self.channel.statuses.join(", ");
            self.problem(&format!("{place}.value"), &format!("must be one of {known} (is {value})"));
        }
        self.texts(place, members, &["message"]);
        let reason = members.get("message").and_then(Value::as_str).map(ToOwned::to_owned);
        Some(What::Status { value: value.to_owned(), reason })
    }

    fn contact(&mut self, contact: &Value) {
        let known = [
            "firstName",
            "lastName",
            "profilePic",
            "countryCode",
            "email",
            "phone",
            "language",
            "locale",
            "timezone",
        ];
        let Some(members) = self.object("contact", contact, &[], &known) else { return };
        self.texts("contact", members, &known);
        let rules: [Rule; 4] = [
            (
                "countryCode",
                |t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_uppercase()),
                "ISO 3166-1 alpha-2",
            ),
            ("language", |t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_lowercase()), "ISO 639-1"),
            (
                "email",
                |t| t.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.')),
                "an address",
            ),
            ("phone", |t| check_contact_id(t, IdType::Phone).is_ok(), "E.164 with a plus sign"),
        ];
        for (name, rule, wanted) in rules {
            if let Some(text) = members.get(name).and_then(Value::as_str).filter(|text| !rule(text)) {
                self.problem(&format!("contact.{name}"), &format!("must be {wanted} (is {text})"));
            }
        }
        if let Some(picture) = members.get("profilePic") {
            self.url("contact.profilePic", picture);
        }
    }

    fn timestamp(&mut self, place: &str, value: &Value) {
        let latest = self.now.saturating_add(AHEAD);
        match value.as_i64() {
            Some(time) if (EARLIEST..=latest).contains(&time) => {}
            Some(time) if time < EARLIEST => {
                self.problem(place, &format!("must be in milliseconds ({time} looks like seconds)"));
            }
            Some(time) => self.problem(place, &format!("lies more than a day ahead ({time})")),
            None => self.problem(place, "must be an integer, milliseconds since 1970"),
        }
    }

    fn url(&mut self, place: &str, value: &Value) {
        let good = value
            .as_str()
            .and_then(|text| url::Url::parse(text).ok())
            .is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            self.problem(place, "must be an absolute http or https URL");
        }
    }

    /// The members, if it is an object; says which are missing and which are unknown.
    fn object<'v>(
        &mut self,
        place: &str,
        value: &'v Value,
        required: &[&str],
        optional: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Some(members) = value.as_object() else {
            self.problem(place, "must be an object");
            return None;
        };
        let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
        for name in required.iter().filter(|name| !members.contains_key(**name)) {
            self.problem(&at(name), "is required");
        }
        for name in members.keys().filter(|name| !required.contains(&name.as_str())) {
            if !optional.contains(&name.as_str()) {
                self.problem(&at(name), "is not a member that the contract knows here");
            }
        }
        Some(members)
    }

    fn text<'v>(&mut self, place: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.problem(place, "must be a string");
        }
        text
    }

    fn texts(&mut self, place: &str, members: &Map<String, Value>, names: &[&str]) {
        for name in names {
            if let Some(value) = members.get(*name) {
                self.text(&format!("{place}.{name}"), value);
            }
        }
    }

    fn no_empties(&mut self, place: &str, value: &Value) {
        match value {
            Value::Null => self.problem(place, "is null; leave the member out"),
            Value::String(text) if text.is_empty() => self.problem(place, "is empty; leave the member out"),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.no_empties(&format!("{place}[{at}]"), item);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let dot = if place.is_empty() { "" } else { "." };
                    self.no_empties(&format!("{place}{dot}{name}"), member);
                }
            }
            _ => {}
        }
    }

    fn problem(&mut self, place: &str, problem: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            let place = if place.is_empty() { "the body" } else { place };
            self.problems.push(format!("{place}: {problem}"));
        }
    }
}

/// Whether a contact id is right for the id type of the channel.
pub fn check_contact_id(id: &str, id_type: IdType) -> Result<(), String> {
    let length = id.chars().count();
    if length == 0 || length > MAX_ID {
        return Err(format!("must have 1 to {MAX_ID} characters (has {length})"));
    }
    match id_type {
        IdType::Phone => {
            let digits = id.strip_prefix('+').unwrap_or_default();
            let good = (5..=15).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0');
            if good {
                Ok(())
            } else {
                Err(format!("must be E.164 with a plus sign on a phone channel (is {id})"))
            }
        }
        IdType::Custom => {
            let good = id.chars().all(|c| c.is_ascii_alphanumeric() || "_=+/@".contains(c));
            if good { Ok(()) } else { Err(format!("must be out of A-Z a-z 0-9 _ = + / @ (is {id})")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Millis = 1_767_323_045_000;

    fn body() -> Value {
        json!({
            "channelId": "sandbox",
            "contactId": "+60123456789",
            "contact": {"firstName": "Ann", "countryCode": "MY", "language": "en", "phone": "+60123456789"},
            "events": [
                {"type": "message", "mId": "m-1", "timestamp": NOW, "message": {"type": "text", "text": "hi"}},
                {"type": "message_echo", "mId": "m-2", "timestamp": NOW, "message": {"type": "attachment",
                    "attachment": {"type": "image", "url": "https://a.example/b.png", "mimeType": "image/png"}}},
                {"type": "message", "mId": "m-3", "timestamp": NOW,
                    "message": {"type": "location", "latitude": 3.1, "longitude": 101.6, "address": "KL"}},
                {"type": "message_status", "mId": "m-4", "timestamp": NOW, "status": {"value": "delivered"}},
                {"type": "message_status", "mId": "m-4", "timestamp": NOW,
                    "status": {"value": "failed", "message": "no such number"}},
            ],
        })
    }

    fn problems(pointer: &str, value: Value) -> String {
        let mut body = body();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        check(&body, &Channel::default(), NOW).err().unwrap_or_default().join("; ")
    }

    #[test]
    fn a_body_that_keeps_the_contract_passes() {
        let passed = check(&body(), &Channel::default(), NOW).unwrap();
        assert_eq!(passed.events.len(), 5);
        assert_eq!(passed.events[3].what, What::Status { value: "delivered".into(), reason: None });
    }

    #[test]
    fn each_row_of_the_contract_is_enforced() {
        let long = "x".repeat(51);
        for (pointer, value, expected) in [
            ("/contactId", json!("60123"), "contactId: must be E.164"),
            ("/contactId", json!(long), "contactId: must have 1 to 50 characters (has 51)"),
            ("/contactId", json!(1), "contactId: must be a string"),
            ("/events", json!([]), "events: must hold at least one event"),
            ("/events", json!({}), "events: must be a list"),
            ("/extra", json!(1), "extra: is not a member that the contract knows here"),
            ("/contact/email", json!(""), "contact.email: is empty; leave the member out"),
            ("/contact/email", Value::Null, "contact.email: is null; leave the member out"),
            ("/contact/email", json!("ann"), "contact.email: must be an address"),
            ("/contact/countryCode", json!("my"), "contact.countryCode: must be ISO 3166-1 alpha-2"),
            ("/contact/language", json!("en-GB"), "contact.language: must be ISO 639-1"),
            ("/contact/profilePic", json!("a.png"), "contact.profilePic: must be an absolute"),
            ("/contact/name", json!("Ann"), "contact.name: is not a member"),
        ] {
            let got = problems(pointer, value);
            assert!(got.contains(expected), "{pointer}: {got}");
        }
    }

    #[test]
    fn each_row_about_events_is_enforced() {
        let event = |name: &str, value: Value| {
            let mut body = body();
            body["events"][0][name] = value;
            check(&body, &Channel::default(), NOW).err().unwrap_or_default().join("; ")
        };
        for (name, value, expected) in [
            ("type", json!("reaction"), "events[0].type: must be message, message_echo or message_status"),
            ("mId", json!("x".repeat(51)), "events[0].mId: must be at most 50 characters"),
            ("mId", json!("wamid.x="), "events[0].mId: must be at most 50 characters out of"),
            ("timestamp", json!(1_767_323_045), "must be in milliseconds"),
            ("timestamp", json!(NOW + 2 * AHEAD), "more than a day ahead"),
            ("timestamp", json!("1767323045000"), "must be an integer"),
            ("timestamp", json!(1_767_323_045_000.5), "must be an integer"),
            ("status", json!({"value": "read"}), "events[0].status: is not a member"),
            (
                "message",
                json!({"type": "image"}),
                "events[0].message.type: must be text, attachment or location",
            ),
            ("message", json!({"type": "quick_reply"}), "only goes from the platform"),
            ("message", json!({"type": "text"}), "events[0].message.text: is required"),
            (
                "message",
                json!({"type": "text", "text": "é".repeat(7001)}),
                "at most 7000 characters (has 7001)",
            ),
            ("message", json!({"type": "text", "text": "a", "x": 1}), "events[0].message.x: is not a member"),
            (
                "message",
                json!({"type": "attachment", "attachment": {"type": "sticker", "url": "https://a.example/b"}}),
                "events[0].message.attachment.type: must be image, video, audio or file",
            ),
            (
                "message",
                json!({"type": "attachment", "attachment": {"type": "image", "url": "data:image/png;base64,x"}}),
                "events[0].message.attachment.url: must be an absolute",
            ),
            (
                "message",
                json!({"type": "location", "latitude": 91, "longitude": 0}),
                "latitude: must be a number",
            ),
        ] {
            let got = event(name, value);
            assert!(got.contains(expected), "{name}: {got}");
        }
        assert_eq!(event("message", json!({"type": "text", "text": "é".repeat(7000)})), "");
    }

    #[test]
    fn a_status_that_the_channel_does_not_take_is_refused() {
        let mut body = body();
        body["events"][3]["status"]["value"] = json!("sent");
        let problems = check(&body, &Channel::default(), NOW).unwrap_err();
        assert_eq!(problems, ["events[3].status.value: must be one of delivered, read, failed (is sent)"]);
    }

    #[test]
    fn a_custom_channel_has_its_own_alphabet() {
        assert!(check_contact_id("a_B=+/@9", IdType::Custom).is_ok());
        assert!(check_contact_id("a-b", IdType::Custom).is_err());
        assert!(check_contact_id("+60123456789", IdType::Phone).is_ok());
        assert!(check_contact_id("+0123456789", IdType::Phone).is_err());
    }
}
