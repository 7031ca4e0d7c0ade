//! What tests of `store` and `delivery` share.

use std::sync::Arc;

use bytes::Bytes;

use super::{Delivery, Lane, NewDelivery};
use crate::message::EventKind;

/// A delivery that is in no store.
pub(crate) fn delivery(id: i64, contact: &str) -> Arc<Delivery> {
    let new = outbound(contact, &format!("m{id}"));
    Arc::new(Delivery {
        id,
        lane: new.lane,
        contact: new.contact,
        mid: new.mid,
        kind: new.kind,
        payload: new.payload,
        attempts: 0,
        not_before: 0,
        accepted_at: 0,
        progress: None,
        in_doubt: false,
        bulk: false,
        behind: None,
        webhook: None,
    })
}

/// A message of the platform on channel `c`.
pub(crate) fn outbound(contact: &str, mid: &str) -> NewDelivery {
    NewDelivery::new(Lane::outbound("c"), contact, mid, EventKind::Message, Bytes::from_static(b"{}"))
}

/// A message of a contact on channel `c`, recognised by `key`.
pub(crate) fn inbound(contact: &str, mid: &str, key: Option<&str>) -> NewDelivery {
    NewDelivery { lane: Lane::inbound("c"), dedupe: key.map(str::to_owned), ..outbound(contact, mid) }
}

/// A folder that is removed when the test is over.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let id = crate::world::World::system().new_id();
        Self(std::env::temp_dir().join(format!("patchcord-{}-{id}", std::process::id())))
    }

    /// The store's file in it.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.join("a.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
