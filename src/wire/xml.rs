//! XML to a tree of data, and back.
//!
//! The root element is the only member of the tree. An element with neither attributes nor elements in it is its
//! text; any other is a map of its attributes (`@name`), its elements and the text beside them (`#text`). Elements
//! of the same name are a list. Prefixes of namespaces are dropped, CDATA is text, comments are nothing. A document
//! type is refused, so there are no entities but the five of XML itself.

use std::borrow::Cow;
use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};
use smol_str::SmolStr;

use super::Problem;
use super::form::grouped;
use crate::expression::{Map, Value, decode};

/// The deepest nesting, as in JSON.
const DEEPEST: usize = 128;
/// The most elements, texts and comments of one document.
const MOST_NODES: u32 = 200_000;

/// The tree that a document says. `charset` is the one that came with it, else empty; elements whose names are in
/// `lists` are lists even where there is only one.
pub fn read(body: &[u8], charset: &str, lists: &[SmolStr]) -> Result<Value, Problem> {
    let text = text_of(body, charset)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim(), options)
        .map_err(|error| Problem::new(error.to_string()))?;
    let root = document.root_element();
    let tree = element(root, lists, DEEPEST)?;
    Ok(Value::map([(root.tag_name().name(), tree)]))
}

/// The text of a document. A byte order mark decides, then what came with it, then what it says of itself.
fn text_of<'b>(body: &'b [u8], charset: &str) -> Result<Cow<'b, str>, Problem> {
    let declared;
    let (body, charset) = match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => (rest, "utf-8"),
        [0xfe, 0xff, rest @ ..] => (rest, "utf-16be"),
        [0xff, 0xfe, rest @ ..] => (rest, "utf-16le"),
        _ if !charset.is_empty() => (body, charset),
        _ => {
            declared = declared_charset(body);
            (body, declared.as_deref().unwrap_or("utf-8"))
        }
    };
    if charset.eq_ignore_ascii_case("utf-8") {
        return Ok(String::from_utf8_lossy(body));
    }
    decode(body, &charset.to_ascii_lowercase()).map(Cow::Owned).map_err(|failure| Problem::new(failure.0))
}

/// What `<?xml encoding="..."?>` says.
fn declared_charset(body: &[u8]) -> Option<String> {
    let start = body.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = start.iter().take(200).position(|byte| *byte == b'>')?;
    let declaration = String::from_utf8_lossy(start.get(..end)?).into_owned();
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(rest.get(1..)?.split(quote).next()?.to_string())
}

fn element(node: Node<'_, '_>, lists: &[SmolStr], depth: usize) -> Result<Value, Problem> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Problem::new(format!("is nested more than {DEEPEST} elements deep")));
    };
    let mut members: Vec<(SmolStr, Value)> = Vec::new();
    for attribute in node.attributes() {
        members.push((SmolStr::from(format!("@{}", attribute.name())), Value::text(attribute.value())));
    }
    let attributes = members.len();
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            let name = SmolStr::new(child.tag_name().name());
            members.push((name, element(child, lists, depth)?));
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        }
    }
    if members.is_empty() {
        return Ok(Value::from(text));
    }
    // Between elements there are line breaks and indentation, which mean nothing.
    let text = if members.len() == attributes { text.as_str() } else { text.trim() };
    if !text.is_empty() {
        members.push(("#text".into(), Value::text(text)));
    }
    Ok(Value::Map(with_lists(grouped(members), lists).into()))
}

/// The members, each that is to be a list as one.
fn with_lists(members: Map, lists: &[SmolStr]) -> Map {
    if lists.is_empty() {
        return members;
    }
    let listed = |name: &SmolStr, value: &Value| match value {
        Value::List(_) => value.clone(),
        _ if lists.contains(name) => Value::list(vec![value.clone()]),
        _ => value.clone(),
    };
    members.iter().map(|(name, value)| (name.clone(), listed(name, value))).collect()
}

