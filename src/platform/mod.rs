//! The IS-Messenger contract: its JSON to and from canonical messages, its limits, its answers.
//!
//! Liberal in what it reads, exact in what it writes: nothing that the platform's documentation does not know
//! is ever posted, and no member is null or empty.

mod alias;
mod incoming;
mod outgoing;
mod token;

pub use alias::{contact_alias, is_alias, message_alias};
pub use incoming::{Refusal, read_message};
pub use outgoing::{PlatformChannel, Posting, Unpostable, request_body};
pub use token::Token;

/// The longest id of a message or contact, in characters.
pub const LONGEST_ID: usize = 50;
/// The longest text of one event, in characters.
pub const LONGEST_TEXT: usize = 7000;
/// The most events that several messages may come to in one request; a lane holds no more of a contact.
pub const LARGEST_BATCH: usize = 30;
