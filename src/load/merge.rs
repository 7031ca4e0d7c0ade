//! One mapping's tree over another's.
//!
//! Invariant: every node keeps its place, so a problem is told where it was written, in whichever file that is. Maps
//! are merged; lists, values with operators and `auth` stand for themselves; null removes a member.

use crate::yaml::{Entry, Kind, Node, Text};

/// What belongs to a file and not to those that extend it.
pub(super) const OWN: &[&str] = &["name", "extends", "variants"];

/// A file's tree, or a variant's, over that of its base.
pub(super) fn whole(base: &Node, over: &Node) -> Node {
    let (Kind::Map(inherited), Kind::Map(own)) = (&base.kind, &over.kind) else { return over.clone() };
    let inherited: Vec<_> =
        inherited.iter().filter(|entry| !OWN.contains(&entry.key.value.as_str())).cloned().collect();
    let mut members = merge(&inherited, own, Place::Top);
    // What is missing is told at the first key, which should be one of this mapping.
    let rank = |entry: &Entry| own.iter().position(|own| own.key.span == entry.key.span);
    members.sort_by_key(|entry| rank(entry).unwrap_or(usize::MAX));
    Node { span: over.span, kind: Kind::Map(members) }
}

/// Where two maps stand.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// They are mappings.
    Top,
    /// They hold tables.
    Tables,
    /// They are tables, whose keys may be patterns and whose null is a row.
    Rows,
    /// Anywhere else.
    Within,
}

/// The members of one map, in its order, with those of another in their place or behind them.
fn merge(base: &[Entry], over: &[Entry], place: Place) -> Vec<Entry> {
    let own = |key: &Text| over.iter().find(|entry| entry.key.value == key.value);
    let inherits = |key: &Text| base.iter().any(|entry| entry.key.value == key.value);
    let kept = base.iter().filter_map(|inherited| {
        let Some(entry) = own(&inherited.key) else { return Some(inherited.clone()) };
        if entry.value.is_null() && place != Place::Rows {
            return None;
        }
        let within = match (place, entry.key.value.as_str()) {
            (Place::Top, "tables") => Place::Tables,
            (Place::Tables, _) => Place::Rows,
            _ => Place::Within,
        };
        let kind = match (&inherited.value.kind, &entry.value.kind) {
            (Kind::Map(base), Kind::Map(over)) if merges(&entry.key, base, over, within) => {
                Kind::Map(merge(base, over, within))
            }
            (_, own) => own.clone(),
        };
        Some(Entry { key: entry.key.clone(), value: Node { span: entry.value.span, kind } })
    });
    kept.chain(over.iter().filter(|entry| !inherits(&entry.key)).cloned()).collect()
}

/// Whether two maps are merged, or the second stands for itself: it is one value, or one choice of several.
fn merges(key: &Text, base: &[Entry], over: &[Entry], place: Place) -> bool {
    let is_value = |entry: &Entry| entry.key.value.starts_with('$');
    match place {
        Place::Tables | Place::Rows => true,
        _ => key.value != "auth" && !base.iter().chain(over).any(is_value),
    }
}
