//! Markdown (as `CommonMark` has it, and `~~struck~~`) as what a channel shows.
//!
//! Invariant: where the result is HTML, nothing of the text can become a tag or an attribute.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::Helper;
use super::format::html;
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[Helper::fallible(
    "markdown text to=",
    (1, 1),
    "What a text in Markdown looks like in another format: `html`; `inline_html`, with no other tags than \
     b, i, s, code, pre, a and blockquote, and line breaks as they are; `chat`, with `*bold*`, `_italic_`, \
     `~struck~` and backticks, as most chat apps show; or `plain` (unless given). HTML in the text is shown as \
     it is written.",
    "{{markdown 'Hi **you**, [see](https://x.io)' to='chat'}}",
    "\"Hi *you*, see (https://x.io)\"",
    |a| {
        let Some(text) = a.text(0) else { return Ok(Value::Null) };
        let dialect = match a.named("to").as_text() {
            None | Some("plain") => Dialect::Plain,
            Some("chat") => Dialect::Chat,
            Some("inline_html") => Dialect::InlineHtml,
            Some("html") => Dialect::Html,
            Some(other) => {
                return Err(Failure(format!(
                    "there is no format `{other}`; there are plain, chat, inline_html and html"
                )));
            }
        };
        Ok(Value::from(rendered(&text, dialect)))
    },
)
.named(&["to"])];

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Plain,
    Chat,
    InlineHtml,
    Html,
}

fn rendered(text: &str, dialect: Dialect) -> String {
    let mut writer = Writer { dialect, ..Writer::default() };
    for event in Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH) {
        writer.event(event);
    }
    writer.out.trim_end().to_string()
}

struct Writer {
    out: String,
    dialect: Dialect,
    /// The next number of each list that is open; none where it is not numbered.
    lists: Vec<Option<u64>>,
    /// What the links that are open lead to, and where their text starts.
    links: Vec<(String, usize)>,
    quotes: usize,
    /// Whether a block has begun in which nothing was written yet, such as an item of a list.
    fresh: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            out: String::new(),
            dialect: Dialect::Plain,
            lists: Vec::new(),
            links: Vec::new(),
            quotes: 0,
            fresh: true,
        }
    }
}

impl Writer {
    fn is_html(&self) -> bool {
        matches!(self.dialect, Dialect::InlineHtml | Dialect::Html)
    }

    /// Text of the author.
    fn put(&mut self, text: &str) {
        self.fresh = false;
        if self.is_html() {
            self.out.push_str(&html(text));
        } else {
            self.out.push_str(&text.replace('\n', &self.line_break()));
        }
    }

    /// A line break, with what quotes want at the beginning of a line.
    fn line_break(&self) -> String {
        let marks =
            if self.dialect == Dialect::Chat { "> ".repeat(self.quotes.min(8)) } else { String::new() };
        format!("\n{marks}")
    }

    /// What is written for something in each dialect that marks it.
    fn mark(&mut self, chat: &str, inline_html: &str, html: &str) {
        let mark = match self.dialect {
            Dialect::Plain => "",
            Dialect::Chat => chat,
            Dialect::InlineHtml => inline_html,
            Dialect::Html => html,
        };
        self.out.push_str(mark);
    }

    /// Where lines are what keeps blocks apart, starts a block on a line of its own, below `lines` line breaks.
    fn block(&mut self, lines: usize) {
        if self.dialect == Dialect::Html {
            return;
        }
        if !self.fresh {
            let lines = if self.lists.is_empty() { lines } else { 1 };
            let line_break = self.line_break();
            (0..lines).for_each(|_| self.out.push_str(&line_break));
        }
        self.fresh = true;
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.put(&text),
            Event::Code(text) => {
                self.mark("`", "<code>", "<code>");
                self.put(&text);
                self.mark("`", "</code>", "</code>");
            }
            Event::SoftBreak | Event::HardBreak => {
                let line_break = self.line_break();
                self.out.push_str(if self.dialect == Dialect::Html { "<br>" } else { &line_break });
            }
            Event::Rule => {
                self.block(2);
                self.out.push_str(if self.dialect == Dialect::Html { "<hr>" } else { "———" });
                self.fresh = false;
            }
            // Of extensions that are not switched on.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.put(&text)
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => {
                self.block(2);
                self.mark("", "", "<p>");
            }
            Tag::Heading { level, .. } => {
                self.block(2);
                self.mark("*", "<b>", &format!("<{}>", heading(level)));
            }
            Tag::BlockQuote(_) => {
                self.block(2);
                self.quotes += 1;
                self.mark("> ", "<blockquote>", "<blockquote>");
            }
            Tag::CodeBlock(kind) => {
                self.block(2);
                self.mark("```\n", "<pre>", "<pre><code>");
                if let (CodeBlockKind::Fenced(_), Dialect::Chat) = (kind, self.dialect) {
                    self.fresh = false;
                }
            }
            Tag::List(first) => {
                self.block(2);
                self.lists.push(first);
                self.mark("", "", if first.is_some() { "<ol>" } else { "<ul>" });
            }
            Tag::Item => {
                self.block(1);
                let depth = self.lists.len().saturating_sub(1);
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{}. ", number.saturating_sub(1))
                    }
                    _ => "• ".to_string(),
                };
                let bullet = if self.dialect == Dialect::Html {
                    "<li>".to_string()
                } else {
                    format!("{}{bullet}", "  ".repeat(depth.min(8)))
                };
                self.out.push_str(&bullet);
            }
            Tag::Emphasis => self.mark("_", "<i>", "<em>"),
            Tag::Strong => self.mark("*", "<b>", "<strong>"),
            Tag::Strikethrough => self.mark("~", "<s>", "<del>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                if self.is_html() && leads_somewhere(&dest_url) {
                    self.out.push_str(&format!("<a href=\"{}\">", html(&dest_url)));
                }
                self.links.push((dest_url.to_string(), self.out.len()));
            }
            _ => self.block(2),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.mark("", "", "</p>"),
            TagEnd::Heading(level) => self.mark("*", "</b>", &format!("</{}>", heading(level))),
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.mark("", "</blockquote>", "</blockquote>");
            }
            TagEnd::CodeBlock => {
                self.out.truncate(self.out.trim_end().len());
                let line_break = self.line_break();
                self.mark(&format!("{line_break}```"), "</pre>", "</code></pre>");
            }
            TagEnd::List(numbered) => {
                self.lists.pop();
                self.mark("", "", if numbered { "</ol>" } else { "</ul>" });
            }
            TagEnd::Item => {
                self.mark("", "", "</li>");
                self.fresh = false;
            }
            TagEnd::Emphasis => self.mark("_", "</i>", "</em>"),
            TagEnd::Strong => self.mark("*", "</b>", "</strong>"),
            TagEnd::Strikethrough => self.mark("~", "</s>", "</del>"),
            TagEnd::Link | TagEnd::Image => {
                let Some((url, start)) = self.links.pop() else { return };
                let text = self.out.get(start..).unwrap_or_default();
                let told = text == url || url.strip_prefix("mailto:") == Some(text);
                let bare = text.is_empty();
                if self.is_html() && leads_somewhere(&url) {
                    self.out.push_str("</a>");
                } else if bare {
                    self.put(&url);
                } else if !told {
                    self.put(&format!(" ({url})"));
                }
                self.fresh = false;
            }
            _ => {}
        }
    }
}

