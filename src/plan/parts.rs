//! How a message becomes parts that the provider can carry.

use smol_str::SmolStr;

use super::words::{AttachmentMode, Order, Overflow, Unit};
use crate::expression::{Condition, Template};
use crate::message::{Attachment, Media};

/// How a message is cut into parts.
#[derive(Debug)]
pub struct Parts {
    /// How long a text may be.
    pub text: TextParts,
    /// How attachments travel.
    pub attachments: AttachmentParts,
    /// Whether a location travels as the provider's own kind; else it becomes text.
    pub location: bool,
    /// Which quick replies travel as the provider's own kind; none where all become text.
    pub quick_replies: Option<ReplyParts>,
}

/// How long a text may be.
#[derive(Debug)]
pub struct TextParts {
    /// The longest text of one part; none has no bound.
    pub max: Option<Template>,
    /// What is counted, here and in every other length of a text.
    pub unit: Unit,
    /// What happens to a longer text.
    pub overflow: Overflow,
}

/// How attachments travel.
#[derive(Debug)]
pub struct AttachmentParts {
    /// In which parts.
    pub mode: AttachmentMode,
    /// Whether before the text or after it.
    pub order: Order,
    /// The kinds that the provider takes; none takes all. What it does not take becomes text.
    pub media: Option<Vec<(Media, MediaTypes)>>,
    /// When a text travels as a caption.
    pub caption: Option<Caption>,
    /// Whether the text becomes a caption even if there are several attachments.
    pub absorb: bool,
}

impl AttachmentParts {
    /// Whether the provider takes an attachment as it is.
    pub fn takes(&self, attachment: &Attachment) -> bool {
        let Some(media) = &self.media else { return true };
        let types = media.iter().find(|(media, _)| *media == attachment.media).map(|(_, types)| types);
        types.is_some_and(|types| types.take(attachment.mime.as_deref()))
    }
}

/// The MIME types of one kind of attachment that the provider takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes(pub Option<Vec<SmolStr>>);

impl MediaTypes {
    /// Whether a type is one of them. A type that is not known is: its kind is all that there is to go by.
    fn take(&self, mime: Option<&str>) -> bool {
        let (Some(types), Some(mime)) = (&self.0, mime) else { return true };
        let mime = mime.split(';').next().unwrap_or_default().trim();
        types.iter().any(|one| match one.strip_suffix('*') {
            Some(start) => mime.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
            None => mime.eq_ignore_ascii_case(one),
        })
    }
}

/// When a text travels as a caption.
#[derive(Debug)]
pub struct Caption {
    /// Kinds of attachments that can have one.
    pub media: Vec<Media>,
    /// The longest; none has no bound.
    pub max: Option<Template>,
    /// What must hold too.
    pub when: Option<Condition>,
}

/// Which quick replies travel as the provider's own kind, and where.
#[derive(Debug)]
pub struct ReplyParts {
    /// Whether the first text carries them, not the last.
    pub on_first: bool,
    /// The most that there may be; if there are more, all become text.
    pub max: usize,
    /// The longest title; if one is longer, all become text.
    pub title_max: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_without_case_and_parameters() {
        let types = MediaTypes(Some(vec!["image/png".into(), "audio/*".into()]));
        for mime in ["image/png", "IMAGE/PNG", "image/png; q=1", "audio/ogg; codecs=opus", "Audio/MPEG"] {
            assert!(types.take(Some(mime)), "{mime}");
        }
        for mime in ["image/pngx", "image/jpeg", "audio", "", "é"] {
            assert!(!types.take(Some(mime)), "{mime}");
        }
        assert!(types.take(None), "nothing is known against it");
        assert!(MediaTypes(None).take(Some("a/b")));
    }
}
