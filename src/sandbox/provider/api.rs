//! "Sandbox", the made-up API of the provider stand-in: `POST /messages`.
//!
//! ```json
//! {"to": "+60123456789", "from": "+60300000000", "text": "hi", "reference": "ours",
//!  "media": {"url": "https://...", "type": "image", "mime": "image/png", "name": "a.png"},
//!  "location": {"latitude": 3.1, "longitude": 101.6, "address": "..."}, "buttons": ["Yes", "No"]}
//! ```
//! is answered `200 {"id": "...", "status": "queued"}`, or `{"error": {"code": "...", "message": "..."}}`.
//! The last digits of `to` choose what happens: `0000` does not exist, `0001` fails after all, `0002` opted
//! out, `0003` never gives a receipt.

use axum::http::StatusCode;
use serde_json::Value;

use crate::sandbox::http;

/// Most characters of a text.
pub const MAX_TEXT: usize = 1000;
/// Most buttons of a message.
pub const MAX_BUTTONS: usize = 3;

/// A message that the Sandbox API takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// To whom.
    pub to: String,
    /// What it says, in a few words.
    pub text: String,
    /// The caller's own id of it.
    pub reference: Option<String>,
    /// What will become of it.
    pub fate: Fate,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered, and read.
    Arrives,
    /// It fails after it was taken.
    Fails,
    /// Nobody ever hears of it again.
    Vanishes,
}

/// Why the Sandbox API refuses a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// The message, if the Sandbox API takes it.
pub fn submit(body: &[u8]) -> Result<Submitted, Refused> {
    let refuse =
        |code, message: &str| Refused { status: StatusCode::BAD_REQUEST, code, message: message.into() };
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| refuse("invalid_json", &format!("The body is not JSON: {error}.")))?;
    let to = http::text_of(&body, "to").unwrap_or_default();
    let digits = to.strip_prefix('+').unwrap_or_default();
    if !(5..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse("invalid_recipient", "`to` must be a phone number with a plus sign."));
    }
    let text = describe(&body)?;
    let fate = match digits.get(digits.len().saturating_sub(4)..) {
        Some("0000") => return Err(refuse("unknown_recipient", "This number does not exist.")),
        Some("0002") => {
            let message = "This person asked for no more messages.".to_owned();
            return Err(Refused { status: StatusCode::FORBIDDEN, code: "opted_out", message });
        }
        Some("0001") => Fate::Fails,
        Some("0003") => Fate::Vanishes,
        _ => Fate::Arrives,
    };
    let reference = http::text_of(&body, "reference").map(ToOwned::to_owned);
    Ok(Submitted { to: to.to_owned(), text, reference, fate })
}

fn describe(body: &Value) -> Result<String, Refused> {
    let refuse = |code, message: String| Refused { status: StatusCode::BAD_REQUEST, code, message };
    let mut words = Vec::new();
    if let Some(media) = body.get("media") {
        let kind = http::text_of(media, "type").unwrap_or_default();
        let url = http::text_of(media, "url").unwrap_or_default();
        if !matches!(kind, "image" | "video" | "audio" | "file") || url::Url::parse(url).is_err() {
            let message = "`media` needs a `type` (image, video, audio, file) and a `url`.".into();
            return Err(refuse("invalid_media", message));
        }
        words.push(format!("[{kind}] {url}"));
    }
    if let Some(place) = body.get("location") {
        let number = |name| place.get(name).and_then(Value::as_f64);
        let (Some(latitude), Some(longitude)) = (number("latitude"), number("longitude")) else {
            return Err(refuse(
                "invalid_location",
                "`location` needs a `latitude` and a `longitude`.".into(),
            ));
        };
        words.push(format!("[location] {latitude}, {longitude}"));
    }
    let text = http::text_of(body, "text").unwrap_or_default();
    if text.chars().count() > MAX_TEXT {
        return Err(refuse("text_too_long", format!("`text` has more than {MAX_TEXT} characters.")));
    }
    if !text.is_empty() {
        words.push(text.to_owned());
    }
    let buttons = body.get("buttons").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if buttons.len() > MAX_BUTTONS || !buttons.iter().all(Value::is_string) {
        return Err(refuse("invalid_buttons", format!("`buttons` must be at most {MAX_BUTTONS} texts.")));
    }
    if !buttons.is_empty() {
        let titles: Vec<_> = buttons.iter().filter_map(Value::as_str).collect();
        words.push(format!("[{}]", titles.join(" | ")));
    }
    if words.is_empty() {
        return Err(refuse("empty_message", "A message needs a `text`, `media` or `location`.".into()));
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(body: &Value) -> &'static str {
        submit(body.to_string().as_bytes()).err().map_or("", |refused| refused.code)
    }

    #[test]
    fn what_the_api_takes_is_put_in_a_few_words() {
        let body = json!({
            "to": "+60123456789", "text": "look", "reference": "m-1", "buttons": ["Yes", "No"],
            "media": {"url": "https://a.example/b.png", "type": "image"},
        });
        let taken = submit(body.to_string().as_bytes()).unwrap();
        assert_eq!(taken.text, "[image] https://a.example/b.png look [Yes | No]");
        assert_eq!((taken.reference.as_deref(), taken.fate), (Some("m-1"), Fate::Arrives));
    }

    #[test]
    fn what_the_api_does_not_take_has_a_code() {
        let to = "+60123456789";
        assert_eq!(submit(b"{").unwrap_err().code, "invalid_json");
        assert_eq!(code(&json!({"to": "60123", "text": "hi"})), "invalid_recipient");
        assert_eq!(code(&json!({"to": to})), "empty_message");
        assert_eq!(code(&json!({"to": to, "text": "x".repeat(1001)})), "text_too_long");
        assert_eq!(code(&json!({"to": to, "media": {"type": "image"}})), "invalid_media");
        assert_eq!(code(&json!({"to": to, "location": {"latitude": 1}})), "invalid_location");
        assert_eq!(code(&json!({"to": to, "text": "a", "buttons": ["a", "b", "c", "d"]})), "invalid_buttons");
        assert_eq!(code(&json!({"to": "+60100000000", "text": "hi"})), "unknown_recipient");
        assert_eq!(code(&json!({"to": "+60100000002", "text": "hi"})), "opted_out");
    }
}
