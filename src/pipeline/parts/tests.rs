//! Plans against messages: what becomes of each.

use super::*;
use crate::expression::Template;
use crate::plan::{AttachmentParts, MediaTypes};
use crate::world::World;

fn rules(mode: AttachmentMode) -> Parts {
    Parts {
        text: TextParts { max: None, unit: Unit::Chars, overflow: Overflow::Split },
        attachments: AttachmentParts {
            mode,
            order: Order::BeforeText,
            media: None,
            caption: None,
            absorb: false,
        },
        location: false,
        quick_replies: None,
    }
}

fn captions(max: i64) -> Caption {
    let max = Some(Template::Literal(Value::from(max)));
    Caption { media: vec![Media::Image, Media::Video], max, when: None }
}

fn image(name: &str, caption: Option<&str>) -> Attachment {
    Attachment {
        source: None,
        media: Media::Image,
        url: format!("https://x.example/{name}"),
        mime: Some("image/png".into()),
        name: None,
        caption: caption.map(str::to_string),
    }
}

fn reply(title: &str) -> QuickReply {
    QuickReply { title: title.into(), url: None }
}

fn said(text: &str, attachments: &[Attachment]) -> Content {
    Content { text: Some(text.into()), attachments: attachments.to_vec(), ..Content::default() }
}

/// The parts in short: `kind` and what it holds.
fn cut(rules: &Parts, content: &Content) -> Vec<String> {
    let world = World::fixed(0, 1);
    let parts = parts(rules, content, &mut Env::new(&world)).unwrap();
    let short = |part: &Value| {
        let members = ["text", "url", "caption", "attachments", "quick_replies"].map(|name| part.get(name));
        let held: Vec<_> = members.into_iter().filter(|value| !value.is_empty()).collect();
        let held = held.iter().map(|value| match value {
            Value::List(items) => {
                let one = |item: &Value| match item.get("title") {
                    Value::Null => [item.get("url").to_text(), item.get("caption").to_text()].join(" "),
                    title => title.to_text().to_string(),
                };
                format!("[{}]", items.iter().map(one).collect::<Vec<_>>().join("; "))
            }
            other => other.to_text().to_string(),
        });
        format!("{}: {}", part.get("kind").to_text(), held.collect::<Vec<_>>().join(" | "))
            .replace("https://x.example/", "/")
    };
    parts.iter().map(short).collect()
}

#[test]
fn attachments_travel_as_the_mode_says() {
    let content = said("hi", &[image("a", None), image("b", None)]);
    for (mode, expected) in [
        (AttachmentMode::Each, vec!["attachment: /a", "attachment: /b", "text: hi"]),
        (AttachmentMode::OneRequest, vec!["attachments: [/a ; /b ]", "text: hi"]),
        (AttachmentMode::FirstPart, vec!["text: hi | [/a ; /b ]"]),
        (AttachmentMode::AsText, vec!["text: hi\nImage: /a\nImage: /b"]),
        (AttachmentMode::Drop, vec!["text: hi"]),
    ] {
        assert_eq!(cut(&rules(mode), &content), expected, "{mode:?}");
    }
}

#[test]
fn attachments_stand_after_the_text_where_the_plan_says_so() {
    for (mode, expected) in [
        (AttachmentMode::Each, vec!["location: ", "text: hi", "attachment: /a", "attachment: /b"]),
        (AttachmentMode::OneRequest, vec!["location: ", "text: hi", "attachments: [/a ; /b ]"]),
    ] {
        let mut rules = rules(mode);
        rules.attachments.order = Order::AfterText;
        rules.location = true;
        let mut content = said("hi", &[image("a", None), image("b", None)]);
        content.location = Some(Location { latitude: 1.0, longitude: 2.0, name: None, address: None });
        assert_eq!(cut(&rules, &content), expected);
    }
}

#[test]
fn an_attachment_that_the_provider_does_not_take_becomes_a_line_with_its_caption() {
    let pdf = Attachment {
        source: None,
        media: Media::File,
        url: "https://x.example/c".into(),
        mime: Some("application/pdf".into()),
        name: Some("bill.pdf".into()),
        caption: None,
    };
    let mut gif = image("b", Some("look"));
    gif.mime = Some("image/gif".into());
    let content = said("hi", &[image("a", None), gif, pdf]);
    for (mode, expected) in [
        (AttachmentMode::Each, vec!["attachment: /a", "text: hi\nlook\nImage: /b\nbill.pdf: /c"]),
        (AttachmentMode::OneRequest, vec!["attachments: [/a ]", "text: hi\nlook\nImage: /b\nbill.pdf: /c"]),
        (AttachmentMode::FirstPart, vec!["text: hi\nlook\nImage: /b\nbill.pdf: /c | [/a ]"]),
    ] {
        let mut rules = rules(mode);
        rules.attachments.media = Some(vec![(Media::Image, MediaTypes(Some(vec!["image/png".into()])))]);
        assert_eq!(cut(&rules, &content), expected, "{mode:?}");
    }
}

