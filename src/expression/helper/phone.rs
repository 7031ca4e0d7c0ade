//! Phone numbers, by libphonenumber's metadata.

use rlibphonenumber::{PhoneNumber, PhoneNumberFormat, Region};

use super::{Arguments, Helper};
use crate::expression::scope::Scope;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "e164 text country= international= short= sender_id=",
        (1, 1),
        "A phone number as `+` and digits. Without a leading `+` it is read in `country` \
         (the channel's unless given) where it is possible there, else as an international number if it has \
         at least 11 digits. With `international=true` it is international in any case: for providers that \
         leave the `+` out, whose numbers could also be read at home. With `short=true` a short code stays as it is, with `sender_id=true` so \
         does an alphanumeric sender in lower case. Null where nothing fits.",
        "{{e164 '+44 (0)7911 123456'}}",
        "\"+447911123456\"",
        e164,
    )
    .named(&["country", "international", "short", "sender_id"]),
    Helper::total(
        "national text country=",
        (1, 1),
        "The national significant number, without a leading zero.",
        "{{national '+447911123456'}}",
        "\"7911123456\"",
        |a| {
            let number = parse(&a.text(0)?, country(a))?;
            Some(Value::from(number.get_national_significant_number()))
        },
    )
    .named(&["country"]),
    Helper::total(
        "e164_br text",
        (1, 1),
        "A phone number as `e164` reads it; a Brazilian mobile number with eight digits behind its area \
         code gains the ninth.",
        "{{e164_br '551187654321'}}",
        "\"+5511987654321\"",
        |a| {
            let number = e164(a)?.to_text();
            let parts =
                number.strip_prefix("+55").filter(|rest| rest.len() == 10).map(|rest| rest.split_at(2));
            // Numbers of landlines begin with 2 to 5.
            Some(match parts.filter(|(_, local)| local.starts_with(['6', '7', '8', '9'])) {
                Some((area, local)) => Value::from(format!("+55{area}9{local}")),
                None => Value::Text(number),
            })
        },
    ),
];

fn country(a: &Arguments<'_, '_>) -> Option<Region> {
    let given = a.named("country").to_text();
    let code = if given.is_empty() { a.env.scope(Scope::Channel).get("country").to_text() } else { given };
    Region::from_code(&code.to_uppercase()).ok()
}

fn parse(text: &str, region: Option<Region>) -> Option<PhoneNumber> {
    let number = PhoneNumber::parse(text, region).ok()?;
    number.is_possible_with_reason().is_ok().then_some(number)
}

fn e164(a: &Arguments<'_, '_>) -> Option<Value> {
    let text = a.text(0)?;
    let text = text.trim();
    let region = country(a);
    // A `(0)` is written for those who dial at home; it is not part of the number.
    let written = if text.starts_with('+') { text.replacen("(0)", "", 1) } else { text.to_string() };
    let digits: String = written.chars().filter(char::is_ascii_alphanumeric).collect();
    let abroad = text.starts_with('+') || (a.named("international").is_truthy() && !digits.starts_with('0'));
    let plain = if abroad { format!("+{digits}") } else { digits.clone() };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        let direct = parse(&plain, region);
        let international = || {
            (digits.len() >= 11 && !digits.starts_with('0'))
                .then(|| parse(&format!("+{digits}"), None))
                .flatten()
        };
        if let Some(number) = direct.or_else(international) {
            return Some(Value::from(stable(&number, &plain)));
        }
        let short = (3..=6).contains(&digits.len()) && !digits.starts_with('0');
        if short && a.named("short").is_truthy() && region.is_some() {
            return Some(Value::from(digits));
        }
    }
    let sender = (3..=64).contains(&digits.len()) && a.named("sender_id").is_truthy();
    sender.then(|| Value::from(digits.to_lowercase()))
}

/// The E.164 form of a number that was read from a text; read again until it does not change any more.
fn stable(number: &PhoneNumber, read_from: &str) -> String {
    let mut before = read_from.to_string();
    let mut text = number.format_as(PhoneNumberFormat::E164).into_owned();
    for _ in 0..3 {
        if text == before {
            break;
        }
        let Some(again) = parse(&text, None) else { break };
        before = std::mem::replace(&mut text, again.format_as(PhoneNumberFormat::E164).into_owned());
    }
    text
}
