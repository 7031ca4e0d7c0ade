//! The page of the helpers, topic by topic.

use std::fmt::Write as _;

use super::{cell, code};
use crate::expression::{FAMILIES, SAMPLE};

/// The page.
pub(super) fn page() -> String {
    let mut text = include_str!("helpers.md").replace("<!-- sample -->", SAMPLE);
    for (topic, helpers) in FAMILIES {
        let _ = write!(text, "\n## {topic}\n\n| usage | gives | example |\n|---|---|---|\n");
        for helper in *helpers {
            let _ = writeln!(
                text,
                "| {} | {} | {} → {} |",
                code(helper.usage),
                cell(helper.about),
                code(helper.example),
                code(helper.gives)
            );
        }
    }
    text
}
