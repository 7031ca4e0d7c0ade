//! Messages on their way: as many as the gateway takes, and 300 a second.

use super::by_hand;
use super::installation::{Folder, Installation, message, webhook};
use super::load::Load;
use super::process::Process;
use super::run::{Figures, head, medians, row, run};
use super::scale::Scale;
use super::sink::Sink;

/// A moderate rate, in messages a second.
const MODERATE: f64 = 300.0;

/// Which way messages go.
#[derive(Clone, Copy)]
enum Way {
    ToPlatform,
    ToProvider,
}

/// Webhooks that are answered when they are on disk; hardly anything goes on to the platform.
pub fn accept(scale: &Scale) {
    compare("durable accept", Way::ToPlatform, "1/s", None, scale);
}

/// Webhooks that arrive at the platform, which has no limit.
pub fn to_platform(scale: &Scale) {
    compare("webhook -> platform", Way::ToPlatform, "unlimited", None, scale);
}

/// Messages that arrive at the provider, which has no limit.
pub fn to_provider(scale: &Scale) {
    compare("message -> provider", Way::ToProvider, "unlimited", None, scale);
}

/// Both at a rate that leaves no backlog.
pub fn moderate(scale: &Scale) {
    compare("webhook -> platform, 300/s", Way::ToPlatform, "unlimited", Some(MODERATE), scale);
    compare("message -> provider, 300/s", Way::ToProvider, "unlimited", Some(MODERATE), scale);
}

/// Runs the gateway and what was written by hand in turn, prints the medians of both, and their relation.
fn compare(name: &str, way: Way, platform_rate: &'static str, rate: Option<f64>, scale: &Scale) {
    let delivers = platform_rate == "unlimited";
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..scale.runs {
        by_hand.push(once(None, way, delivers, rate, scale));
        ours.push(once(Some(platform_rate), way, delivers, rate, scale));
    }
    let (ours, by_hand) = (medians(&ours), medians(&by_hand));
    head();
    row(name, &ours);
    row("  the same by hand", &by_hand);
    println!("  {}", relation(&ours, &by_hand, delivers, rate.is_some()));
    assert_eq!(
        ours.faults,
        super::figures::Faults::default(),
        "{name}: messages were lost, out of order or repeated"
    );
}

/// One run of the gateway with that rate to the platform, or of what was written by hand.
fn once(
    platform_rate: Option<&'static str>,
    way: Way,
    delivers: bool,
    rate: Option<f64>,
    scale: &Scale,
) -> Figures {
    let (folder, sink) = (Folder::new(), Sink::start());
    let process = match platform_rate {
        None => by_hand::start(&folder.0, delivers.then_some(sink.address)),
        Some(platform_rate) => {
            Installation { sink: sink.address, platform_rate, chats: 1, channels: 1 }.write(&folder);
            Process::serve(&folder.0)
        }
    };
    let load = Load { connections: scale.connections, rate, lasts: scale.lasts, first: 1 };
    match way {
        Way::ToPlatform => run(&[process], &sink, load, delivers, webhook),
        Way::ToProvider => run(&[process], &sink, load, delivers, message),
    }
}

fn relation(ours: &Figures, by_hand: &Figures, delivers: bool, moderate: bool) -> String {
    if moderate {
        let [median, slow] = [0, 1].map(|at| ours.accept[at] / by_hand.accept[at]);
        return format!("accept p50 {median:.2} times, p99 {slow:.2} times what it takes by hand\n");
    }
    let accepted = ours.accepted / by_hand.accepted * 100.0;
    if delivers {
        let delivered = ours.delivered / by_hand.delivered * 100.0;
        format!("{accepted:.0} % of the accepts and {delivered:.0} % of the deliveries by hand\n")
    } else {
        format!("{accepted:.0} % of the accepts by hand\n")
    }
}
