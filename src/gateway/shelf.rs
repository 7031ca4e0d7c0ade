//! The values of calls in the store, where the other nodes find them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::call::{Said, Shelf, ShelfError, Shelved};
use crate::expression::{Value, hex};
use crate::store::{CallValue, SharedCall, Store, StoreError};
use crate::world::Millis;

/// A shelf in a store that nodes share. What JSON can't say is shared with nobody.
pub(super) struct InStore(pub(super) Arc<dyn Store>);

impl Shelf for InStore {
    fn ask(&self, key: &str, refused: Option<Millis>, now: Millis) -> Said<Shelved> {
        let claimed = self.0.claim_call(name(key), refused, now);
        async move {
            Ok(match claimed.await.map_err(failed)? {
                SharedCall::Found(CallValue { json, expires_at }) => {
                    let value = Value::from_json(json.as_bytes());
                    Shelved::Found(value.map_err(|error| ShelfError(error.to_string()))?, expires_at)
                }
                SharedCall::Make => Shelved::Make,
                SharedCall::Busy => Shelved::Busy,
            })
        }
        .boxed()
    }

    fn give_back(&self, key: &str, value: Option<(Value, Millis)>) -> Said<()> {
        let kept =
            value.and_then(|(value, expires_at)| Some(CallValue { json: value.to_json()?, expires_at }));
        let given = self.0.end_call(name(key), kept);
        async move { given.await.map_err(failed) }.boxed()
    }
}

/// The name of a call in the store: its key may be of any length.
fn name(key: &str) -> SmolStr {
    hex(Sha256::digest(key.as_bytes()).get(..16).unwrap_or_default()).into()
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: StoreError) -> ShelfError {
    ShelfError(error.to_string())
}
