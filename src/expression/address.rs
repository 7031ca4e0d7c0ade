//! How a value is written in a URL that a template makes.
//!
//! Invariant: a value ends no part of the URL that it stands in. Behind a `?` it is the value of a parameter; before
//! it, it is a part of the path, and can begin neither a query nor a fragment.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All but what RFC 3986 leaves as it is.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// All but what may stand in a path.
const PATH: &AsciiSet = &PARAMETER
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// A value as it is put behind what is there of the URL. An absolute URL at the beginning stays as it is.
pub(super) fn encode(before: &[u8], value: Bytes) -> Bytes {
    if before.is_empty() && is_absolute(&value) {
        return value;
    }
    let set = if before.contains(&b'?') { PARAMETER } else { PATH };
    percent_encode(&value, set).to_string().into()
}

/// Whether what is put between these two is a segment of the path, all of it: without it the URL is another one.
pub(super) fn is_segment(before: &[u8], behind: &str) -> bool {
    before.ends_with(b"/")
        && !before.contains(&b'?')
        && (behind.is_empty() || behind.starts_with(['/', '?', '#']))
}

/// Whether it begins with a scheme and `://`.
fn is_absolute(value: &[u8]) -> bool {
    let Some(at) = value.windows(3).position(|window| window == b"://") else { return false };
    let scheme = value.get(..at).unwrap_or_default();
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Env, Names, Scope, Template, Value, parse_template};
    use crate::world::World;

    fn encoded(before: &str, value: &'static str) -> String {
        String::from_utf8(encode(before.as_bytes(), Bytes::from_static(value.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn what_a_path_can_hold_stays() {
        for value in ["123:AbC-d_e", "+61411111111", "v1/messages", "a@b.io", "api.example:8443"] {
            assert_eq!(encoded("https://x.io/", value), value);
        }
    }

    #[test]
    fn a_value_can_t_begin_another_part_of_the_url() {
        assert_eq!(encoded("messages/", "a?b#c%20 ü"), "a%3Fb%23c%2520%20%C3%BC");
        assert_eq!(encoded("", "a?b"), "a%3Fb");
    }

    #[test]
    fn behind_a_question_mark_it_is_the_value_of_a_parameter() {
        assert_eq!(encoded("send?to=", "+61 &x=1/2"), "%2B61%20%26x%3D1%2F2");
    }

    /// The URL that a template makes of `message`, through an operator or not.
    fn made(template: &str, message: &str) -> String {
        let names = Names::of(&[Scope::Message]);
        let mut problems = Vec::new();
        let text = parse_template(template, &names, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let template = match text.lone() {
            Some(expr) => Template::Expression(expr.clone()),
            None => Template::Text(text),
        };
        let template = Template::First([Template::Literal(Value::Null), template].into()).into_address();
        let world = World::fixed(0, 0);
        let mut env = Env::new(&world);
        env.set(Scope::Message, Value::map([("text", Value::text(message))]));
        template.eval(&mut env).unwrap().to_text().into()
    }

    #[test]
    fn a_segment_that_is_empty_is_no_url() {
        let names = Names::of(&[Scope::Message]);
        let world = World::fixed(0, 0);
        for (template, is_url) in [
            ("a/{{message.text}}", false),
            ("a/{{message.text}}/b", false),
            ("a/{{message.text}}?b=1", false),
            ("{{message.text}}/a", true),
            ("a/b{{message.text}}", true),
            ("a/{{message.text}}b", true),
            ("a?b=/{{message.text}}", true),
            ("a/{{#if message.text}}b{{/if}}", true),
        ] {
            let mut problems = Vec::new();
            let text = parse_template(template, &names, &mut problems);
            let made = Template::Text(text).into_address().eval(&mut Env::new(&world));
            assert_eq!(made.is_ok(), is_url, "{template}: {made:?}");
        }
    }

    #[test]
    fn every_value_of_a_url_is_encoded_for_its_place() {
        assert_eq!(made("a/{{message.text}}?b={{message.text}}", "x/y z"), "a/x/y%20z?b=x%2Fy%20z");
        assert_eq!(made("{{#if message.text}}a?{{/if}}b={{message.text}}", "&"), "a?b=%26");
    }

    #[test]
    fn a_value_that_is_all_of_it_and_what_is_encoded_already_stay() {
        assert_eq!(made("{{message.text}}", "next?page=2&x=ü"), "next?page=2&x=ü");
        assert_eq!(made("a/{{url_encode message.text}}", "b/c"), "a/b%2Fc");
    }

    #[test]
    fn an_absolute_url_at_the_beginning_stays_and_nowhere_else() {
        assert_eq!(encoded("", "https://x.io/a?b=1"), "https://x.io/a?b=1");
        assert_eq!(encoded("go/", "https://x.io/a?b=1"), "https://x.io/a%3Fb=1");
        assert_eq!(encoded("", "/a?b://"), "/a%3Fb://");
    }
}