/// The document that a tree says: the only member of the tree is the root element.
pub fn write(tree: &Value) -> Result<String, Problem> {
    let root = tree.as_map().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let Some((name, value)) = root else {
        return Err(Problem::new("has one root element; this value is not a map of one member"));
    };
    if value.as_list().is_some() {
        return Err(Problem::new("has one root element, not a list of them"));
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    write_element(name, value, &mut out)?;
    Ok(out)
}

fn write_element(name: &str, value: &Value, out: &mut String) -> Result<(), Problem> {
    if let Value::List(items) = value {
        return items.iter().try_for_each(|item| write_element(name, item, out));
    }
    check_name(name)?;
    out.push('<');
    out.push_str(name);
    let content = match value {
        Value::Map(map) => write_attributes(map, out)?,
        scalar => vec![("#text", scalar)],
    };
    if content.iter().all(|(name, value)| *name == "#text" && value.is_empty()) {
        out.push_str("/>");
        return Ok(());
    }
    out.push('>');
    for (name, value) in content {
        if name == "#text" {
            escape(&text(value)?, false, out);
        } else {
            write_element(name, value, out)?;
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

/// Writes the attributes of an element, and gives what stands in it.
fn write_attributes<'m>(map: &'m Arc<Map>, out: &mut String) -> Result<Vec<(&'m str, &'m Value)>, Problem> {
    let mut content = Vec::new();
    for (name, value) in map.iter() {
        let Some(attribute) = name.strip_prefix('@') else {
            content.push((name.as_str(), value));
            continue;
        };
        check_name(attribute)?;
        if matches!(value, Value::Null) {
            continue;
        }
        out.push(' ');
        out.push_str(attribute);
        out.push_str("=\"");
        escape(&text(value)?, true, out);
        out.push('"');
    }
    Ok(content)
}

/// The text of a value that can have one.
fn text(value: &Value) -> Result<SmolStr, Problem> {
    match value {
        Value::Bytes(_) => Err(Problem::new("can't hold bytes; decode them or write them as Base64")),
        Value::List(_) | Value::Map(_) => {
            Err(Problem::new(format!("can't hold {} where a text belongs", value.kind())))
        }
        scalar => Ok(scalar.to_text()),
    }
}

/// Text as it may stand between tags or, as an attribute, between quotes. XML 1.0 has no way to say most control
/// characters: they become U+FFFD.
fn escape(text: &str, attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
}

/// A name that may come from data must not become markup.
fn check_name(name: &str) -> Result<(), Problem> {
    let starts = |c: char| c == '_' || c.is_alphabetic();
    let continues = |c: char| starts(c) || c.is_numeric() || matches!(c, '-' | '.');
    let piece = |piece: &str| piece.starts_with(starts) && piece.chars().all(continues);
    let sound = match name.split_once(':') {
        Some((prefix, local)) => piece(prefix) && piece(local),
        None => piece(name),
    };
    if sound { Ok(()) } else { Err(Problem::new(format!("can't have an element or attribute `{name}`"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(xml: &str, lists: &[&str]) -> String {
        let lists: Vec<SmolStr> = lists.iter().map(SmolStr::new).collect();
        read(xml.as_bytes(), "", &lists).unwrap().to_json().unwrap()
    }

    fn problem(xml: impl AsRef<[u8]>) -> String {
        read(xml.as_ref(), "", &[]).unwrap_err().to_string()
    }

    fn written(json: &str) -> Result<String, Problem> {
        let xml = write(&Value::from_json(json.as_bytes()).unwrap())?;
        Ok(xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap().to_string())
    }

    #[test]
    fn the_root_is_the_first_member_and_texts_are_texts() {
        let xml = "<?xml version=\"1.0\"?>\n<!-- hi --><xml>\n  <MsgId>0123</MsgId><Content><![CDATA[<b> & ]]>é\
                   </Content><Empty/></xml>\n";
        assert_eq!(json(xml, &[]), r#"{"xml":{"MsgId":"0123","Content":"<b> & é","Empty":""}}"#);
        assert_eq!(json("<a> x </a>", &[]), r#"{"a":" x "}"#);
    }

    #[test]
    fn attributes_text_and_repetition() {
        let xml =
            r#"<r xmlns="urn:x" xmlns:n="urn:y" n:id="1"><n:i a='"'>one</n:i> &amp; <o/><i>two</i></r>"#;
        assert_eq!(
            json(xml, &[]),
            r##"{"r":{"@id":"1","i":[{"@a":"\"","#text":"one"},"two"],"o":"","#text":"&"}}"##
        );
    }

    #[test]
    fn an_element_that_is_always_a_list_is_one_even_alone() {
        let xml = "<r><Item>1</Item><b><Item k='v'/></b></r>";
        assert_eq!(json(xml, &["Item"]), r#"{"r":{"Item":["1"],"b":{"Item":[{"@k":"v"}]}}}"#);
        assert_eq!(json("<r><Item>1</Item><Item>2</Item></r>", &["Item"]), r#"{"r":{"Item":["1","2"]}}"#);
    }

    #[test]
    fn the_charset_is_that_of_the_mark_the_header_or_the_declaration() {
        let tree = |body: &[u8], charset| read(body, charset, &[]).unwrap().get("a").to_text();
        assert_eq!(tree(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe8</a>", ""), "è");
        assert_eq!(tree(b"<?xml version=\"1.0\" encoding=\"gbk\"?><a>\xc4\xe3</a>", ""), "你");
        assert_eq!(tree(b"<a>\xe8</a>", "latin1"), "è");
        assert_eq!(tree(b"\xef\xbb\xbf<a>\xc3\xa8</a>", "latin1"), "è");
        assert_eq!(tree(b"\xff\xfe<\0a\0>\0\xe8\0<\0/\0a\0>\0", ""), "è");
        assert_eq!(tree(b"<a>\xc3</a>", ""), "\u{fffd}");
        assert_eq!(problem("<?xml version='1.0' encoding='nope'?><a/>"), "there is no charset `nope`");
    }

    #[test]
    fn document_types_and_entities_are_refused() {
        let bomb = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>"#;
        let file = r#"<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>"#;
        for xml in [bomb, file, "<!DOCTYPE l><l/>"] {
            assert!(problem(xml).contains("DTD"), "{}", problem(xml));
        }
        assert!(problem("<l>&x;</l>").contains("entity"), "{}", problem("<l>&x;</l>"));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(nested(DEEPEST).as_bytes(), "", &[]).is_ok());
        for depth in [DEEPEST + 1, 50_000] {
            assert_eq!(problem(nested(depth)), "is nested more than 128 elements deep");
        }
        assert!(
            problem("<a>".repeat(500_000)).contains("limit") || !problem("<a>".repeat(500_000)).is_empty()
        );
        assert!(problem(format!("<a>{}</a>", "<b/>".repeat(200_001))).contains("limit"));
        let elements: Vec<_> = (0..90_000).map(|n| format!("<e{n}/>")).collect();
        let wide = format!("<a>{}</a>", elements.concat());
        let start = std::time::Instant::now();
        assert_eq!(read(wide.as_bytes(), "", &[]).unwrap().get("a").as_map().unwrap().len(), 90_000);
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn broken_documents_say_where() {
        assert!(problem("<a><b></a>").contains("1:"), "{}", problem("<a><b></a>"));
        for broken in ["", "text", "<a", "<a/><b/>", "\0", "<a b=c/>", "<a>\u{1}</a>"] {
            assert!(!problem(broken).is_empty());
        }
    }

    #[test]
    fn a_tree_is_written_as_it_is_read() {
        let tree =
            r##"{"xml":{"@v":"1","To":"a","Item":[{"@k":"x","#text":"t"},"u"],"n":{"m":"1"},"e":""}}"##;
        let xml = written(tree).unwrap();
        assert_eq!(
            xml,
            r#"<xml v="1"><To>a</To><Item k="x">t</Item><Item>u</Item><n><m>1</m></n><e/></xml>"#
        );
        assert_eq!(json(&xml, &[]), tree);
        assert_eq!(written(r#"{"Response":null}"#).unwrap(), "<Response/>");
        assert_eq!(
            written(r#"{"r":{"n":1,"b":true,"x":null,"none":[],"@a":null}}"#).unwrap(),
            "<r><n>1</n><b>true</b><x/></r>"
        );
        assert_eq!(
            written(r#"{"s:Envelope":{"@xmlns:s":"urn:s"}}"#).unwrap(),
            r#"<s:Envelope xmlns:s="urn:s"/>"#
        );
    }

    #[test]
    fn no_value_becomes_markup() {
        let hostile = "a\"'<>&]]>\r\n\t\u{0}\u{b}\u{ffff}é😀";
        let tree =
            Value::map([("r", Value::map([("@a", Value::text(hostile)), ("t", Value::text(hostile))]))]);
        let xml = write(&tree).unwrap();
        let kept = Value::text("a\"'<>&]]>\r\n\t\u{fffd}\u{fffd}\u{fffd}é😀");
        let read = read(xml.as_bytes(), "", &[]).unwrap();
        assert_eq!((read.get("r").get("@a"), read.get("r").get("t")), (&kept, &kept));
    }

    #[test]
    fn no_name_becomes_markup() {
        for name in ["", "a b", "a>", "1a", "@@", "a:b:c", ":a", "a=\"x\"", "-a", "a/"] {
            let tree = Value::map([("r", Value::map([(name, Value::text("x"))]))]);
            assert!(write(&tree).is_err(), "{name}");
            assert!(write(&Value::map([(name, Value::text("x"))])).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for json in ["null", "[]", "{}", r#"{"a":1,"b":2}"#, r#"{"a":[1,2]}"#, r##"{"a":{"#text":[1]}}"##] {
            assert!(written(json).is_err(), "{json}");
        }
        let bytes = Value::map([("a", Value::Bytes(bytes::Bytes::from_static(b"x")))]);
        assert_eq!(
            write(&bytes).unwrap_err().to_string(),
            "can't hold bytes; decode them or write them as Base64"
        );
    }
}
