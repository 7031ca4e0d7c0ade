//! What a provider can't carry, as text: the one way for all providers, in which nothing is lost.

use crate::message::{Attachment, Location, Media, QuickReply};

/// Adds a line to a text; an empty one is none.
pub(super) fn add_line(text: &mut String, line: &str) {
    if line.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

/// Adds the caption of an attachment, and a line with its name or kind and its URL.
pub(super) fn add_attachment(text: &mut String, attachment: &Attachment) {
    add_line(text, attachment.caption.as_deref().unwrap_or_default());
    let kind = match attachment.media {
        Media::Image => "Image",
        Media::Video => "Video",
        Media::Audio => "Audio",
        Media::File => "File",
    };
    let name = attachment.name.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or(kind);
    add_line(text, &format!("{name}: {}", attachment.url));
}

/// Adds the name and the address of a place, and a link to a map of it, each in a line.
pub(super) fn add_location(text: &mut String, location: &Location) {
    let Location { latitude, longitude, name, address } = location;
    add_line(text, name.as_deref().unwrap_or_default());
    add_line(text, address.as_deref().filter(|address| name.as_deref() != Some(address)).unwrap_or_default());
    let (north, east) = (degrees(*latitude), degrees(*longitude));
    add_line(text, &format!("https://www.openstreetmap.org/?mlat={north}&mlon={east}#map=16/{north}/{east}"));
}

/// Six decimals: a hand's breadth.
fn degrees(degrees: f64) -> String {
    format!("{degrees:.6}")
}

/// Adds a numbered line for every quick reply.
pub(super) fn add_quick_replies(text: &mut String, replies: &[QuickReply]) {
    for (number, reply) in (1..).zip(replies) {
        add_line(
            text,
            &match &reply.url {
                Some(url) => format!("{number}. {}: {url}", reply.title),
                None => format!("{number}. {}", reply.title),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_its_name_or_its_kind_and_its_url_behind_its_caption() {
        let mut text = "See".to_string();
        let url = || "https://x.example/a".to_string();
        for (media, name, caption) in [
            (Media::Image, None, None),
            (Media::Video, Some(" "), Some("look")),
            (Media::Audio, None, Some("")),
            (Media::File, Some("bill.pdf"), None),
        ] {
            let (name, caption) = (name.map(str::to_string), caption.map(str::to_string));
            add_attachment(
                &mut text,
                &Attachment { media, url: url(), name, caption, mime: None, source: None },
            );
        }
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "See",
                "Image: https://x.example/a",
                "look",
                "Video: https://x.example/a",
                "Audio: https://x.example/a",
                "bill.pdf: https://x.example/a",
            ]
        );
    }

    #[test]
    fn a_location_is_its_name_its_address_and_a_map() {
        let link =
            "https://www.openstreetmap.org/?mlat=3.139000&mlon=-101.686950#map=16/3.139000/-101.686950";
        for (name, address, before) in [
            (None, None, ""),
            (Some("Office"), None, "Office\n"),
            (None, Some("1 Main Road"), "1 Main Road\n"),
            (Some("Office"), Some("1 Main Road"), "Office\n1 Main Road\n"),
            (Some("Office"), Some("Office"), "Office\n"),
        ] {
            let (name, address) = (name.map(str::to_string), address.map(str::to_string));
            let mut text = String::new();
            let location = Location { latitude: 3.139, longitude: -101.686_95, name, address };
            add_location(&mut text, &location);
            assert_eq!(text, format!("{before}{link}"));
        }
    }

    #[test]
    fn quick_replies_are_numbered_and_keep_their_pages() {
        let reply = |title: &str, url: Option<&str>| QuickReply {
            title: title.to_string(),
            url: url.map(str::to_string),
        };
        let mut text = "Tea?".to_string();
        add_quick_replies(&mut text, &[reply("Yes", None), reply("Menu", Some("https://x.example/menu"))]);
        assert_eq!(text, "Tea?\n1. Yes\n2. Menu: https://x.example/menu");
    }
}
