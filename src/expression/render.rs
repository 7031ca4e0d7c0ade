//! `$render`: a template that is data of a channel, in which `{{name}}` stands for one of the values that the
//! mapping hands it, and nothing else is possible.
//!
//! Invariants: a name that was not handed in is an error that names it; escaped for a format, no value can end the
//! parameter, string or text in which the template puts it.

use smol_str::SmolStr;

use super::helper::{html, query, xml};
use super::scope::{Env, Failure, MOST_TEXT};
use super::template::Template;
use super::value::Value;

/// The longest template, in bytes.
const LONGEST: usize = 64 << 10;

/// A compiled `$render`.
#[derive(Clone, Debug)]
pub struct Render {
    /// The template.
    pub source: Template,
    /// What its names stand for.
    pub vars: Vec<(SmolStr, Template)>,
    /// The word that says how values are escaped.
    pub escape: Template,
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    None,
    /// Percent-encoded.
    Query,
    /// As a value of `application/x-www-form-urlencoded`.
    Form,
    /// As JSON: between quotes as what a string holds, elsewhere as a whole value.
    Json,
    /// As text for XML; the items of a list are elements `item`.
    Xml,
    /// As text for HTML.
    Html,
}

impl Escape {
    /// The words for them; besides there are MIME types, and `urlencoded` for a form.
    pub const WORDS: &'static [&'static str] = &["none", "query", "form", "json", "xml", "html"];

    /// What a word or MIME type means; a type whose text needs no escaping is [`Escape::None`].
    pub fn of(word: &str) -> Option<Self> {
        let word = word.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match word.as_str() {
            "none" => Self::None,
            "query" => Self::Query,
            "form" | "urlencoded" | "application/x-www-form-urlencoded" => Self::Form,
            "json" | "application/json" | "text/json" => Self::Json,
            "xml" | "application/xml" | "text/xml" => Self::Xml,
            "html" | "text/html" => Self::Html,
            mime if mime.ends_with("+json") => Self::Json,
            mime if mime.ends_with("+xml") => Self::Xml,
            mime if mime.contains('/') => Self::None,
            _ => return None,
        })
    }
}

impl Render {
    pub(super) fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        let source = self.source.eval(env)?;
        if source.is_empty() {
            return Ok(Value::Null);
        }
        let source = source.to_text();
        let word = self.escape.eval(env)?.to_text();
        let escape =
            Escape::of(&word).ok_or_else(|| Failure(format!("there is no way `{word}` to escape")))?;
        let pieces = parse(&source).map_err(|why| Failure(format!("the template is none: {why}")))?;
        let mut known: Vec<Option<Value>> = vec![None; self.vars.len()];
        let mut out = String::with_capacity(source.len());
        let mut json = InJson::default();
        for piece in pieces {
            env.spend(1)?;
            match piece {
                Piece::Raw(text) => {
                    out.push_str(text);
                    text.chars().for_each(|c| json.pass(c));
                }
                Piece::Name(name) => {
                    let at = self.vars.iter().position(|(var, _)| var == name);
                    let Some((slot, (_, var))) = at.and_then(|at| known.get_mut(at).zip(self.vars.get(at)))
                    else {
                        let names: Vec<_> = self.vars.iter().map(|(var, _)| format!("`{var}`")).collect();
                        let names = names.join(", ");
                        return Err(Failure(format!("the template names `{name}`; it may name {names}")));
                    };
                    let value = match slot {
                        Some(value) => value,
                        None => slot.insert(var.eval(env)?),
                    };
                    if json.escaped && escape == Escape::Json {
                        return Err(Failure(format!("a backslash stands before `{{{{{name}}}}}`")));
                    }
                    out.push_str(&written(value, escape, json.quoted)?);
                }
            }
            if out.len() > MOST_TEXT {
                return Err(Failure(format!("the template makes more than {MOST_TEXT} bytes of text")));
            }
        }
        env.spend_text(&out)?;
        Ok(Value::from(out))
    }
}

/// Why a text is not a template that a channel may supply; none if it is one.
pub fn render_problem(text: &str) -> Option<String> {
    parse(text).err()
}

enum Piece<'t> {
    Raw(&'t str),
    Name(&'t str),
}

/// `}}` without `{{` before it is text: JSON ends like that.
fn parse(text: &str) -> Result<Vec<Piece<'_>>, String> {
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes; at most {LONGEST} are allowed", text.len()));
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((raw, tag)) = rest.split_once("{{") {
        let Some((name, behind)) = tag.split_once("}}") else {
            let shown: String = tag.chars().take(20).collect();
            return Err(format!("`{{{{{shown}` is never closed with `}}}}`"));
        };
        let word = name.trim();
        let sound = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !sound {
            let shown: String = name.chars().take(40).collect();
            return Err(format!("`{{{{{shown}}}}}` is not a name in braces"));
        }
        pieces.extend([Piece::Raw(raw), Piece::Name(word)]);
        rest = behind;
    }
    pieces.push(Piece::Raw(rest));
    Ok(pieces)
}

/// Where in a JSON text the next character stands.
#[derive(Default)]
struct InJson {
    /// Within a string.
    quoted: bool,
    /// Behind a backslash in it.
    escaped: bool,
}

