//! `POST /message`: what the platform wants sent.

use crate::expression::Value;
use crate::message::{Attachment, Content, Location, Media, Outbound, QuickReply};

/// Why a message can't be sent, as an agent can read it. Always answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Reads the body of a `POST /message`. Unknown members are ignored, an unknown type of message is refused.
pub fn read_message(body: &[u8]) -> Result<Outbound, Refusal> {
    let value = Value::from_json(body).map_err(|error| Refusal(format!("the body is not JSON: {error}")))?;
    let contact_id = value.get("contactId").to_text();
    if contact_id.trim().is_empty() {
        return Err(Refusal("`contactId` is missing".into()));
    }
    let message = value.get("message");
    if message.as_map().is_none() {
        return Err(Refusal("`message` is missing, or is not an object".into()));
    }
    let locale = first(&[value.get("contact").get("language"), value.get("locale")]);
    Ok(Outbound {
        id: String::new(),
        contact_id: contact_id.trim().into(),
        content: content(message)?,
        locale,
    })
}

fn content(message: &Value) -> Result<Content, Refusal> {
    let kind = message.get("type").to_text();
    let mut content = Content::default();
    match kind.as_str() {
        "text" => content.text = Some(required_text(message)?),
        "attachment" => content.attachments = vec![attachment(message)?],
        "location" => content.location = Some(location(message)?),
        "quick_reply" => {
            content.text = first(&[message.get("title"), message.get("text")]);
            content.quick_replies = replies(message.get("replies"));
            if content.is_empty() {
                return Err(Refusal("the quick reply has neither title nor replies".into()));
            }
        }
        "" => return Err(Refusal("`message.type` is missing".into())),
        other => {
            // An agent reads it, so it is short whatever comes.
            const SHOWN: usize = 40;
            let other: String = other.chars().take(SHOWN).collect();
            return Err(Refusal(format!(
                "messages of type `{other}` can't be sent; text, attachment, location and quick_reply can"
            )));
        }
    }
    Ok(content)
}

fn required_text(message: &Value) -> Result<String, Refusal> {
    let text = message.get("text").to_text();
    if text.trim().is_empty() { Err(Refusal("the text is empty".into())) } else { Ok(text.into()) }
}

fn attachment(message: &Value) -> Result<Attachment, Refusal> {
    let nested = message.get("attachment");
    let node = if nested.as_map().is_some() { nested } else { message };
    let url = node.get("url").to_text();
    let sound = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !sound {
        return Err(Refusal("the attachment has no http or https `url`".into()));
    }
    let mime = first(&[node.get("mimeType"), node.get("mime")]);
    let media = match node.get("type").to_text().as_str() {
        "image" => Media::Image,
        "video" => Media::Video,
        "audio" => Media::Audio,
        "file" => Media::File,
        _ => mime.as_deref().map_or_else(|| Media::of_url(&url), Media::of_mime),
    };
    Ok(Attachment {
        source: None,
        media,
        url: url.into(),
        mime,
        name: first(&[node.get("fileName"), node.get("filename"), node.get("name")]),
        caption: first(&[node.get("description"), node.get("caption")]),
    })
}

fn location(message: &Value) -> Result<Location, Refusal> {
    let nested = message.get("location");
    let node = if nested.as_map().is_some() { nested } else { message };
    let degrees = |name: &str, most: f64| {
        node.get(name)
            .to_number()
            .filter(|number| number.abs() <= most)
            .ok_or_else(|| Refusal(format!("the location's `{name}` is missing or out of range")))
    };
    Ok(Location {
        latitude: degrees("latitude", 90.0)?,
        longitude: degrees("longitude", 180.0)?,
        name: first(&[node.get("name")]),
        address: first(&[node.get("address")]),
    })
}

/// Replies are texts, or objects with a `title` or `text` and perhaps a `url`.
fn replies(list: &Value) -> Vec<QuickReply> {
    let reply = |item: &Value| {
        let title = match item {
            Value::Map(_) => first(&[item.get("title"), item.get("text")])?,
            other => first(&[other])?,
        };
        Some(QuickReply { title, url: first(&[item.get("url")]) })
    };
    list.as_list().unwrap_or_default().iter().filter_map(reply).collect()
}

/// The first that is not empty.
fn first(values: &[&Value]) -> Option<String> {
    values.iter().map(|value| value.to_text()).find(|text| !text.is_empty()).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Content, String> {
        let body = format!(r#"{{"channelId":"c","contactId":"+601","message":{json},"unknown":1}}"#);
        read_message(body.as_bytes()).map(|outbound| outbound.content).map_err(|refusal| refusal.0)
    }

    #[test]
    fn reads_all_spellings_of_an_attachment() {
        for json in [
            r#"{"type":"attachment","attachment":{"type":"image","url":"https://x/a.png","mimeType":"image/png","fileName":"a.png","description":"d"}}"#,
            r#"{"type":"attachment","attachment":{"url":"https://x/a.png","mime":"image/png","filename":"a.png","caption":"d"}}"#,
            r#"{"type":"attachment","url":"https://x/a.png","mime":"image/png","name":"a.png","caption":"d"}"#,
        ] {
            let content = read(json).unwrap();
            let expected = Attachment {
                source: None,
                media: Media::Image,
                url: "https://x/a.png".into(),
                mime: Some("image/png".into()),
                name: Some("a.png".into()),
                caption: Some("d".into()),
            };
            assert_eq!(content.attachments, [expected]);
        }
    }

    #[test]
    fn reads_locations_flat_and_nested() {
        for json in [
            r#"{"type":"location","latitude":3.1,"longitude":101.6,"address":"KL"}"#,
            r#"{"type":"location","location":{"latitude":"3.1","longitude":101.6,"address":"KL"}}"#,
        ] {
            let location = read(json).unwrap().location.unwrap();
            assert_eq!(
                (location.latitude, location.longitude, location.address.as_deref()),
                (3.1, 101.6, Some("KL"))
            );
        }
    }

    #[test]
    fn reads_quick_replies() {
        let content =
            read(r#"{"type":"quick_reply","title":"Q?","replies":["A",{"title":"B","url":"https://b"}]}"#)
                .unwrap();
        assert_eq!(content.text.as_deref(), Some("Q?"));
        assert_eq!(content.quick_replies.len(), 2);
        assert_eq!(content.quick_replies[1].url.as_deref(), Some("https://b"));
    }

    #[test]
    fn refusals_say_what_an_agent_can_act_on() {
        assert!(read(r#"{"type":"sticker"}"#).unwrap_err().contains("`sticker` can't be sent"));
        assert!(read(r#"{"type":"text","text":" "}"#).unwrap_err().contains("empty"));
        assert!(read(r#"{"type":"attachment","attachment":{"url":"data:image/png;base64,xx"}}"#).is_err());
        assert!(read(r#"{"type":"location","latitude":91,"longitude":0}"#).is_err());
        assert!(read("3").is_err());
        assert!(read_message(b"{").is_err());
        assert!(
            read_message(br#"{"message":{"type":"text","text":"x"}}"#).unwrap_err().0.contains("contactId")
        );
    }

    #[test]
    fn a_refusal_is_short_whatever_type_comes() {
        let refusal = read(&format!(r#"{{"type":"{}"}}"#, "é".repeat(100_000))).unwrap_err();
        assert!(refusal.chars().count() < 150 && refusal.contains("can't be sent"), "{refusal:.200}");
    }
}
