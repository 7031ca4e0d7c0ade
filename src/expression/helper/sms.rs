//! Short messages: the GSM 7-bit alphabet.

use super::Helper;
use crate::expression::gsm7;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "gsm7_ok text",
        (1, 1),
        "Whether the GSM 7-bit alphabet (GSM 03.38, with its extension table) has every character.",
        "{{gsm7_ok 'Grüße für 5 €'}}",
        "true",
        |a| Some(gsm7::length(&a.text(0)?).is_some().into()),
    ),
    Helper::total(
        "gsm7_substitute text",
        (1, 1),
        "With characters that the GSM 7-bit alphabet lacks written with those that it has: typographic \
         quotes, dashes, blanks and the ellipsis in ASCII, letters with marks without them. What has no \
         such likeness stays.",
        "{{gsm7_substitute '“déjà vu” – año, ça va…'}}",
        "\"\\\"déjà vu\\\" - año, ca va...\"",
        |a| Some(Value::from(gsm7::substitute(&a.text(0)?))),
    ),
    Helper::total(
        "sms_segments text",
        (1, 1),
        "How many short messages a text takes: one has 160 characters of the GSM 7-bit alphabet \
         (those of its extension table count twice), several 153 each; with any other character 70 \
         and 67 UTF-16 units.",
        "{{sms_segments 'Ж is not in the alphabet'}}",
        "1",
        |a| Some(gsm7::segments(&a.text(0)?).into()),
    ),
];
