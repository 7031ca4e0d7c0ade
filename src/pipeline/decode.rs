//! A body to a tree, stage by stage.

use bytes::Bytes;
use smol_str::SmolStr;

use super::decrypt::decrypt;
use super::incoming::Incoming;
use crate::expression::{Env, Map, Scope, Template, Value};
use crate::plan::{Decode, Decoding, Stage};
use crate::wire::form::{self, Charset};
use crate::wire::{Problem, multipart, xml};

/// Runs the stages whose tree the proofs see; `it` and `root` are what the last one made.
pub(super) fn decode(how: &Decoding, request: &Incoming, env: &mut Env<'_>) -> Result<(), String> {
    set(Value::Null, env);
    if how.is_guess() {
        set(first(guess(request), request)?, env);
    }
    for (at, stage) in how.open.iter().enumerate() {
        let value = run(stage, (at == 0).then_some(request), env)?;
        set(value, env);
    }
    Ok(())
}

/// Runs the stages from the first that decrypts on.
pub(super) fn unseal(how: &Decoding, env: &mut Env<'_>) -> Result<(), String> {
    for stage in &how.sealed {
        let value = run(stage, None, env)?;
        set(value, env);
    }
    Ok(())
}

fn set(value: Value, env: &mut Env<'_>) {
    env.set(Scope::Root, value.clone());
    env.set(Scope::It, value);
}

/// Runs one stage: on the request if it is the first, else on what the one before made.
fn run(stage: &Stage, request: Option<&Incoming>, env: &mut Env<'_>) -> Result<Value, String> {
    let word = match stage {
        Stage::Word(word) => *word,
        Stage::Made(template) => {
            let word = text(template, env)?;
            Decode::of(&word).ok_or_else(|| format!("`{word}` is not a way to decode"))?
        }
        Stage::Form(charset) => {
            let charset = text(charset, env)?;
            let charset = if charset == "bytes" { Charset::Bytes } else { Charset::of(&charset) };
            return Ok(form_of(request, &input(request, env)?, charset));
        }
        Stage::Json(template) => {
            let value = template.eval(env).map_err(|failure| failure.0)?;
            return json(&value.to_bytes(), "the value that holds JSON");
        }
        Stage::Xml(lists) => {
            let charset = request.map(Incoming::charset).unwrap_or_default();
            return xml::read(&input(request, env)?, &charset, lists).map_err(not_xml);
        }
        Stage::Decrypt(sealed) => return decrypt(sealed, env),
    };
    match request {
        Some(request) => first(word, request),
        None => later(word, &input(None, env)?),
    }
}

fn text(template: &Template, env: &mut Env<'_>) -> Result<SmolStr, String> {
    template.eval(env).map(|value| value.to_text()).map_err(|failure| failure.0)
}

/// The bytes that a stage reads.
fn input(request: Option<&Incoming>, env: &Env<'_>) -> Result<Bytes, String> {
    match (request, env.scope(Scope::It)) {
        (Some(request), _) => Ok(request.body.clone()),
        (None, value @ (Value::Text(_) | Value::Bytes(_))) => Ok(value.to_bytes()),
        (None, other) => Err(format!("a stage needs text, and the one before made {}", other.kind())),
    }
}

/// Reads the body of a request. The deepest nesting of JSON that `serde_json` reads is 128 levels; more is an error,
/// not a crash.
fn first(word: Decode, request: &Incoming) -> Result<Value, String> {
    match word {
        Decode::Form => Ok(form_of(Some(request), &request.body, Charset::of(&request.charset()))),
        Decode::Xml => xml::read(&request.body, &request.charset(), &[]).map_err(not_xml),
        Decode::Multipart => {
            let content_type = request.header("content-type").unwrap_or_default();
            let parts = multipart::boundary_of(content_type)
                .and_then(|boundary| multipart::read(&request.body, &boundary))
                .map_err(|problem| format!("the multipart body {problem}"))?;
            Ok(Value::Map(merged(&request.query(), multipart::fields(parts)).into()))
        }
        Decode::Json | Decode::Text | Decode::None => later(word, &request.body),
    }
}

/// Reads what is there without a Content-Type and a query.
fn later(word: Decode, body: &Bytes) -> Result<Value, String> {
    match word {
        Decode::Json => json(body, "the body"),
        Decode::Form => Ok(form_of(None, body, Charset::Unknown)),
        Decode::Xml => xml::read(body, "", &[]).map_err(not_xml),
        Decode::Multipart => Err("multipart is read from the body of a request alone".into()),
        Decode::Text => match std::str::from_utf8(body) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err("the body is not UTF-8".into()),
        },
        Decode::None => Ok(Value::Null),
    }
}

fn json(text: &[u8], what: &str) -> Result<Value, String> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(format!("{what} is empty; JSON was expected"));
    }
    Value::from_json(text).map_err(|error| format!("{what} is not JSON: {error}"))
}

#[allow(clippy::needless_pass_by_value)] // it is what `map_err` hands over
fn not_xml(problem: Problem) -> String {
    format!("the body is not XML: {problem}")
}

/// The fields of a form; those of the query are below them.
fn form_of(request: Option<&Incoming>, body: &[u8], charset: Charset<'_>) -> Value {
    let Some(request) = request else { return Value::Map(form::read(body, charset).into()) };
    let body =
        if request.content_type() == "application/json" { Map::new() } else { form::read(body, charset) };
    let query = form::read(request.query.as_bytes(), charset);
    Value::Map(merged(&query, body).into())
}

