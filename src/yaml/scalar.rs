//! What a plain scalar is: the core schema of YAML 1.2 (chapter 10.3), made safe for identifiers.
//!
//! Everything that would lose digits or signs as a number stays text: leading zeros (`007`), a leading plus
//! (`+60123456789`), underscores. `.inf` and `.nan` stay text too, since no JSON can hold them.

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

/// Reads a plain scalar.
pub(super) fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ => number(text).unwrap_or(Plain::Text),
    }
}

fn number(text: &str) -> Option<Plain> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        // The core schema knows no signs here.
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-'])) {
            return i128::from_str_radix(digits, radix).ok().map(Plain::Int);
        }
    }
    let zeros = digits.len() > 1 && digits.starts_with('0');
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = text.parse().map(Plain::Int);
        return if zeros { None } else { whole.ok().or_else(|| float(text)) };
    }
    let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let fraction = digits.get(whole..)?;
    let fraction = fraction.strip_prefix('.').unwrap_or(fraction);
    let places = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
    let exponent = fraction.get(places..)?;
    let power =
        exponent.strip_prefix(['e', 'E']).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    let sound = match power {
        Some(power) => !power.is_empty() && power.bytes().all(|byte| byte.is_ascii_digit()),
        None => exponent.is_empty(),
    };
    let padded = zeros && whole > 1;
    (sound && whole + places > 0 && !padded).then(|| float(text)).flatten()
}

fn float(text: &str) -> Option<Plain> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Plain::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_booleans_are_those_of_yaml_1_2() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Plain::Null, "{text}");
        }
        assert_eq!(plain("true"), Plain::Bool(true));
        assert_eq!(plain("FALSE"), Plain::Bool(false));
        for text in ["yes", "no", "on", "off", "y", "n", "nUll", "tRue", "none"] {
            assert_eq!(plain(text), Plain::Text, "{text}");
        }
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        for (text, number) in [("0", 0), ("-0", 0), ("12", 12), ("-7", -7), ("0x1F", 31), ("0o17", 15)] {
            assert_eq!(plain(text), Plain::Int(number), "{text}");
        }
        assert_eq!(plain("170141183460469231731687303715884105727"), Plain::Int(i128::MAX));
        assert_eq!(
            plain("170141183460469231731687303715884105728"),
            Plain::Float(1.701_411_834_604_692_3e38)
        );
        for (text, number) in
            [("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("0.25", 0.25), ("1e3", 1e3), ("2.5E-3", 0.0025)]
        {
            assert_eq!(plain(text), Plain::Float(number), "{text}");
        }
    }

    #[test]
    fn what_would_lose_something_as_a_number_is_text() {
        for text in [
            "007",
            "-012",
            "00.5",
            "1_000",
            "+60123456789",
            "+1.5",
            ".inf",
            "-.inf",
            ".nan",
            "1e999",
            ".",
            "-",
            "-.",
            "1.2.3",
            "10..12",
            "21..",
            "1e",
            "1e+",
            "e3",
            "0x",
            "0xg",
            "0x+1",
            "-0x1F",
            "0o8",
            "12:30",
            "2026-01-02",
            "1,5",
        ] {
            assert_eq!(plain(text), Plain::Text, "{text}");
        }
    }
}
