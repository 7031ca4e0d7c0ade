//! `multipart/form-data` (RFC 7578): the parts of a body, and a body of parts.
//!
//! Reading forgives what senders do (line feeds alone, a missing end), and refuses what only an attacker does (parts
//! or headers without end). Writing lets no name and no type out of the header that it stands in.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use smol_str::SmolStr;

use super::form::{Charset, field, grouped};
use super::{Problem, parameter};
use crate::expression::{Map, Value, decode};

/// The most parts of one body.
const MOST_PARTS: usize = 1000;
/// The most bytes of the headers of one part.
const MOST_HEADERS: usize = 16 << 10;
/// The longest boundary; RFC 2046 says 70.
const LONGEST_BOUNDARY: usize = 200;

/// One part of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The name of the field.
    pub name: SmolStr,
    /// The name of the file; only a file has one.
    pub file_name: Option<SmolStr>,
    /// The MIME type of a file.
    pub content_type: Option<SmolStr>,
    /// What the part holds.
    pub content: Bytes,
}

impl Part {
    /// A field of text.
    pub fn text(name: impl Into<SmolStr>, text: impl Into<Bytes>) -> Self {
        Self { name: name.into(), content: text.into(), ..Self::default() }
    }

    /// What a mapping sees of it: a field as text, or as bytes where it is none; a file as `{name, type, content,
    /// size}`.
    fn into_value(self) -> Value {
        let content_type = self.content_type.unwrap_or_default();
        let Some(name) = self.file_name else {
            let charset = parameter(&content_type, "charset").unwrap_or_default();
            return field(self.content.to_vec(), Charset::of(&charset));
        };
        let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Value::record([
            ("name", Value::Text(name)),
            ("type", Value::from(mime)),
            ("size", Value::from(self.content.len())),
            ("content", Value::Bytes(self.content)),
        ])
    }
}

/// The parts of a body as the fields of a form.
pub fn fields(parts: Vec<Part>) -> Map {
    grouped(parts.into_iter().map(|part| (part.name.clone(), part.into_value())))
}

/// The boundary that a Content-Type names.
pub fn boundary_of(content_type: &str) -> Result<String, Problem> {
    match parameter(content_type, "boundary") {
        Some(boundary) if (1..=LONGEST_BOUNDARY).contains(&boundary.len()) => Ok(boundary),
        Some(_) => Err(Problem::new("has a boundary of an impossible length")),
        None => Err(Problem::new("has no boundary in its Content-Type")),
    }
}

/// The parts of a body; those without a name are left out.
pub fn read(body: &Bytes, boundary: &str) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    let delimiter = format!("--{boundary}");
    let mut lines = Lines { body, at: 0 };
    // What stands before the first boundary is for people with old programs.
    let mut open = loop {
        match lines.next() {
            Some(line) => match Delimiter::of(line, delimiter.as_bytes()) {
                Some(Delimiter::Next) => break true,
                Some(Delimiter::Last) => break false,
                None => {}
            },
            None if body.trim_ascii().is_empty() => break false,
            None => return Err(Problem::new("does not contain its own boundary")),
        }
    };
    let mut seen = 0;
    while open {
        seen += 1;
        if seen > MOST_PARTS {
            return Err(Problem::new(format!("has more than {MOST_PARTS} parts")));
        }
        let head = headers(&mut lines)?;
        let start = lines.at;
        let end = loop {
            let line_start = lines.at;
            let Some(line) = lines.next() else {
                open = false;
                break body.len();
            };
            if let Some(delimiter) = Delimiter::of(line, delimiter.as_bytes()) {
                open = matches!(delimiter, Delimiter::Next);
                break before_line_break(body, start, line_start);
            }
        };
        parts.extend(head.map(|part| Part { content: body.slice(start..end.max(start)), ..part }));
    }
    Ok(parts)
}

/// What a line that begins with the boundary says.
enum Delimiter {
    Next,
    Last,
}

impl Delimiter {
    fn of(line: &[u8], delimiter: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(delimiter)?;
        // Another boundary may begin with this one.
        match rest.trim_ascii() {
            b"" => Some(Self::Next),
            rest if rest.starts_with(b"--") => Some(Self::Last),
            _ => None,
        }
    }
}

/// The lines of a body, each with the line feed that ends it.
struct Lines<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Lines<'b> {
    fn next(&mut self) -> Option<&'b [u8]> {
        let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.at += len;
        rest.get(..len)
    }
}

