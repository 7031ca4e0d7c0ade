//! What will run when the platform fetches a file that it can't fetch from the provider.

use std::time::Duration;

use super::Request;
use crate::expression::Template;

/// The shortest time for which the URL of a file is good: for that long the platform comes back for it.
pub const SHORTEST_TTL: Duration = Duration::from_mins(10);

/// How files are downloaded.
#[derive(Debug)]
pub struct Fetch {
    /// The hosts that get the credentials; `*` stands for anything.
    pub only_hosts: Vec<Template>,
    /// The request to one of them, with the credentials. Its URL is the scope `it`.
    pub with: Request,
    /// The request to any other host. Its URL is the scope `it`.
    pub without: Request,
    /// The largest file, in bytes; none is what the installation allows.
    pub max: Option<u64>,
    /// How long the URL of a file is good; none is what the installation says.
    pub ttl: Option<Duration>,
}
