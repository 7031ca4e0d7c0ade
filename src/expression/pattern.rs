//! What is wrong with a regular expression, and where in it.

use std::ops::Range;

/// The place and the reason; the whole text where there is no closer place.
pub fn regex_problem(pattern: &str, error: &regex::Error) -> (Range<usize>, String) {
    let whole = 0..pattern.len();
    if let regex::Error::CompiledTooBig(_) = error {
        return (whole, "it is too large".into());
    }
    let (span, why) = match regex_syntax::Parser::new().parse(pattern) {
        Err(regex_syntax::Error::Parse(error)) => (*error.span(), error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (*error.span(), error.kind().to_string()),
        _ => return (whole, error.to_string()),
    };
    let (start, end) = (span.start.offset, span.end.offset);
    // Of an empty place the character that follows is shown, at the end the one before.
    let next = pattern.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let before = pattern.get(..start).and_then(|text| text.chars().next_back()).map_or(0, char::len_utf8);
    let range = match (end > start, next) {
        (true, _) => start..end,
        (false, 0) => start - before..start,
        (false, next) => start..start + next,
    };
    (range, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_exact() {
        for (pattern, place) in
            [(r"^(\d+", "("), ("a**)", ")"), ("a[z-a]", "z-a"), ("(?=x)", "(?="), ("*", "*")]
        {
            let error = regex::Regex::new(pattern).unwrap_err();
            let (range, why) = regex_problem(pattern, &error);
            assert_eq!(&pattern[range], place, "{pattern}: {why}");
        }
    }
}
