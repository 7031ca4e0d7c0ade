//! `plan`: how a message is cut into parts.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::expression::Names;
use crate::message::Media;
use crate::plan::{
    AttachmentMode, AttachmentParts, Caption, Carrier, MediaKind, MediaTypes, Mode, Order, Overflow, Parts,
    ReplyParts, TextParts, Unit,
};
use crate::spec::{self, Count};
use crate::yaml::Text;

impl Compiler<'_> {
    pub(super) fn parts(&mut self, plan: Option<&spec::Plan>, names: &Names) -> Parts {
        let text = plan.and_then(|plan| plan.text.as_ref());
        Parts {
            text: TextParts {
                max: text.map(|text| self.value(&text.max.0, names)),
                unit: text.and_then(|text| text.unit).unwrap_or(Unit::Chars),
                overflow: text.and_then(|text| text.overflow).unwrap_or(Overflow::Split),
            },
            attachments: self.attachment_parts(plan.and_then(|plan| plan.attachments.as_ref()), names),
            location: plan
                .and_then(|plan| plan.location.as_ref())
                .is_some_and(|location| location.mode == Mode::Native),
            quick_replies: plan
                .and_then(|plan| plan.quick_replies.as_ref())
                .and_then(|replies| self.quick_replies(replies)),
        }
    }

    fn attachment_parts(&mut self, plan: Option<&spec::AttachmentPlan>, names: &Names) -> AttachmentParts {
        let Some(plan) = plan else {
            return AttachmentParts {
                mode: AttachmentMode::AsText,
                order: Order::BeforeText,
                media: None,
                caption: None,
                absorb: false,
            };
        };
        let own_parts = matches!(plan.mode, AttachmentMode::Each | AttachmentMode::OneRequest);
        let native = own_parts || plan.mode == AttachmentMode::FirstPart;
        let mode = |what| format!("with `mode: {}` {what}", plan.mode.as_str());
        let parts_only = mode("attachments have no parts of their own");
        self.no_effect(
            plan.span,
            &plan.shape,
            &[
                ("media", plan.media.is_some() && !native, &mode("no attachment travels as it is")),
                ("order", plan.order.is_some() && !own_parts, &parts_only),
                ("caption", plan.caption.is_some() && !own_parts, &parts_only),
                (
                    "absorb",
                    plan.absorb.is_some() && plan.caption.is_none(),
                    "there is no `caption` that could hold a text",
                ),
            ],
        );
        AttachmentParts {
            mode: plan.mode,
            order: plan.order.unwrap_or(Order::BeforeText),
            media: plan.media.as_ref().map(|media| self.media(media)),
            caption: plan.caption.as_ref().map(|caption| Caption {
                media: match &caption.types {
                    Some(types) => types.iter().map(|kind| media_of(*kind)).collect(),
                    None => vec![Media::Image, Media::Video, Media::Audio, Media::File],
                },
                max: caption.max.as_ref().map(|raw| self.value(&raw.0, names)),
                when: self.optional_condition(caption.when.as_ref(), names),
            }),
            absorb: plan.absorb.is_some_and(|flag| flag.0),
        }
    }

    fn media(&mut self, media: &spec::MediaPlan) -> Vec<(Media, MediaTypes)> {
        let kinds = [
            (Media::Image, &media.image),
            (Media::Video, &media.video),
            (Media::Audio, &media.audio),
            (Media::File, &media.file),
        ];
        let taken = kinds.into_iter().filter_map(|(kind, types)| Some((kind, types.as_ref()?)));
        let mut made = Vec::new();
        for (kind, types) in taken {
            let types = types.types.as_ref().map(|types| {
                types.iter().for_each(|one| self.mime_type(one));
                types.iter().map(|one| one.value.clone()).collect()
            });
            made.push((kind, MediaTypes(types)));
        }
        made
    }

    /// A MIME type, or all types of a kind.
    fn mime_type(&mut self, text: &Text) {
        let word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
        };
        let sound = text
            .value
            .split_once('/')
            .is_some_and(|(kind, subtype)| word(kind) && (subtype == "*" || word(subtype)));
        if !sound {
            let message = format!("`{}` is not a MIME type", text.value);
            let problem = Diagnostic::new(Code::InvalidValue, text.span, message);
            self.out.push(problem.help("write it as `image/png`, or `image/*` for all of a kind"));
        }
    }

    fn quick_replies(&mut self, plan: &spec::QuickReplyPlan) -> Option<ReplyParts> {
        let native = plan.mode == Mode::Native;
        let why = "with `mode: as_text` no quick reply travels as it is";
        self.no_effect(
            plan.span,
            &plan.shape,
            &[
                ("on", plan.on.is_some() && !native, why),
                ("max", plan.max.is_some() && !native, why),
                ("title_max", plan.title_max.is_some() && !native, why),
            ],
        );
        let size = |count: Count| usize::try_from(count.0).unwrap_or(usize::MAX);
        native.then(|| ReplyParts {
            on_first: plan.on == Some(Carrier::First),
            max: plan.max.map_or(usize::MAX, size),
            title_max: plan.title_max.map(size),
        })
    }

    /// Reports keys that mean nothing beside what else is said, and why.
    fn no_effect(&mut self, place: Span, shape: &spec::Shape, keys: &[(&str, bool, &str)]) {
        for (key, _, why) in keys.iter().filter(|(_, idle, _)| *idle && !shape.is_unread("mode")) {
            let message = format!("`{key}` has no effect here");
            let problem = Diagnostic::new(Code::InvalidValue, shape.key(key, place), message);
            self.out.push(problem.label(*why));
        }
    }
}

fn media_of(kind: MediaKind) -> Media {
    match kind {
        MediaKind::Image => Media::Image,
        MediaKind::Video => Media::Video,
        MediaKind::Audio => Media::Audio,
        MediaKind::File => Media::File,
    }
}
