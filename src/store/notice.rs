//! The delivery that tells the platform how far one of its messages has come.

use bytes::Bytes;
use smol_str::SmolStr;

use super::entry::NewDelivery;
use super::lane::Lane;
use crate::message::{Contact, Content, Event, EventKind, Fault, IdOwner, Status};
use crate::world::Millis;

/// A status for the platform: an inbound delivery whose payload is the canonical event.
///
/// `mid` is our id of the message; `at` is when the change happened.
pub fn status_delivery(
    channel: &SmolStr,
    contact: &SmolStr,
    mid: &SmolStr,
    status: Status,
    error: Option<Fault>,
    at: Millis,
) -> NewDelivery {
    let event = Event {
        kind: EventKind::MessageStatus,
        id: mid.to_string(),
        id_owner: IdOwner::Own,
        timestamp: at,
        contact: Contact { id: contact.to_string(), ..Contact::default() },
        content: Content::default(),
        status: Some(status),
        error,
        up_to: None,
    };
    event_delivery(channel, contact, mid, &event)
}

/// An inbound delivery whose payload is `event` as canonical JSON.
pub fn event_delivery(channel: &SmolStr, contact: &SmolStr, mid: &SmolStr, event: &Event) -> NewDelivery {
    // An event holds text, numbers and lists only, none of which can fail to become JSON.
    let payload = Bytes::from(serde_json::to_vec(event).unwrap_or_default());
    NewDelivery::new(Lane::inbound(channel.clone()), contact, mid, event.kind, payload)
}
