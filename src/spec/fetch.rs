//! What a mapping says about files that the platform can't fetch itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{Duration, FromNode, Raw, Size, record, word};
use super::request::{Auth, AuthChoice};
use crate::diagnostic::{Diagnostics, Span};
use crate::yaml::Node;

record! {
    /// How files of the provider are downloaded that want credentials: the platform gets URLs of this gateway for
    /// them, which are signed and expire.
    "`fetch`" Fetch {
        /// The hosts that get the credentials, such as `files.example.com` or `*.example.com`. Attachments from there
        /// go through this gateway, others go out as they are.
        only_hosts: Vec<Raw>,
        /// How a download proves who asks: one of the kinds of `auth`, or `inherit` for that of `http`.
        auth: Option<FetchAuth>,
        /// Query parameters of a download.
        query: Option<Raw>,
        /// Headers of a download.
        headers: Option<Raw>,
        /// The largest file, such as `25MB`; what the installation allows unless given.
        max: Option<Size>,
        /// How long the URL is good, at least 10m; what the installation says unless given.
        ttl: Option<Duration>,
    }
}

/// How a download proves who asks.
#[derive(Clone, Debug)]
pub enum FetchAuth {
    /// As other requests do: `http.auth`.
    Inherit,
    /// In its own way.
    By(AuthChoice),
}

impl FromNode for FetchAuth {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        if node.as_text().is_some() {
            return word(node, "a kind of `auth`", &["inherit"], out).map(|_| Self::Inherit);
        }
        Auth::from_node(node, out).map(|auth| Self::By(AuthChoice::By(Box::new(auth))))
    }

    fn stand_in(_: Span) -> Self {
        Self::Inherit
    }
}

impl JsonSchema for FetchAuth {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FetchAuth".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let own = generator.subschema_for::<Auth>();
        json_schema!({"anyOf": [{"const": "inherit"}, own]})
    }
}
