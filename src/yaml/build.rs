//! From the parser's events to the tree.
//!
//! One pass over one text. Keys are made distinct, aliases and merge keys are expanded, and the bounds are
//! kept, all without recursion; whatever can be told without stopping is told and stepped over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use serde_yaml::granit_parser::{
    self, ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag, options,
};

use super::places::{self, Style};
use super::scalar::{self, Plain};
use super::{Bounds, DEPTH_LIMIT, Entry, Kind, Node, Text, syntax};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Span};

/// What one pass found.
pub(super) struct Outcome {
    /// The tree, unless the pass stopped early.
    pub(super) node: Option<Node>,
    /// What was told.
    pub(super) problems: Diagnostics,
    /// Where the parser gave up.
    pub(super) stopped: Option<Stop>,
    /// Where a flow map starts right within a flow map, and whether that is within a flow collection itself.
    pub(super) braces: Vec<(usize, bool)>,
    /// The texts that hold what was quoted; they may go on on further lines.
    pub(super) covered: Vec<Range<usize>>,
    /// Whether what was quoted lies within a text that has quotes or is a block: it was no plain text at all.
    pub(super) misled: bool,
}

/// A syntax error.
pub(super) struct Stop {
    pub(super) kind: ErrorKind,
    /// The byte in question.
    pub(super) at: usize,
    /// Where each flow collection that is open there starts.
    pub(super) open: Vec<usize>,
}

/// Texts that are read as if they were quoted, by where they start.
pub(super) type Quoted = BTreeMap<usize, Range<usize>>;

/// Reads `text`, which is `source` except for what is quoted: there it holds placeholders of the same length.
pub(super) fn build(bounds: Bounds, file: FileId, source: &str, text: &str, quoted: &Quoted) -> Outcome {
    let mut builder = Builder {
        bounds,
        file,
        source,
        quoted,
        out: Diagnostics::new(),
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        names: BTreeSet::new(),
        nodes: 0,
        aliases: 0,
        braces: Vec::new(),
        covered: Vec::new(),
        misled: false,
        last_brace: None,
        end: 0,
    };
    // The parser's own bounds are only a second line of defence: ours come first and have better words.
    let options = options! {
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_LIMIT + 1,
        block_nesting_limit: DEPTH_LIMIT + 1,
    };
    let mut stopped = None;
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                if documents > 1 {
                    let span = builder.span(span.byte_range());
                    builder.out.push(syntax::second_document(span));
                    break;
                }
            }
            Ok((event, span)) => {
                if builder.event(event, &span).is_err() {
                    builder.root = None;
                    break;
                }
            }
            Err(error) => {
                stopped = Some(builder.stop(&error));
                builder.abandon();
                break;
            }
        }
    }
    let node = match (&stopped, documents) {
        (Some(_), _) => None,
        (None, 0) => Some(Node { span: Span::new(file, 0..0), kind: Kind::Null }),
        (None, _) => builder.root,
    };
    Outcome {
        node,
        problems: builder.out,
        stopped,
        braces: builder.braces,
        covered: builder.covered,
        misled: builder.misled,
    }
}

/// A bound is exceeded, which was told: nothing more is read.
struct Exceeded;

struct Builder<'a> {
    bounds: Bounds,
    file: FileId,
    source: &'a str,
    quoted: &'a Quoted,
    out: Diagnostics,
    open: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    /// The names of anchors so far.
    names: BTreeSet<String>,
    nodes: usize,
    aliases: usize,
    braces: Vec<(usize, bool)>,
    covered: Vec<Range<usize>>,
    misled: bool,
    last_brace: Option<usize>,
    /// Where the last thing that was read ends.
    end: usize,
}

/// A collection that is being read.
struct Frame {
    start: usize,
    flow: bool,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Key },
}

/// What a map waits for.
enum Key {
    Awaited,
    Read(Text),
    /// A key that is none: its value is read and dropped.
    Dropped,
}

/// What an alias can stand for.
struct Anchored {
    node: Node,
    /// The number of values in it.
    size: usize,
    depth: usize,
}

