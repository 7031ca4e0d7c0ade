//! The values of calls that nodes share: tokens above all, as they are, in JSON.

use crate::world::Millis;

/// The value of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct CallValue {
    /// The value, in JSON.
    pub json: String,
    /// From when on it counts as used up.
    pub expires_at: Millis,
}

impl std::fmt::Debug for CallValue {
    /// Without the value, which may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallValue").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What the store knows of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedCall {
    /// Its value.
    Found(CallValue),
    /// There is none, and this node makes the call: [`Store::end_call`](super::Store::end_call).
    Make,
    /// There is none yet: another node makes the call.
    Busy,
}