#[test]
fn the_text_becomes_the_caption_of_the_only_attachment_if_it_fits() {
    let mut rules = rules(AttachmentMode::Each);
    rules.attachments.caption = Some(captions(10));
    for (content, expected) in [
        (said("hi", &[image("a", None)]), vec!["attachment: /a | hi"]),
        (said("hi", &[image("a", Some("look"))]), vec!["attachment: /a | look\nhi"]),
        (said("more text", &[image("a", Some("look"))]), vec!["attachment: /a | look", "text: more text"]),
        (
            said("hi", &[image("a", Some("a caption too long"))]),
            vec!["attachment: /a", "text: hi\na caption too long"],
        ),
        (
            said("hi", &[image("a", None), image("b", None)]),
            vec!["attachment: /a", "attachment: /b", "text: hi"],
        ),
    ] {
        assert_eq!(cut(&rules, &content), expected);
    }
}

#[test]
fn the_text_is_absorbed_by_the_first_of_several_attachments_that_takes_it() {
    let mut file = image("a", None);
    file.media = Media::File;
    let content = said("hi", &[file, image("b", Some("long enough")), image("c", None)]);
    for (mode, expected) in [
        (AttachmentMode::Each, vec!["attachment: /a", "attachment: /b | long enough", "attachment: /c | hi"]),
        (AttachmentMode::OneRequest, vec!["attachments: [/a ; /b long enough; /c hi]"]),
    ] {
        let mut rules = rules(mode);
        rules.attachments.caption = Some(captions(11));
        rules.attachments.absorb = true;
        assert_eq!(cut(&rules, &content), expected);
    }
}

#[test]
fn quick_replies_keep_their_text_unless_they_are_part_of_it() {
    let mut rules = rules(AttachmentMode::Each);
    rules.attachments.caption = Some(captions(100));
    let mut content = said("Tea?", &[image("a", None)]);
    content.quick_replies = vec![reply("Yes"), reply("No")];
    assert_eq!(cut(&rules, &content), ["attachment: /a | Tea?\n1. Yes\n2. No"]);
    rules.quick_replies = Some(ReplyParts { on_first: false, max: 2, title_max: Some(3) });
    assert_eq!(cut(&rules, &content), ["attachment: /a", "text: Tea? | [Yes; No]"]);
}

#[test]
fn quick_replies_hang_on_the_first_or_the_last_text() {
    for (on_first, expected) in
        [(true, ["text: one | [Yes]", "text: two"]), (false, ["text: one", "text: two | [Yes]"])]
    {
        let mut rules = rules(AttachmentMode::AsText);
        rules.text.max = Some(Template::Literal(Value::from(3_i64)));
        rules.quick_replies = Some(ReplyParts { on_first, max: 9, title_max: None });
        let mut content = said("one two", &[]);
        content.quick_replies = vec![reply("Yes")];
        assert_eq!(cut(&rules, &content), expected);
    }
}

#[test]
fn quick_replies_that_the_provider_can_not_show_all_become_lines() {
    let native = |max, title_max| {
        let mut rules = rules(AttachmentMode::Each);
        rules.quick_replies = Some(ReplyParts { on_first: false, max, title_max });
        rules
    };
    let mut content = said("Tea?", &[]);
    content.quick_replies = vec![reply("Yes"), reply("Later")];
    let as_text = ["text: Tea?\n1. Yes\n2. Later"];
    assert_eq!(cut(&native(2, Some(5)), &content), ["text: Tea? | [Yes; Later]"]);
    assert_eq!(cut(&native(1, None), &content), as_text, "too many");
    assert_eq!(cut(&native(2, Some(4)), &content), as_text, "a title too long");
    content.text = None;
    assert_eq!(cut(&native(2, None), &content), ["text: 1. Yes\n2. Later"], "no text to hang on");
}

