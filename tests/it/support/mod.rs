//! What the tests share.

mod api;
mod database;
mod files;
mod folder;
mod gateway;
pub mod http;
mod openssl;
mod passage;
#[path = "../../shared/postgres.rs"]
mod postgres;
mod process;
mod stand_in;
mod town;
mod wait;

pub use api::{Api, Asked};
pub use database::Database;
pub use files::{BIG, FILES_TOKEN, Files, SMALL};
pub use folder::Folder;
pub use gateway::Gateway;
pub use openssl::{KeyPair, digest, hex, hmac, hmac_sha1_base64, hmac_sha256_hex, verifies_p256};
pub use passage::{Passage, Way};
pub use process::{Process, patchcord};
pub use stand_in::{Platform, Provider};
pub use town::{CHANNEL, Setup, TOKEN, Town};
pub use wait::{alone, among_others, say, until, until_done};