/// By the Content-Type; without one, by how the body begins.
fn guess(request: &Incoming) -> Decode {
    let mime = request.content_type();
    let body = request.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&request.body).trim_ascii_start();
    match mime.as_str() {
        "application/x-www-form-urlencoded" => Decode::Form,
        "multipart/form-data" => Decode::Multipart,
        mime if mime == "application/json" || mime.ends_with("+json") => Decode::Json,
        "application/xml" | "text/xml" => Decode::Xml,
        mime if mime.ends_with("+xml") => Decode::Xml,
        _ if body.starts_with(b"{") || body.starts_with(b"[") => Decode::Json,
        _ if body.starts_with(b"<") => Decode::Xml,
        _ => Decode::Form,
    }
}

/// The query's fields, and the body's over them.
fn merged(query: &Map, body: Map) -> Map {
    if query.is_empty() {
        return body;
    }
    let members = query.iter().chain(body.iter());
    members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map>().folding()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Query;
    use crate::world::World;

    fn request(content_type: &str, query: &str, body: &'static [u8]) -> Incoming {
        Incoming {
            query: query.into(),
            headers: vec![("content-type".into(), content_type.into())],
            body: bytes::Bytes::from_static(body),
            ..Incoming::default()
        }
    }

    fn staged(open: Vec<Stage>, request: &Incoming) -> Result<Value, String> {
        let world = World::fixed(0, 1);
        let mut env = Env::new(&world);
        decode(&Decoding { open, sealed: vec![] }, request, &mut env)?;
        Ok(env.scope(Scope::It).clone())
    }

    fn json_of(open: Vec<Stage>, request: &Incoming) -> String {
        staged(open, request).unwrap().to_json().unwrap()
    }

    fn path(path: &str) -> Template {
        Template::Path(Query::compile(path).unwrap())
    }

    #[test]
    fn the_body_wins_over_the_query() {
        for content_type in ["application/x-www-form-urlencoded", ""] {
            let request = request(content_type, "a=q&b=q", b"a=body");
            assert_eq!(json_of(vec![], &request), r#"{"a":"body","b":"q"}"#);
        }
        let body = b"--b\nContent-Disposition: form-data; name=a\n\nbody\n--b--";
        let request = request("multipart/form-data; boundary=b", "a=q&b=q", body);
        assert_eq!(json_of(vec![], &request), r#"{"a":"body","b":"q"}"#);
    }

    #[test]
    fn many_fields_take_no_longer_each_than_few() {
        let body = (0..150_000).map(|n| format!("{n}=")).collect::<Vec<_>>().join("&");
        let request = Incoming { query: "a=1".into(), body: body.into(), ..Incoming::default() };
        let start = std::time::Instant::now();
        let value = staged(vec![Stage::Word(Decode::Form)], &request).unwrap();
        assert_eq!(value.as_map().unwrap().len(), 150_001);
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }

    #[test]
    fn the_content_type_decides_and_else_the_first_character() {
        for (content_type, body, json) in [
            ("application/json; charset=utf-8", &b"[1]"[..], "[1]"),
            ("", b" {\"a\":1}", r#"{"a":1}"#),
            ("", b"a=1", r#"{"a":"1"}"#),
            ("", b"\xef\xbb\xbf <a>1</a>", r#"{"a":"1"}"#),
            ("text/xml", b"<a>1</a>", r#"{"a":"1"}"#),
            ("application/soap+xml; charset=latin1", b"<a>\xe8</a>", r#"{"a":"è"}"#),
        ] {
            assert_eq!(json_of(vec![], &request(content_type, "", body)), json);
        }
    }

    #[test]
    fn what_is_not_what_it_should_be_says_where() {
        let error = |word, body| staged(vec![Stage::Word(word)], &request("", "", body)).unwrap_err();
        assert!(error(Decode::Json, b"{\"a\":").contains("line 1 column 5"));
        assert!(error(Decode::Xml, b"<a>").contains("not XML"));
        assert!(error(Decode::Multipart, b"").contains("has no boundary"));
        let deep = Incoming { body: "[".repeat(100_000).into(), ..Incoming::default() };
        assert!(staged(vec![Stage::Word(Decode::Json)], &deep).is_err());
    }

    #[test]
    fn a_stage_reads_what_the_one_before_made() {
        let request = request("", "", br#"{"content":"{\"xml\":\"<r><i>1</i></r>\"}"}"#);
        let stages = || vec![Stage::Word(Decode::Json), Stage::Json(path("$.content"))];
        assert_eq!(json_of(stages(), &request), r#"{"xml":"<r><i>1</i></r>"}"#);
        let with = |stage| stages().into_iter().chain([stage]).collect();
        assert!(staged(with(Stage::Json(path("$.xml"))), &request).unwrap_err().contains("is not JSON"));
        assert!(staged(with(Stage::Json(path("$.none"))), &request).unwrap_err().contains("is empty"));
        let why = staged(with(Stage::Word(Decode::Xml)), &request).unwrap_err();
        assert_eq!(why, "a stage needs text, and the one before made a map");
    }

    #[test]
    fn a_value_can_say_how() {
        let made = |word: &str| vec![Stage::Made(Template::Literal(Value::text(word)))];
        assert_eq!(json_of(made("xml"), &request("", "", b"<a>1</a>")), r#"{"a":"1"}"#);
        assert_eq!(staged(made("yaml"), &request("", "", b"")).unwrap_err(), "`yaml` is not a way to decode");
    }
}
