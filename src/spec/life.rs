//! What a mapping file says about what the gateway does of its own accord.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::mapping::{CallStep, Response, Rule};
use super::read::{Count, Duration, FromNode, Map, Raw, record};
use super::request::Request;
use crate::diagnostic::{Diagnostics, Span};
use crate::yaml::Node;

record! {
    /// What the life of a channel needs at the provider; run by `patchcord channels`. Each is one exchange or a list of
    /// them.
    "`lifecycle`" Lifecycle {
        /// What makes the provider send webhooks to a channel, such as registering its URL.
        on_connect: Errands,
        /// What ends that.
        on_disconnect: Errands,
        /// What shows whether the credentials are good, and changes nothing.
        probe: Errands,
    }

    /// How news is fetched from a provider that does not send it, or says only that there is some. Never run twice at
    /// once in a channel.
    "a poll" Poll {
        /// How often; only when a rule's `poll:` asks for it unless given.
        every: Option<Duration>,
        /// What the request sees as `arg.NAME`, unless the rule that asks gives something else.
        with: Map<Raw>,
        /// The request of one page. It sees `cursor`: what the last page left there, null at first.
        request: Request,
        /// What its response means. The rest of the poll sees what it returns as `it`.
        response: Option<Response>,
        /// Where the next page begins. It is kept with the events of the page, so a restart goes on there; an empty
        /// one leaves the last.
        cursor: Option<Raw>,
        /// What must hold for the next page to be fetched at once.
        more: Option<Raw>,
        /// The most pages at once; 50 unless given.
        max_pages: Option<Count>,
        /// The nodes to handle one by one; the whole page unless given.
        each: Option<Raw>,
        /// What the node says, rule by rule.
        events: Vec<Rule>,
    }
}

/// One exchange, or several in order.
#[derive(Clone, Debug, Default)]
pub struct Errands(pub Vec<CallStep>);

impl FromNode for Errands {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        match node.as_list() {
            Some(_) => Vec::from_node(node, out).map(Self),
            None => CallStep::from_node(node, out).map(|step| Self(vec![step])),
        }
    }

    fn stand_in(_: Span) -> Self {
        Self::default()
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl JsonSchema for Errands {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Errands".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<CallStep>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}
