//! Simple paths into a decoded XML tree, for paths that are channel data.

use super::Helper;
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[Helper::fallible(
    "xpath tree path",
    (2, 2),
    "The text of the first element or attribute that a path selects in a decoded XML document; null \
     where there is none. A path is `/` and the name of the root element, then `/name` for children, \
     `/@name` for an attribute or `/text()` as its end, and `[n]` behind a name for the n-th of them, \
     counted from 1; `//name` instead of the root element means elements of that name anywhere. A name's \
     prefix (`soap:`) does not count. Any other XPath is an error.",
    "{{xpath (parse_json '{\"sms\":{\"from\":[{\"@type\":\"n\",\"#text\":\"447\"},\"448\"]}}') '/sms/from[2]'}}",
    "\"448\"",
    |a| {
        let Some(path) = a.text(1) else { return Ok(Value::Null) };
        let bad = || Failure(format!("`{path}` is not a path such as /a/b, /a/b[2]/@c or //b"));
        let mut nodes = vec![a.get(0)];
        let (rest, mut anywhere) = match path.trim().strip_prefix("//") {
            Some(rest) => (rest, true),
            None => (path.trim().strip_prefix('/').ok_or_else(bad)?, false),
        };
        let mut ended = false;
        for step in rest.split('/') {
            if ended {
                return Err(bad());
            }
            let (name, at) = split_index(step).ok_or_else(bad)?;
            let name = if name == "text()" { "#text" } else { name };
            ended = name.starts_with(['@', '#']);
            let bare = match name.strip_prefix('@') {
                Some(name) => format!("@{}", local(name)),
                None => local(name).to_string(),
            };
            nodes = if anywhere { descendants(nodes, &bare) } else { children(nodes, &bare) };
            if let Some(at) = at {
                nodes = nodes.into_iter().nth(at).into_iter().collect();
            }
            anywhere = false;
        }
        Ok(nodes.first().map_or(Value::Null, |node| text(node)))
    },
)];

/// `name[2]` as the name and the index from 0.
fn split_index(step: &str) -> Option<(&str, Option<usize>)> {
    let (name, at) = match step.split_once('[') {
        None => (step, None),
        Some((name, index)) => {
            let index: usize = index.strip_suffix(']')?.trim().parse().ok()?;
            (name, Some(index.checked_sub(1)?))
        }
    };
    let letters = name.strip_prefix('@').unwrap_or(name);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let sound = name == "text()" || (!letters.is_empty() && letters.chars().all(is_name));
    sound.then_some((name, at))
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, name)| name)
}

fn children<'v>(nodes: Vec<&'v Value>, name: &str) -> Vec<&'v Value> {
    let found = nodes.into_iter().map(|node| match (node, name) {
        // An element with nothing but text is its text.
        (Value::Text(_), "#text") => node,
        _ => node.get(name),
    });
    found.flat_map(each).filter(|node| !matches!(node, Value::Null)).collect()
}

/// Elements of that name at any depth, each before those within it.
fn descendants<'v>(nodes: Vec<&'v Value>, name: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    // Each with whether it has the name; the last is the next.
    let mut open: Vec<(&Value, bool)> = nodes.into_iter().map(|node| (node, false)).collect();
    while let Some((node, named)) = open.pop() {
        if named {
            found.push(node);
        }
        if let Value::Map(members) = node {
            for (key, child) in members.iter().rev() {
                open.extend(each(child).rev().map(|child| (child, key == name)));
            }
        }
    }
    found
}

/// Repeated elements are a list; any other is alone.
fn each(node: &Value) -> std::slice::Iter<'_, Value> {
    node.as_list().unwrap_or(std::slice::from_ref(node)).iter()
}

fn text(node: &Value) -> Value {
    match node {
        Value::Map(_) => match node.get("#text") {
            Value::Null => Value::Null,
            text => Value::Text(text.to_text()),
        },
        other => Value::Text(other.to_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Prepared, find};
    use super::*;
    use crate::expression::Env;
    use crate::world::World;

    fn xpath(path: &str) -> Result<Value, Failure> {
        let tree = Value::from_json(
            br##"{"Envelope":{"@id":"7","Body":{"msg":[{"from":"1","#text":"hi"},{"from":{"@t":"x","#text":"2"}}],"empty":""}}}"##,
        );
        let world = World::fixed(0, 1);
        let positional = [tree.unwrap(), Value::text(path)];
        let env = Env::new(&world);
        let arguments = super::super::Arguments {
            positional: &positional,
            named: &[],
            prepared: &Prepared::Nothing,
            env: &env,
        };
        find("xpath").unwrap().run(&arguments)
    }

    #[test]
    fn paths_select() {
        for (path, text) in [
            ("/Envelope/@id", "7"),
            ("/soap:Envelope/s:Body/msg/from", "1"),
            ("/Envelope/Body/msg[2]/from", "2"),
            ("/Envelope/Body/msg[2]/from/@t", "x"),
            ("/Envelope/Body/msg/text()", "hi"),
            ("/Envelope/Body/msg/from/text()", "1"),
            ("//from", "1"),
            ("//from[2]/text()", "2"),
            (" //msg ", "hi"),
        ] {
            assert_eq!(xpath(path), Ok(Value::text(text)), "{path}");
        }
        for path in ["/Body", "/Envelope/Body", "/Envelope/Body/msg[3]", "//nothing/@a"] {
            assert_eq!(xpath(path), Ok(Value::Null), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_an_error() {
        for path in [
            "",
            "Envelope",
            "/",
            "/a//b",
            "/a[0]",
            "/a[x]",
            "/a[1",
            "/a/@b/c",
            "/a/*",
            "/a | /b",
            "/a/text()/b",
        ] {
            assert!(xpath(path).is_err(), "{path}");
        }
    }
}
