//! What a mapping remembers, with its values made.

use smol_str::SmolStr;

use crate::expression::{Env, Failure};
use crate::memory::{LONGEST, Remember};
use crate::plan::{Memo, Owner};
use crate::world::Millis;

/// The changes that `memos` ask for; a value that is empty changes nothing.
pub(super) fn remember(
    memos: &[Memo],
    channel: &SmolStr,
    contact: &str,
    env: &mut Env<'_>,
) -> Result<Vec<Remember>, Failure> {
    let mut changes = Vec::new();
    for memo in memos {
        let value = memo.value.eval(env)?;
        if value.is_empty() {
            continue;
        }
        let length = value.to_json().map(|json| json.len());
        if length.is_none_or(|length| length > LONGEST) {
            let why = match length {
                None => "bytes can't be remembered; write them as text".to_string(),
                Some(length) => format!("{length} bytes are more than can be remembered ({LONGEST})"),
            };
            return Err(Failure(format!("`remember` of `{}`: {why}", memo.name)));
        }
        let expires_at = memo
            .ttl
            .map(|ttl| env.now.saturating_add(Millis::try_from(ttl.as_millis()).unwrap_or(Millis::MAX)));
        changes.push(Remember { value, expires_at, ..forget(memo.owner, &memo.name, channel, contact)? });
    }
    Ok(changes)
}

/// The change that leaves nothing of a name.
pub(super) fn forget(
    owner: Owner,
    name: &SmolStr,
    channel: &SmolStr,
    contact: &str,
) -> Result<Remember, Failure> {
    if owner == Owner::Contact && contact.is_empty() {
        return Err(Failure(format!("`remember` of `{name}` names no contact")));
    }
    Ok(Remember {
        channel: channel.clone(),
        contact: SmolStr::new(if owner == Owner::Contact { contact } else { "" }),
        name: name.clone(),
        value: crate::expression::Value::Null,
        expires_at: None,
    })
}
