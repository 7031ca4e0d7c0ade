//! Handlebars source to [`Text`]: names and helpers are resolved here, and every problem is found in one pass,
//! each with its exact range.
//!
//! The language is Handlebars without what could hurt: no partials, no decorators, no context switch but `each`
//! and `it`, no HTML escaping. Source length and nesting are capped, so no template can overflow the stack.

mod blocks;
mod expression;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::blocks::Blocks;
use self::expression::Parser;
use self::scan::{TagKind, raw_ranges, scan};
use super::problem::{Problem, ProblemKind};
use super::scope::Names;
use super::text::Text;

/// The longest template, in bytes.
const LONGEST: usize = 64 << 10;
/// How deep blocks and parentheses may nest.
const DEEPEST: usize = 64;

/// Compiles a template; what can't be compiled is reported and left out.
pub fn template(source: &str, names: &Names, problems: &mut Vec<Problem>) -> Text {
    if source.len() > LONGEST {
        let message = format!("this template has {} bytes; at most {LONGEST} are allowed", source.len());
        problems.push(Problem::new(ProblemKind::Size, 0..0, message));
        return Text::default();
    }
    let mut tags = Vec::new();
    let before = problems.len();
    scan(source, &mut tags, problems);
    if problems.len() > before {
        // Blocks can't be put together where a tag is missing; what each tag says is judged all the same.
        for tag in tags.iter().filter(|tag| tag.kind == TagKind::Put) {
            let Range { start, end } = tag.inner;
            let parser = Parser { source, at: start, end, depth: 0, names };
            problems.extend(parser.whole().err());
        }
        return Text::default();
    }
    let raws = raw_ranges(source, &tags);
    let mut blocks = Blocks { source, names, tags: &tags, raws: &raws, at: 0, depth: 0, problems };
    let (text, end) = blocks.body();
    if let Some(tag) = end {
        let (message, help) = match tag.kind {
            TagKind::Else => {
                ("`{{else}}` outside of a block", "it belongs between `{{#if ..}}` and `{{/if}}`")
            }
            _ => ("this closes a block that was not opened", "remove it, or open the block with `{{#..}}`"),
        };
        blocks.problems.push(Problem::new(ProblemKind::Template, tag.range.clone(), message).help(help));
    }
    text
}
