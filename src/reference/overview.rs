//! The page of a folder of mappings: what each can do, as its plan says.

use std::fmt::Write as _;

use super::{GENERATED, cell};
use crate::message::{EventKind, Media};
use crate::plan::{AttachmentMode, AttachmentParts, ContactMember, Emission, Plan, Proof, Rule};

/// What stands before the table.
const HEAD: &str = "# Mappings\n\nOne file per provider, with its tests beside it. How one is made: the [tutorial](../docs/tutorial.md); what every key says: the [reference](../docs/reference/mapping.md).\n\n**in**: what contacts send \
                    arrives as such; **out**: what agents send leaves as the provider's own kind; **as text**: it \
                    leaves as readable text. Receipts are sent, delivered, read and failed; names are those of \
                    contacts.\n\n";

/// The columns after the provider's name.
const COLUMNS: &[&str] = &[
    "contacts",
    "text",
    "image",
    "video",
    "audio",
    "file",
    "location",
    "quick replies",
    "receipts",
    "names",
    "proof of origin",
    "documentation",
];

/// The page: a row for each mapping, and what each was written from.
pub fn overview(plans: &[&Plan]) -> String {
    let mut text = format!("{GENERATED}{HEAD}| provider | {} |\n", COLUMNS.join(" | "));
    text.push_str(&"|---".repeat(COLUMNS.len() + 1));
    text.push_str("|\n");
    for plan in plans {
        let cells: Vec<_> = row(plan).iter().map(|value| cell(value)).collect();
        let _ = writeln!(text, "| [{}]({}.yaml) | {} |", cell(&plan.title), plan.name, cells.join(" | "));
    }
    text.push_str("\n## What they were written from\n");
    for plan in plans {
        let _ = write!(text, "\n{}\n\n", plan.title);
        for url in &plan.docs {
            let _ = match host(url) {
                Some(_) => writeln!(text, "- <{url}>"),
                None => writeln!(text, "- {url}"),
            };
        }
    }
    text
}

fn row(plan: &Plan) -> Vec<String> {
    let mut emissions = Vec::new();
    plan.webhooks.iter().for_each(|webhook| collect(&webhook.rule, &mut emissions));
    let messages = || emissions.iter().filter(|emission| emission.kind == EventKind::Message);
    let receives = |has: fn(&Emission) -> bool| messages().any(|emission| has(emission));
    let files = receives(|emission| emission.attachments.is_some());
    let sends = plan.send.as_ref().map(|send| &send.parts);
    let both = |inward: bool, outward: Option<bool>| {
        let outward = match outward {
            None => "",
            Some(true) => "out",
            Some(false) => "as text",
        };
        let ways: Vec<_> =
            [if inward { "in" } else { "" }, outward].into_iter().filter(|way| !way.is_empty()).collect();
        if ways.is_empty() { "-".to_string() } else { ways.join(", ") }
    };
    let yes = |holds: bool| if holds { "yes" } else { "-" }.to_string();
    let media = |kind: Media| both(files, sends.map(|parts| leaves(&parts.attachments, kind)));
    let named = |emission: &Emission| {
        let names = [ContactMember::Name, ContactMember::FirstName, ContactMember::LastName];
        emission.contact.iter().any(|(member, _)| names.contains(member))
    };
    vec![
        plan.contact_id.as_str().to_string(),
        both(receives(|emission| emission.text.is_some() || emission.as_text.is_some()), sends.map(|_| true)),
        media(Media::Image),
        media(Media::Video),
        media(Media::Audio),
        media(Media::File),
        both(receives(|emission| emission.location.is_some()), sends.map(|parts| parts.location)),
        both(false, sends.map(|parts| parts.quick_replies.is_some())),
        yes(emissions.iter().any(|emission| emission.kind == EventKind::MessageStatus)),
        yes(emissions.iter().any(|emission| named(emission))),
        proofs(plan),
        documentation(plan),
    ]
}

/// Whether an attachment of that kind leaves as such.
fn leaves(parts: &AttachmentParts, kind: Media) -> bool {
    let listed = parts.media.as_ref().is_none_or(|media| media.iter().any(|(known, _)| *known == kind));
    listed && !matches!(parts.mode, AttachmentMode::AsText | AttachmentMode::Drop)
}

/// Everything that a rule and those within it may emit.
fn collect<'p>(rule: &'p Rule, into: &mut Vec<&'p Emission>) {
    into.extend(rule.emit.as_deref());
    rule.rules.iter().for_each(|inner| collect(inner, into));
}

/// What the webhooks ask for, each kind once.
fn proofs(plan: &Plan) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for verify in plan.webhooks.iter().flat_map(|webhook| &webhook.verify) {
        let kind = match &verify.proof {
            Proof::Equal(..) => "shared secret",
            Proof::Signature(signature) => signature.algorithm.as_str(),
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { "-".into() } else { kinds.join(", ") }
}

/// The first page of the provider's documentation; all of them follow the table.
fn documentation(plan: &Plan) -> String {
    match plan.docs.first() {
        Some(url) if host(url).is_some() => format!("[documentation]({url})"),
        Some(place) => place.clone(),
        None => "-".into(),
    }
}

fn host(url: &str) -> Option<&str> {
    url.split("://").nth(1)?.split('/').next()
}