/// Every unit with texts that it measures differently, and limits.
fn measured() -> impl Iterator<Item = (Unit, String, usize)> {
    let texts = ["plain words ", "Größe für {Preis} 5€ ", "naïve 👩‍👩‍👧 e\u{301} "].map(|text| text.repeat(30));
    let units = Unit::WORDS.iter().filter_map(|word| Unit::of(word));
    units.flat_map(move |unit| {
        let limits = move |text: String| [40, 70, 160].map(|max| (unit, text.clone(), max));
        texts.clone().into_iter().flat_map(limits)
    })
}

#[test]
fn every_unit_bounds_texts_by_its_own_measure() {
    for (unit, text, max) in measured() {
        let mut rules = rules(AttachmentMode::Each);
        rules.text =
            TextParts { max: Some(Template::Literal(Value::from(max))), unit, overflow: Overflow::Split };
        let pieces = split(&text, max, unit);
        let fit = pieces.iter().all(|piece| size(piece, max, unit).fits());
        assert!(pieces.len() > 1 && fit, "{unit:?} {max}");
        let expected: Vec<_> = pieces.iter().map(|piece| format!("text: {piece}")).collect();
        assert_eq!(cut(&rules, &said(&text, &[])), expected, "pieces as they are, without numbers");
        rules.text.overflow = Overflow::Truncate;
        assert_eq!(cut(&rules, &said(&text, &[])), expected[..1], "{unit:?}");
        rules.text.overflow = Overflow::Fail;
        let world = World::fixed(0, 1);
        let refused = super::parts(&rules, &said(&text, &[]), &mut Env::new(&world)).unwrap_err();
        let size = size(text.trim(), max, unit);
        let told = format!("{} {}; the provider takes at most {}", size.count, size.unit.as_str(), size.max);
        assert!(refused.to_string().ends_with(&told), "{refused}");
        rules.text.max = Some(Template::Literal(Value::from(9_999_i64)));
        assert_eq!(cut(&rules, &said(&text, &[])), [format!("text: {}", text.trim())], "a text that fits");
    }
}

#[test]
fn every_unit_bounds_captions_and_titles_by_its_own_measure() {
    for (unit, text, _) in measured() {
        let text = text.trim();
        let enough = (1..9_999).find(|max| size(text, *max, unit).fits()).unwrap();
        for (max, fits) in [(enough, true), (enough - 1, false)] {
            let mut rules = rules(AttachmentMode::Each);
            rules.text.unit = unit;
            rules.attachments.caption = Some(captions(i64::try_from(max).unwrap()));
            let expected = if fits {
                vec![format!("attachment: /a | {text}")]
            } else {
                vec!["attachment: /a".to_string(), format!("text: {text}")]
            };
            assert_eq!(cut(&rules, &said(text, &[image("a", None)])), expected, "{unit:?} {max}");

            rules.quick_replies = Some(ReplyParts { on_first: false, max: 9, title_max: Some(max) });
            let mut content = said("Which?", &[]);
            content.quick_replies = vec![reply(text)];
            let expected =
                if fits { format!("text: Which? | [{text}]") } else { format!("text: Which?\n1. {text}") };
            assert_eq!(cut(&rules, &content), [expected], "{unit:?} {max}");
        }
    }
}

#[test]
fn a_bound_that_comes_to_nothing_is_none() {
    for max in [Value::Null, Value::text(""), Value::from(0_i64), Value::from(-1_i64), Value::text("many")] {
        let mut rules = rules(AttachmentMode::Each);
        rules.text.max = Some(Template::Literal(max));
        assert_eq!(cut(&rules, &said("hello world", &[])), ["text: hello world"]);
    }
}

#[test]
fn a_message_that_would_become_too_many_parts_is_refused() {
    let mut rules = rules(AttachmentMode::Each);
    rules.text.max = Some(Template::Literal(Value::from(1_i64)));
    let world = World::fixed(0, 1);
    let refused = parts(&rules, &said(&"x".repeat(101), &[]), &mut Env::new(&world)).unwrap_err();
    assert!(refused.to_string().contains("101 parts"), "{refused}");
}

#[test]
fn parts_know_where_they_stand() {
    let world = World::fixed(0, 1);
    let content = said("hi", &[image("a", None)]);
    let parts = parts(&rules(AttachmentMode::Each), &content, &mut Env::new(&world)).unwrap();
    let places: Vec<_> =
        parts.iter().map(|part| ["index", "first", "last"].map(|name| part.get(name).clone())).collect();
    assert_eq!(
        places,
        [
            [Value::from(0_usize), Value::Bool(true), Value::Bool(false)],
            [Value::from(1_usize), Value::Bool(false), Value::Bool(true)],
        ]
    );
}