/// The place before the line break that ends at `end`; the line break belongs to the boundary behind it.
fn before_line_break(body: &[u8], start: usize, end: usize) -> usize {
    let content = body.get(start..end).unwrap_or_default();
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    start + content.strip_suffix(b"\r").unwrap_or(content).len()
}

/// The headers of a part up to the empty line behind them; none where they name no field.
fn headers(lines: &mut Lines<'_>) -> Result<Option<Part>, Problem> {
    let start = lines.at;
    let mut part = None;
    let mut content_type = None;
    while let Some(line) = lines.next() {
        if lines.at - start > MOST_HEADERS {
            return Err(Problem::new(format!("has a part with more than {MOST_HEADERS} bytes of headers")));
        }
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("content-disposition") {
            part = parameter(value, "name").map(|name| Part {
                name: name.into(),
                file_name: file_name(value),
                ..Part::default()
            });
        } else if name.trim().eq_ignore_ascii_case("content-type") {
            content_type = Some(SmolStr::new(value.trim()));
        }
    }
    Ok(part.map(|part| Part { content_type, ..part }))
}

/// `filename*` (RFC 5987), else `filename`.
fn file_name(disposition: &str) -> Option<SmolStr> {
    let extended = parameter(disposition, "filename*").and_then(|text| {
        let mut pieces = text.splitn(3, '\'');
        let (charset, escaped) = (pieces.next()?.to_ascii_lowercase(), pieces.nth(1)?);
        decode(&percent_decode_str(escaped).collect::<Vec<_>>(), &charset).ok()
    });
    extended.or_else(|| parameter(disposition, "filename")).map(SmolStr::from)
}

/// What stands between the parts of a body that is written: letters and digits, too many of them to be guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary of random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(format!("part{}", crate::expression::hex(&random)))
    }

    /// The Content-Type of a body with this boundary.
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.0)
    }

    /// What stands before the content of a part; a line break follows the content.
    pub fn head(&self, name: &str, file_name: Option<&str>, content_type: Option<&str>) -> String {
        let mut head = format!("--{}\r\nContent-Disposition: form-data; name=\"{}\"", self.0, quoted(name));
        if let Some(name) = file_name {
            head.push_str(&format!("; filename=\"{}\"", quoted(name)));
        }
        let content_type = content_type.filter(|text| is_header_value(text));
        if let Some(content_type) = content_type.or(file_name.map(|_| "application/octet-stream")) {
            head.push_str(&format!("\r\nContent-Type: {content_type}"));
        }
        head.push_str("\r\n\r\n");
        head
    }

    /// What stands behind the last part.
    pub fn end(&self) -> String {
        format!("--{}--\r\n", self.0)
    }
}

/// A body of these parts.
pub fn write(parts: &[Part], boundary: &Boundary) -> Bytes {
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.content.len() + 200).sum());
    for part in parts {
        let head = boundary.head(&part.name, part.file_name.as_deref(), part.content_type.as_deref());
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&part.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(boundary.end().as_bytes());
    body.into()
}

/// A name as it may stand in quotes, escaped as browsers do (WHATWG, "multipart form data").
fn quoted(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut out, c| {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c if c.is_control() => out.push('_'),
            c => out.push(c),
        }
        out
    })
}

