//! The engine's carrier to the scripted network, for runs without mappings. A message says in how many parts it goes.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use patchcord::call::Departure;
use patchcord::delivery::{Carrier, Contacted, Outcome, Report};
use patchcord::message::Fault;
use patchcord::store::{Delivery, Direction};
use tokio::time::{Instant, sleep};

use super::disk;
use super::log::{Event, Said};
use super::network::{Exchange, Network, Terms};

/// What the carrier of one process works with.
pub struct Wire {
    pub life: usize,
    pub alive: Arc<AtomicBool>,
    pub network: Arc<Network>,
}

impl Wire {
    /// A process that is gone does nothing more.
    pub async fn breathe(&self) {
        if !self.alive.load(Ordering::SeqCst) {
            pending().await
        }
    }

    /// Waits until a request departs, and tells.
    pub async fn depart(&self, exchange: &Exchange, departure: &Departure) {
        if !exchange.held_up.is_zero() {
            sleep(exchange.held_up).await;
            self.breathe().await;
        }
        self.network.log.note(Event::Departs { attempt: exchange.attempt });
        departure.note(Instant::now());
    }
}

impl Carrier for Wire {
    fn attempt<'a>(
        &'a self,
        delivery: &'a Arc<Delivery>,
        more: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report> {
        async move {
            self.breathe().await;
            let item = |it: &Delivery| disk::item(&it.lane, &it.mid, it.kind, &it.payload);
            // Now and then not all of them fit.
            let joined = if more.is_empty() { 0 } else { self.network.dice.below(more.len() as u64 + 2) };
            let more: Vec<_> =
                more.iter().take(usize::try_from(joined).unwrap()).map(|it| item(it)).collect();
            let joined = more.len();
            let part = delivery.progress.as_deref().map_or(0, |done| done.split(' ').count());
            let terms = Terms { part, ..Terms::default() };
            let exchange = self.network.meet(self.life, item(delivery), more, &delivery.contact, &terms);
            self.depart(&exchange, &departure).await;
            if exchange.said == Said::Silent {
                pending::<()>().await;
            }
            sleep(exchange.takes).await;
            self.breathe().await;
            self.network.log.note(Event::Hears { attempt: exchange.attempt });
            if exchange.said == Said::Panic {
                // Without the words that a panic puts on the screen.
                std::panic::resume_unwind(Box::new(()));
            }
            Report { joined, ..report(delivery, part, exchange.said) }
        }
        .boxed()
    }
}

/// What follows from the answer to a part of a delivery.
fn report(delivery: &Delivery, part: usize, said: Said) -> Report {
    let fault = |code: &str| Fault { code: code.into(), message: "so it was written".into() };
    let is_well = !matches!(said, Said::Trouble(_) | Said::Lost { .. } | Said::Unreachable);
    let in_doubt = matches!(said, Said::Lost { .. });
    let outcome = match said {
        Said::Taken { id, rest } => {
            let done = delivery.progress.iter().map(String::as_str).chain([id.as_str()]);
            let done: Vec<&str> = done.collect();
            let parts = usize::from(delivery.payload[0].saturating_sub(b'0'));
            if delivery.lane.direction == Direction::Inbound {
                Outcome::Sent { ids: Vec::new(), rest }
            } else if part + 1 < parts {
                Outcome::Partly { after: Duration::ZERO, progress: done.join(" "), rest }
            } else {
                let ids = done.join(" ").split(' ').map(|id| vec![id.to_owned()]).collect();
                Outcome::Sent { ids, rest }
            }
        }
        Said::Throttled(after) => Outcome::Throttled { after, fault: fault("429"), progress: None },
        Said::Trouble(after) => Outcome::Retry { after, fault: fault("503"), progress: None },
        Said::Refused => Outcome::Failed { fault: fault("400") },
        Said::OptOut => Outcome::OptOut { fault: fault("stop") },
        Said::Lost { .. }
        | Said::Unreachable
        | Said::Silent
        | Said::Panic
        | Said::Token(_)
        | Said::Expired => Outcome::Retry { after: None, fault: fault("broken"), progress: None },
    };
    let host = format!("{} {}", delivery.lane.channel, delivery.lane.direction.as_str());
    Report { contacted: Some(Contacted { host: host.into(), is_well }), in_doubt, ..outcome.into() }
}