impl InJson {
    fn pass(&mut self, c: char) {
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = self.quoted,
            '"' => self.quoted = !self.quoted,
            _ => {}
        }
    }
}

fn written(value: &Value, escape: Escape, quoted: bool) -> Result<String, Failure> {
    if let Value::Bytes(bytes) = value
        && !matches!(escape, Escape::Query | Escape::Form)
    {
        return match str::from_utf8(bytes) {
            Ok(text) => written(&Value::text(text), escape, quoted),
            Err(_) => Err(Failure("bytes that are no text can't be put into this template".into())),
        };
    }
    Ok(match escape {
        Escape::None => value.to_text().to_string(),
        Escape::Query => query(&value.to_bytes()),
        Escape::Form => url::form_urlencoded::byte_serialize(&value.to_bytes()).collect(),
        Escape::Json if quoted => {
            let json = Value::Text(value.to_text()).to_json().unwrap_or_default();
            json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_string()
        }
        Escape::Json => value.to_json().ok_or_else(|| Failure("bytes can't be put into JSON".into()))?,
        Escape::Xml => match value {
            Value::List(items) => {
                let elements = items.iter().map(|item| format!("<item>{}</item>", xml(&item.to_text())));
                elements.collect::<Vec<_>>().concat()
            }
            other => xml(&other.to_text()),
        },
        Escape::Html => html(&value.to_text()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;
    use proptest::prelude::*;

    fn render(source: &str, escape: &str, text: &str) -> Result<Value, Failure> {
        let literal = |text: &str| Template::Literal(Value::text(text));
        let list = Template::Literal(Value::list(vec!["a<".into(), "b".into()]));
        let vars = [("text", literal(text)), ("none", Template::Literal(Value::Null)), ("list", list)];
        let vars = vars.map(|(name, var)| (SmolStr::new(name), var)).to_vec();
        let world = World::fixed(0, 1);
        Render { source: literal(source), vars, escape: literal(escape) }.eval(&mut Env::new(&world))
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        for (source, escape, made) in [
            ("t={{text}}&n={{ none }}", "query", "t=a%20%22%26%3C%C3%A9&n="),
            ("t={{text}}", "urlencoded", "t=a+%22%26%3C%C3%A9"),
            ("t={{text}}", "none", "t=a \"&<é"),
            ("t={{text}}", "text/plain; charset=utf-8", "t=a \"&<é"),
            (
                r#"{"t":{{text}},"l":{{list}},"n":{{none}}}"#,
                "application/json",
                r#"{"t":"a \"&<é","l":["a<","b"],"n":null}"#,
            ),
            (r#"{"\"t":{"x":"{{text}}, {{list}}"}}"#, "json", r#"{"\"t":{"x":"a \"&<é, [\"a<\",\"b\"]"}}"#),
            (
                "<t a='{{text}}'>{{list}}</t>",
                "text/xml; charset=utf-8",
                "<t a='a &quot;&amp;&lt;é'><item>a&lt;</item><item>b</item></t>",
            ),
            ("<p>{{text}}</p>", "html", "<p>a &quot;&amp;&lt;é</p>"),
            ("no names }} {", "form", "no names }} {"),
        ] {
            assert_eq!(render(source, escape, "a \"&<é"), Ok(Value::text(made)), "{source}");
        }
        assert_eq!(render("", "json", ""), Ok(Value::Null));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (source, escape, part) in [
            ("{{txt}}", "none", "`txt`; it may name `text`, `none`, `list`"),
            ("{{text", "none", "never closed"),
            ("{{upper text}}", "none", "`{{upper text}}`"),
            ("{{#if text}}x{{/if}}", "none", "`{{#if text}}`"),
            ("{{{text}}}", "none", "`{{{text}}`"),
            ("{{text.x}}", "none", "`{{text.x}}`"),
            ("{{text}}", "yaml", "`yaml`"),
            (r#"{"a":"\{{text}}"}"#, "json", "backslash"),
        ] {
            let Failure(why) = render(source, escape, "x").unwrap_err();
            assert!(why.contains(part), "{why}");
        }
        assert!(render(&"x".repeat(LONGEST + 1), "none", "").is_err());
        assert!(render(&"{{text}}".repeat(5000), "none", &"x".repeat(9000)).is_err());
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(text in "(\\PC|[\"\\\\&<>=+%{}\u{0}\n]){0,20}") {
            let json = render(r#"{"a":{{text}},"b":["{{text}}"]}"#, "json", &text).unwrap();
            let json = Value::from_json(json.to_text().as_bytes()).unwrap();
            prop_assert_eq!(json.get("a"), &Value::text(&text));
            prop_assert_eq!(json.get("b").at(0), &Value::text(&text));
            for escape in ["query", "form"] {
                let made = render("a={{text}}&b=1", escape, &text).unwrap().to_text();
                let pairs: Vec<_> = url::form_urlencoded::parse(made.as_bytes()).into_owned().collect();
                prop_assert_eq!(&pairs, &vec![("a".to_string(), text.clone()), ("b".into(), "1".into())]);
            }
            prop_assert!(!render("{{text}}", "xml", &text).unwrap().to_text().contains(['<', '>', '"']));
        }
    }
}
