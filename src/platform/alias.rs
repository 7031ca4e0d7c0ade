//! Ids that the platform can't hold, under another name that it can.
//!
//! An alias is a pure function of the id, so it is the same on every node and after every restart; the store
//! keeps the way back.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::LONGEST_ID;
use crate::expression::hex;

/// What an alias of a contact begins with.
const CONTACT: &str = "c_";
/// What an alias of a message begins with.
const MESSAGE: &str = "m_";
/// How many hexadecimal digits of SHA-256 follow: 160 bits, which no two ids will share.
const DIGITS: usize = 40;
/// Room for the number of an event of a message: `-` and five digits, more than a body can hold events.
const ROOM: usize = 6;

/// A contact's id as a channel of ID type `custom` can hold it: letters, digits and `_ = + / @`.
pub fn contact_alias(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '/' | '@');
    if !id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(fits) && !is_alias(id) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(alias(CONTACT, id))
    }
}

/// A message's id as the platform can hold it: letters, digits, `_` and `-`, with room for the numbers of parts.
pub fn message_alias(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.len() <= LONGEST_ID - ROOM && id.chars().all(fits) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(alias(MESSAGE, id))
    }
}

/// Whether a contact's id has the form of an alias.
pub fn is_alias(id: &str) -> bool {
    id.strip_prefix(CONTACT)
        .is_some_and(|rest| rest.len() == DIGITS && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn alias(prefix: &str, id: &str) -> String {
    let digits = hex(&Sha256::digest(id.as_bytes()));
    format!("{prefix}{}", digits.get(..DIGITS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_fit_stay_as_they_are() {
        assert_eq!(contact_alias("+60123456789"), "+60123456789");
        assert_eq!(contact_alias("a_b=c/d@e"), "a_b=c/d@e");
        assert_eq!(message_alias("SM1234-5_6"), "SM1234-5_6");
    }

    #[test]
    fn others_get_an_alias_that_fits_and_stays_the_same() {
        for id in ["US.123", "a-b", "", "ünïcode", &"x".repeat(51)] {
            let alias = contact_alias(id);
            assert!(alias.len() <= LONGEST_ID && is_alias(&alias), "{id}: {alias}");
            assert_eq!(alias, contact_alias(id));
        }
        let wamid = "wamid.HBgLNjAxMjM0NTY3ODkVAgASGBQzQTdCNkM5RDBFMUYyQTNCNEM1RAA=";
        for id in [wamid, &"x".repeat(44), &"x".repeat(45)] {
            assert!(message_alias(id).len() + "-99999".len() <= LONGEST_ID, "{id}");
        }
    }

    #[test]
    fn an_id_that_looks_like_an_alias_gets_one_of_its_own() {
        let alias = contact_alias("a-b").into_owned();
        assert_ne!(contact_alias(&alias), alias);
    }
}
