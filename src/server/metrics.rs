//! `/metrics`: how every lane is doing and what waits for an operator, in Prometheus' text format.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::Response;

use super::answers::plain;
use super::routes::App;
use crate::delivery::LaneStats;
use crate::store::{Leases, LostCount, ParkedCount, SLOTS, Tally};

const DEAD: &str = "patchcord_dead_letters";
const PARKED: &str = "patchcord_parked_webhooks";
const GOOD: &str = "patchcord_node_may_send";
const HELD: &str = "patchcord_node_slots";

type Family = (&'static str, &'static str, &'static str, fn(&LaneStats) -> u64);

const FAMILIES: &[Family] = &[
    ("patchcord_lane_depth", "gauge", "Deliveries that wait or are under way.", |lane| lane.depth),
    ("patchcord_lane_in_flight", "gauge", "Requests under way.", |lane| lane.in_flight as u64),
    ("patchcord_lane_retrying", "gauge", "Contacts that wait for a retry.", |lane| lane.retrying as u64),
    (
        "patchcord_lane_paused",
        "gauge",
        "Whether the lane rests because the other side asked for it.",
        |lane| u64::from(lane.paused_until.is_some()),
    ),
    (
        "patchcord_lane_circuit_open",
        "gauge",
        "Whether the lane pauses and probes because the host that it sends to fails again and again.",
        |lane| u64::from(lane.circuit_open),
    ),
    ("patchcord_lane_sent_total", "counter", "Attempts that succeeded.", |lane| lane.sent),
    ("patchcord_lane_failed_total", "counter", "Deliveries that were refused for good.", |lane| lane.failed),
    ("patchcord_lane_dead_total", "counter", "Deliveries that were given up.", |lane| lane.dead),
    (
        "patchcord_lane_held_total",
        "counter",
        "Deliveries that are held for an operator, since the other side may have taken them.",
        |lane| lane.held,
    ),
    ("patchcord_lane_retried_total", "counter", "Attempts that are to be repeated.", |lane| lane.retried),
    ("patchcord_lane_throttled_total", "counter", "Answers that asked for fewer requests.", |lane| {
        lane.throttled
    }),
];

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let mut text = render(&app.gateway.lanes());
    text.push_str(&node(&app.gateway.store().leases()));
    match app.gateway.store().tally().await {
        Ok(tally) => text.push_str(&waiting(&tally)),
        // The other figures are as good without these.
        Err(error) => tracing::warn!(%error, "what waits for an operator can't be counted now"),
    }
    plain(200, &text)
}

/// How this process is doing as one of several; nothing where it is alone.
fn node(leases: &Leases) -> String {
    if !leases.are_shared() {
        return String::new();
    }
    let (good, slots) = (u64::from(leases.are_good()), leases.held().len());
    format!(
        "# HELP {GOOD} Whether this node may send: it was heard of by the database lately.\n# TYPE {GOOD} gauge\n{GOOD} {good}\n\
         # HELP {HELD} How many of the {SLOTS} slots of lanes this node delivers.\n# TYPE {HELD} gauge\n{HELD} {slots}\n"
    )
}

/// What waits for an operator.
fn waiting(tally: &Tally) -> String {
    let mut text = String::new();
    text.push_str(&format!(
        "# HELP {DEAD} Deliveries that were refused for good or given up, and are kept.\n# TYPE {DEAD} gauge\n"
    ));
    for LostCount { lane, state, count } in &tally.lost {
        let (channel, direction, state) = (&lane.channel, lane.direction.as_str(), state.as_str());
        text.push_str(&format!(
            "{DEAD}{{channel=\"{channel}\",direction=\"{direction}\",state=\"{state}\"}} {count}\n"
        ));
    }
    text.push_str(&format!("# HELP {PARKED} Webhooks that wait for a replay.\n# TYPE {PARKED} gauge\n"));
    for ParkedCount { channel, mapping, count } in &tally.parked {
        let channel = channel.as_deref().unwrap_or_default();
        text.push_str(&format!("{PARKED}{{channel=\"{channel}\",mapping=\"{mapping}\"}} {count}\n"));
    }
    text
}

fn render(lanes: &[LaneStats]) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in FAMILIES {
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for lane in lanes {
            let (channel, direction) = (&lane.lane.channel, lane.lane.direction.as_str());
            let _ =
                writeln!(text, "{name}{{channel=\"{channel}\",direction=\"{direction}\"}} {}", value(lane));
        }
    }
    text
}
