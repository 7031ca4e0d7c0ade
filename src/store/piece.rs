//! One message out of the pieces that it came in: pure.

use bytes::Bytes;
use serde_json::{Map, Value};

/// The payload of the whole message: that of the first piece, with the texts of all, joined, and everybody's
/// attachments. `payloads` are in the order of the pieces.
pub(super) fn join(payloads: &[Bytes]) -> Bytes {
    let pieces =
        || payloads.iter().filter_map(|payload| serde_json::from_slice::<Map<String, Value>>(payload).ok());
    let Some(mut whole) = pieces().next() else {
        return payloads.first().cloned().unwrap_or_default();
    };
    let text: String = pieces().filter_map(|piece| piece.get("text")?.as_str().map(str::to_owned)).collect();
    if !text.is_empty() {
        whole.insert("text".into(), text.into());
    }
    let attachments: Vec<Value> =
        pieces().filter_map(|piece| piece.get("attachments")?.as_array().cloned()).flatten().collect();
    if !attachments.is_empty() {
        whole.insert("attachments".into(), attachments.into());
    }
    // What was read as JSON can be written as JSON.
    Bytes::from(serde_json::to_vec(&whole).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_joined_and_the_rest_is_the_first_piece_s() {
        let pieces = [
            r#"{"id":"1","text":"long ","attachments":[1]}"#,
            r#"{"id":"2","attachments":[2,3]}"#,
            r#"{"id":"3","text":"tale"}"#,
        ];
        let whole = join(&pieces.map(|piece| Bytes::from_static(piece.as_bytes())));
        assert_eq!(whole, r#"{"id":"1","text":"long tale","attachments":[1,2,3]}"#);
    }
}