/// Whether a text can be the value of a header.
fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str, boundary: &str) -> Vec<Part> {
        read(&Bytes::copy_from_slice(body.as_bytes()), boundary).unwrap()
    }

    fn problem(body: impl Into<Bytes>) -> String {
        read(&body.into(), "b").unwrap_err().to_string()
    }

    #[test]
    fn fields_and_files_are_read() {
        let body = "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\n+60 12\r\n\
                    --b\r\ncontent-disposition: form-data; name=\"pic\"; filename=\"a \\\"b\\\".png\"\r\n\
                    Content-Type: IMAGE/PNG; x=y\r\n\r\nline\r\n\r\n--bx\r\n\r\n--b  \r\n\
                    Content-Disposition: form-data; name=from\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\
                    two\r\n--b--\r\nepilogue";
        let fields = fields(parts(body, "b"));
        assert_eq!(fields.get("From").unwrap().to_json().unwrap(), r#"["+60 12","two"]"#);
        let file = fields.get("pic").unwrap();
        assert_eq!(file.get("name"), &Value::text("a \"b\".png"));
        assert_eq!(file.get("type"), &Value::text("image/png"));
        assert_eq!(file.get("content"), &Value::Bytes(Bytes::from_static(b"line\r\n\r\n--bx\r\n")));
        assert_eq!(file.get("size"), &Value::Int(14));
    }

    #[test]
    fn fields_that_are_no_text_keep_their_bytes_or_have_their_charset() {
        let body = |charset: &str| {
            let mut body = format!("--b\nContent-Disposition: form-data; name=t\n{charset}\n").into_bytes();
            body.extend_from_slice(b"tr\xe8s\n--b--");
            fields(read(&body.into(), "b").unwrap()).get("t").cloned().unwrap()
        };
        assert_eq!(body(""), Value::Bytes(Bytes::from_static(b"tr\xe8s")));
        assert_eq!(body("Content-Type: text/plain; charset=ISO-8859-1\n"), Value::text("très"));
    }

    #[test]
    fn what_senders_get_wrong_is_forgiven() {
        let bare = "--b\nContent-Disposition: form-data; name=\"a\"\n\n1\n--b\nContent-Disposition: form-data; \
                    name=\"c\"\n\nnever closed";
        let read = parts(bare, "b");
        assert_eq!((&*read[0].content, &*read[1].content), (&b"1"[..], &b"never closed"[..]));
        assert_eq!(parts("--b--", "b"), []);
        assert_eq!(parts("", "b"), []);
        assert_eq!(parts("--b\r\nX: y\r\n\r\nnameless\r\n--b--", "b"), []);
        assert_eq!(parts("--b\nContent-Disposition: form-data; name=a\n\n--b--", "b")[0].content, "");
    }

    #[test]
    fn the_extended_name_of_a_file_wins() {
        let body = "--b\nContent-Disposition: form-data; name=f; filename=\"x\"; \
                    filename*=UTF-8''%e2%82%ac.png\n\n.\n--b--";
        assert_eq!(parts(body, "b")[0].file_name.as_deref(), Some("€.png"));
        let broken = body.replace("UTF-8''", "no-such-charset''");
        assert_eq!(parts(&broken, "b")[0].file_name.as_deref(), Some("x"));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        assert_eq!(problem("hello"), "does not contain its own boundary");
        assert_eq!(problem("--b\n\n".repeat(MOST_PARTS + 2)), "has more than 1000 parts");
        let long = format!("--b\n{}", "x: y\n".repeat(10_000));
        assert_eq!(problem(long), "has a part with more than 16384 bytes of headers");
        assert!(boundary_of("multipart/form-data").is_err());
        assert!(boundary_of("multipart/form-data; boundary=").is_err());
        assert!(boundary_of(&format!("multipart/form-data; boundary={}", "b".repeat(201))).is_err());
        assert_eq!(boundary_of("multipart/form-data; Boundary=\"a b\"").unwrap(), "a b");
    }

    #[test]
    fn a_body_full_of_almost_boundaries_takes_linear_time() {
        let boundary = "a".repeat(LONGEST_BOUNDARY);
        let almost = format!("--{}\n", "a".repeat(LONGEST_BOUNDARY - 1));
        let body = format!("--{boundary}\n\n{}", almost.repeat(100_000));
        let start = std::time::Instant::now();
        assert_eq!(parts(&body, &boundary), []);
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn what_is_written_is_read_again_and_has_the_bytes_that_are_expected() {
        let boundary = Boundary::new([0xab; 16]);
        let file = Part {
            name: "pic".into(),
            file_name: Some("é.png".into()),
            content_type: Some("image/png".into()),
            content: Bytes::from_static(b"\x89PNG\r\n\x1a\n\r\n--"),
        };
        let written = vec![Part::text("to", "+60"), file];
        let body = write(&written, &boundary);
        let b = "partabababababababababababababababab";
        assert_eq!(boundary.content_type(), format!("multipart/form-data; boundary={b}"));
        let head = format!("--{b}\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n+60\r\n--{b}\r\n");
        assert!(body.starts_with(head.as_bytes()));
        assert!(body.ends_with(format!("\r\n--\r\n--{b}--\r\n").as_bytes()));
        assert_eq!(read(&body, &boundary_of(&boundary.content_type()).unwrap()).unwrap(), written);
    }

    #[test]
    fn nothing_breaks_out_of_its_header() {
        let evil = "a\"\r\nX-Evil: 1\r\n\r\n";
        let part = Part {
            name: evil.into(),
            file_name: Some(evil.into()),
            content_type: Some("text/plain\r\nX-Evil: 1".into()),
            content: Bytes::new(),
        };
        let text = String::from_utf8(write(&[part], &Boundary::new([0; 16])).to_vec()).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 7, "{lines:?}");
        assert!(
            lines[1].starts_with("Content-Disposition: ") && lines[1].contains("a%22%0D%0AX-Evil: 1%0D%0A")
        );
        assert_eq!(lines[2], "Content-Type: application/octet-stream");
    }
}
