//! What proves that a webhook comes from the provider.

use std::time::Duration;

use smol_str::SmolStr;

use super::Lets;
use super::network::Network;
use super::words::{Algorithm, Encoding, JwtAlgorithm};
use crate::expression::{Condition, Template, Test};

/// One proof that a request comes from the provider.
#[derive(Debug)]
pub struct Verify {
    /// When it is asked for.
    pub when: Option<Condition>,
    /// Names for values.
    pub lets: Lets,
    /// The proof.
    pub proof: Proof,
    /// The HTTP status where it fails.
    pub on_fail: u16,
}

/// What is compared.
#[derive(Debug)]
pub enum Proof {
    /// Two values.
    Equal(Template, Template),
    /// A signature over the request.
    Signature(Box<Signature>),
    /// A JSON Web Token.
    Jwt(Box<Jwt>),
    /// HTTP Basic: user name and password.
    Basic(Template, Template),
    /// Where the request comes from.
    Ip(Vec<Origin>),
    /// At least one of these, among those that are asked for.
    Any(Vec<Verify>),
}

/// A signature over the request.
#[derive(Debug)]
pub struct Signature {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key, or a list of keys of which any may fit.
    pub key: Template,
    /// What is signed.
    pub over: Template,
    /// How it is written.
    pub encoding: Encoding,
    /// What came with the request, or a list of which any may fit.
    pub actual: Template,
    /// What stands before it.
    pub prefix: SmolStr,
    /// The moment of signing, and how far it may be away.
    pub timestamp: Option<(Template, Duration)>,
}

/// A JSON Web Token (RFC 7519).
#[derive(Debug)]
pub struct Jwt {
    /// The token; `Bearer` before it does not matter.
    pub token: Template,
    /// The only algorithms that may have signed it: all with shared secrets, or all with public keys.
    pub algorithms: Vec<JwtAlgorithm>,
    /// The key, or a list of keys of which any may fit.
    pub key: Template,
    /// What it must claim.
    pub claims: Vec<Claim>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
}

/// What a token must claim.
#[derive(Debug)]
pub struct Claim {
    /// The claim's name.
    pub name: SmolStr,
    /// Whether the token may leave it out.
    pub optional: bool,
    /// What holds for its value.
    pub test: ClaimTest,
}

/// What holds for the value of a claim.
#[derive(Debug)]
pub enum ClaimTest {
    /// It is this, or a list with this in it; never where this is null.
    Equals(Template),
    /// It passes a test that does not depend on the request.
    Passes(Test),
}

/// Where requests may come from.
#[derive(Debug)]
pub enum Origin {
    /// That network.
    Fixed(Network),
    /// The networks that a value names: one, or a list.
    Made(Template),
}
