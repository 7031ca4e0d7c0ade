//! Parameters of header values: `text/plain; charset="utf-8"`.

/// The value of a parameter, whose name is in lower case.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    parameters(value).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The parameters behind the first semicolon. In quotes, a backslash escapes a quote or a backslash and is itself
/// before anything else: some senders put the paths of their disks there.
fn parameters(value: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([';', ' ', '\t', '\r', '\n']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find([';', '=']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at_checked(end)?;
            let Some(given) = behind.strip_prefix('=') else {
                rest = behind;
                continue; // a name without a value
            };
            let given = given.trim_start();
            let (text, left) = match given.strip_prefix('"') {
                Some(quoted) => unquoted(quoted),
                None => {
                    let (text, left) = given.split_at_checked(given.find(';').unwrap_or(given.len()))?;
                    (text.trim_end().to_string(), left)
                }
            };
            rest = left.split_at_checked(left.find(';').unwrap_or(left.len()))?.1;
            return Some((name.trim(), text));
        }
    })
}

/// What stands up to the closing quote, and what stands behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.as_str().chars().next() {
                Some(next @ ('"' | '\\')) => {
                    chars.next();
                    out.push(next);
                }
                _ => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    (out, chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_in_quotes_and_without() {
        let value = r#"form-data; name="a;b=\"c\""; filename=x.png ;Size = 3; flag; last="#;
        assert_eq!(parameter(value, "name").unwrap(), "a;b=\"c\"");
        assert_eq!(parameter(value, "filename").unwrap(), "x.png");
        assert_eq!(parameter(value, "size").unwrap(), "3");
        assert_eq!(parameter(value, "last").unwrap(), "");
        assert_eq!(parameter(value, "flag"), None);
        assert_eq!(parameter("text/plain", "charset"), None);
    }

    #[test]
    fn a_path_of_a_disk_keeps_its_backslashes() {
        assert_eq!(parameter(r#"x; filename="C:\dir\a.png""#, "filename").unwrap(), r"C:\dir\a.png");
    }

    #[test]
    fn what_is_never_closed_ends_where_it_ends() {
        assert_eq!(parameter("x; a=\"b", "a").unwrap(), "b");
        assert_eq!(parameter("x; a=\"b\\", "a").unwrap(), "b\\");
        assert_eq!(parameter("x;;;=;=;\"", "a"), None);
    }
}