impl Builder<'_> {
    fn span(&self, range: Option<Range<usize>>) -> Span {
        Span::new(self.file, range.unwrap_or(0..0))
    }

    fn stop(&self, error: &ScanError) -> Stop {
        Stop {
            kind: error.kind().clone(),
            at: error.marker().byte_offset().unwrap_or(0).min(self.source.len()),
            open: self.open.iter().filter(|frame| frame.flow).map(|frame| frame.start).collect(),
        }
    }

    /// Tells what is known of the collections that were never finished.
    fn abandon(&mut self) {
        for frame in std::mem::take(&mut self.open) {
            if let Content::Map { entries, .. } = frame.content {
                self.distinct(entries);
            }
        }
    }

    fn event(&mut self, event: Event<'_>, place: &granit_parser::Span) -> Result<(), Exceeded> {
        let range = place.byte_range().unwrap_or(0..0);
        let brace = self.last_brace.take();
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                self.count(1, range.start)?;
                self.end = range.end;
                self.scalar(&value, style, tag.as_deref(), range, anchor, place);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), "seq", place);
                self.begin(range.start, style == StructureStyle::Flow, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), "map", place);
                let flow = style == StructureStyle::Flow;
                if flow && !range.is_empty() {
                    if let Some(outer) = brace.filter(|outer| outer + 1 == range.start) {
                        let within = self.open.iter().rev().skip(1).any(|frame| frame.flow);
                        self.braces.push((outer, within));
                    }
                    self.last_brace = Some(range.start);
                }
                let content = Content::Map { entries: Vec::new(), key: Key::Awaited };
                self.begin(range.start, flow, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                // A block's end is where the next thing starts; what it holds ends earlier.
                if !range.is_empty() {
                    self.end = range.end;
                }
                self.finish();
            }
            Event::Alias(id) => {
                self.end = range.end;
                self.alias(id, range)?;
            }
            Event::UnresolvedAlias(name) => {
                self.end = range.end;
                let span = Span::new(self.file, range);
                let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
                let problem = syntax::unknown_anchor(&name, span, &names);
                self.out.push(problem);
                self.place(Node { span, kind: Kind::Null });
            }
            Event::Anchor(_, name) => {
                self.last_brace = brace;
                self.names.insert(name.into_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, at: usize) -> Result<(), Exceeded> {
        self.nodes += more;
        let Bounds { values, aliases, .. } = self.bounds;
        let what = if self.nodes > values {
            format!("this file has more than {values} values")
        } else if self.aliases > aliases {
            format!("this file has more than {aliases} aliases")
        } else {
            return Ok(());
        };
        let problem = Diagnostic::new(Code::TooLarge, Span::new(self.file, at..at), what);
        self.out
            .push(problem.label("reading stopped here").help("move large tables into files of their own"));
        Err(Exceeded)
    }

    fn deep(&mut self, depth: usize, at: usize) -> Result<(), Exceeded> {
        if depth <= DEPTH_LIMIT {
            return Ok(());
        }
        self.out.push(syntax::too_deep(Span::new(self.file, at..at)));
        Err(Exceeded)
    }

    fn begin(&mut self, start: usize, flow: bool, anchor: usize, content: Content) -> Result<(), Exceeded> {
        self.count(1, start)?;
        self.deep(self.open.len() + 1, start)?;
        self.end = start;
        self.open.push(Frame { start, flow, anchor, content });
        Ok(())
    }

    fn finish(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        let span = Span::new(self.file, frame.start..self.end);
        let kind = match frame.content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(self.distinct(entries)),
        };
        let node = Node { span, kind };
        self.define(frame.anchor, &node);
        self.place(node);
    }

    fn define(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            let (size, depth) = measure(node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: Key::Awaited, .. }, .. }))
    }

    fn scalar(
        &mut self,
        value: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        range: Range<usize>,
        anchor: usize,
        place: &granit_parser::Span,
    ) {
        let plain = style == ScalarStyle::Plain;
        let touched = self.quoted.range(range.clone()).next().is_some();
        self.misled |= touched && !plain;
        let quoted = plain && touched;
        let (span, text) = if quoted {
            self.covered.push(range.clone());
            let span = Span::new(self.file, range.clone());
            let value = places::unfolded(range, self.source).unwrap_or_default();
            (span, Text::scalar(&value, Style::Plain, span, self.source))
        } else {
            // The parser puts what is only implied before the colon.
            let implied = range.is_empty() && !self.awaits_key();
            let colon = implied && self.source.get(range.start..).is_some_and(|rest| rest.starts_with(':'));
            let value = if range.is_empty() { "" } else { value };
            let range = if colon { range.start + 1..range.start + 1 } else { range };
            let span = Span::new(self.file, range);
            (span, Text::scalar(value, self::style(style), span, self.source))
        };
        let literal = quoted || !plain;
        let kind = self.resolve(&text, literal, tag, place);
        let node = Node { span: if matches!(kind, Kind::Text(_)) { text.span } else { span }, kind };
        self.define(anchor, &node);
        if self.awaits_key() {
            self.key(Key::Read(text));
        } else {
            self.place(node);
        }
    }

    /// What a scalar is, by its tag and style.
    fn resolve(
        &mut self,
        text: &Text,
        literal: bool,
        tag: Option<&Tag>,
        place: &granit_parser::Span,
    ) -> Kind {
        let wanted = match tag {
            Some(tag) if tag.original() == "!" => Some("str"),
            Some(tag) => tag.core_suffix(),
            None => None,
        };
        if tag.is_some() && !matches!(wanted, Some("str" | "int" | "float" | "bool" | "null")) {
            self.out.push(syntax::unknown_tag(self.tag_span(place)));
            return Kind::Text(text.clone());
        }
        let read = match (wanted, literal) {
            (Some("str"), _) | (None, true) => Plain::Text,
            _ => scalar::plain(&text.value),
        };
        let fits = match (wanted, &read) {
            (Some("int"), read) => matches!(read, Plain::Int(_)),
            (Some("float"), read) => matches!(read, Plain::Float(_) | Plain::Int(_)),
            (Some("bool"), read) => matches!(read, Plain::Bool(_)),
            (Some("null"), read) => matches!(read, Plain::Null),
            _ => true,
        };
        if !fits {
            self.out.push(syntax::unfit_tag(self.tag_span(place), wanted.unwrap_or_default()));
        }
        match read {
            Plain::Null => Kind::Null,
            Plain::Bool(truth) => Kind::Bool(truth),
            Plain::Int(number) => Kind::Int(number),
            Plain::Float(number) => Kind::Float(number),
            Plain::Text => Kind::Text(text.clone()),
        }
    }

    fn tag(&mut self, tag: Option<&Tag>, fitting: &str, place: &granit_parser::Span) {
        if tag.is_some_and(|tag| tag.core_suffix() != Some(fitting)) {
            self.out.push(syntax::unknown_tag(self.tag_span(place)));
        }
    }

    fn tag_span(&self, place: &granit_parser::Span) -> Span {
        self.span(place.tag_span().and_then(|tag| tag.byte_range()).or_else(|| place.byte_range()))
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<(), Exceeded> {
        self.aliases += 1;
        let span = Span::new(self.file, range.clone());
        let Some(anchored) = self.anchors.get(&id) else {
            self.out.push(syntax::endless_alias(span));
            self.place(Node { span, kind: Kind::Null });
            return Ok(());
        };
        let (size, depth) = (anchored.size, anchored.depth);
        self.count(size, range.start)?;
        self.deep(self.open.len() + depth, range.start)?;
        let Some(kind) = self.anchors.get(&id).map(|anchored| anchored.node.kind.clone()) else {
            return Ok(());
        };
        self.place(Node { span, kind });
        Ok(())
    }

    fn key(&mut self, read: Key) {
        if let Some(Frame { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = read;
        }
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node) {
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Read(text) => entries.push(Entry { key: text, value: node }),
                Key::Dropped => {}
                Key::Awaited => {
                    // An alias or a collection as a key.
                    *key = match node.kind {
                        Kind::Text(text) => Key::Read(text),
                        _ => Key::Dropped,
                    };
                    if matches!(key, Key::Dropped) {
                        let span = node.span;
                        self.out.push(syntax::key_is_no_text(span));
                    }
                }
            },
        }
    }

    /// The members with merge keys expanded; of those with the same key the first, and every other told.
    fn distinct(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let merges = |entry: &Entry| entry.key.value == "<<" && entry.key.is_plain();
        let mut seen: HashMap<smol_str::SmolStr, Span> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(first) = seen.get(&entry.key.value) {
                self.out.push(syntax::duplicate_key(&entry.key, *first));
            } else {
                seen.insert(entry.key.value.clone(), entry.key.span);
                kept.push(entry);
            }
        }
        if !kept.iter().any(merges) {
            return kept;
        }
        let mut expanded = Vec::with_capacity(kept.len());
        for entry in kept {
            if !merges(&entry) {
                expanded.push(entry);
                continue;
            }
            let parts = match entry.value.kind {
                Kind::List(items) => items,
                _ => vec![entry.value],
            };
            for part in parts {
                let Kind::Map(members) = part.kind else {
                    self.out.push(syntax::merge_of_no_map(part.span, part.kind_name()));
                    continue;
                };
                for member in members {
                    if !seen.contains_key(&member.key.value) {
                        seen.insert(member.key.value.clone(), member.key.span);
                        expanded.push(member);
                    }
                }
            }
        }
        expanded
    }
}

/// The number of values in a node, and how deep it is.
fn measure(node: &Node) -> (usize, usize) {
    let (mut size, mut depth) = (0, 0);
    let mut waiting = vec![(node, 1)];
    while let Some((node, level)) = waiting.pop() {
        size += 1;
        depth = depth.max(level);
        match &node.kind {
            Kind::List(items) => waiting.extend(items.iter().map(|item| (item, level + 1))),
            Kind::Map(entries) => {
                size += entries.len();
                waiting.extend(entries.iter().map(|entry| (&entry.value, level + 1)));
            }
            _ => {}
        }
    }
    (size, depth)
}

fn style(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
        ScalarStyle::Plain => Style::Plain,
    }
}