/// Whether a link may be one in HTML: one with another scheme could run a script where it is clicked.
fn leads_somewhere(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["http", "https", "mailto", "tel"].contains(&scheme.as_str()))
}

fn heading(level: HeadingLevel) -> &'static str {
    match level {
        HeadingLevel::H1 => "h1",
        HeadingLevel::H2 => "h2",
        HeadingLevel::H3 => "h3",
        HeadingLevel::H4 => "h4",
        HeadingLevel::H5 => "h5",
        HeadingLevel::H6 => "h6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# Order\nHello **bold**, *slanted*, ~~gone~~ & `a<b`\nsecond line\n\n- one\n- **two**\n  1. deep\n\n> said\n> so\n\n```rust\nlet a = 1;\n```\n[shop](https://x.io/?a=1&b=2) <https://x.io>";

    #[test]
    fn each_dialect() {
        assert_eq!(
            rendered(TEXT, Dialect::Plain),
            "Order\n\nHello bold, slanted, gone & a<b\nsecond line\n\n• one\n• two\n  1. deep\n\nsaid\nso\n\nlet a = 1;\n\nshop (https://x.io/?a=1&b=2) https://x.io"
        );
        assert_eq!(
            rendered(TEXT, Dialect::Chat),
            "*Order*\n\nHello *bold*, _slanted_, ~gone~ & `a<b`\nsecond line\n\n• one\n• *two*\n  1. deep\n\n> said\n> so\n\n```\nlet a = 1;\n```\n\nshop (https://x.io/?a=1&b=2) https://x.io"
        );
        assert_eq!(
            rendered(TEXT, Dialect::InlineHtml),
            "<b>Order</b>\n\nHello <b>bold</b>, <i>slanted</i>, <s>gone</s> &amp; <code>a&lt;b</code>\nsecond line\n\n• one\n• <b>two</b>\n  1. deep\n\n<blockquote>said\nso</blockquote>\n\n<pre>let a = 1;</pre>\n\n<a href=\"https://x.io/?a=1&amp;b=2\">shop</a> <a href=\"https://x.io\">https://x.io</a>"
        );
        assert_eq!(
            rendered(TEXT, Dialect::Html),
            "<h1>Order</h1><p>Hello <strong>bold</strong>, <em>slanted</em>, <del>gone</del> &amp; <code>a&lt;b</code><br>second line</p><ul><li>one</li><li><strong>two</strong><ol><li>deep</li></ol></li></ul><blockquote><p>said<br>so</p></blockquote><pre><code>let a = 1;</code></pre><p><a href=\"https://x.io/?a=1&amp;b=2\">shop</a> <a href=\"https://x.io\">https://x.io</a></p>"
        );
    }

    #[test]
    fn html_in_the_text_is_shown() {
        let text = "<b onclick=x>a</b> [x](javascript:alert) [y](/z)\n\n<script>alert(1)</script>";
        for dialect in [Dialect::InlineHtml, Dialect::Html] {
            let made = rendered(text, dialect);
            assert!(!["<b", "<script", "<a"].iter().any(|tag| made.contains(tag)), "{made}");
        }
        assert_eq!(rendered("a *b", Dialect::Chat), "a *b");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_tag_of_its_own(text in "([*_~`>#\\[\\]()<\"'& \n-]|[a-z]{1,3}|!|1\\. ){0,60}") {
            for dialect in [Dialect::Plain, Dialect::Chat] {
                let _ = rendered(&text, dialect);
            }
            let made = rendered(&text, Dialect::InlineHtml);
            for tag in made.split('<').skip(1) {
                let name = tag.split(['>', ' ']).next().unwrap().trim_start_matches('/');
                prop_assert!(["b", "i", "s", "code", "pre", "a", "blockquote"].contains(&name), "{made}");
            }
        }
    }
}
