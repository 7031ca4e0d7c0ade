//! A process and what it lives in: it is started, loses its power, is started again on what was on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchcord::call::Transport;
use patchcord::delivery::{Carrier, Engine, LaneSettings, Parts, SettingsOf};
use patchcord::gateway::{Called, Gateway, WebhookAnswer};
use patchcord::load::Settings;
use patchcord::message::{EventKind, IdOwner};
use patchcord::pipeline::Incoming;
use patchcord::store::{
    Acceptance, DeliveryId, Feed, Filter, Lane, NewDelivery, Receipt, Record, StatusSet, Store, feed,
};
use patchcord::world::{Clock as _, World};
use serde_json::json;
use smol_str::SmolStr;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, sleep_until};

use super::base::{Base, Place};
use super::carrier::Wire;
use super::clock::Wall;
use super::disk::{Disk, Faults};
use super::house::{self, TOKEN, WORD};
use super::log::{Event, Log};
use super::network::{Mail, Network};

/// How long a provider waits before it repeats a webhook that was not answered well.
const REPEAT: Duration = Duration::from_secs(3);

/// How much happens in a run that has no end.
const WITHOUT_END: usize = 100_000;

/// What is simulated.
pub enum Whole {
    /// The engine, whose lanes behave like that.
    Engine(SettingsOf),
    /// The gateway with everything, whose lanes behave like that.
    Gateway(BTreeMap<Lane, LaneSettings>),
}

/// What does the work in one process.
enum Works {
    Engine(Engine),
    Gateway(Box<Gateway>),
}

/// A running process.
struct Life {
    number: usize,
    alive: Arc<AtomicBool>,
    disk: Arc<Disk>,
    works: Works,
}

pub struct Town {
    pub wall: Wall,
    pub log: Log,
    pub world: World,
    pub network: Arc<Network>,
    pub faults: Arc<Faults>,
    pub whole: Whole,
    pub post: StatusSet,
    /// How many committed deliveries the feed holds.
    pub feed: usize,
    life: Mutex<Option<Arc<Life>>>,
    base: Mutex<Base>,
    lives: AtomicUsize,
    /// What is in the queue.
    open: Arc<Mutex<BTreeSet<DeliveryId>>>,
    /// What providers have yet to say.
    mail: AtomicUsize,
}

impl Town {
    pub fn new(
        world: World,
        network: Arc<Network>,
        faults: Faults,
        whole: Whole,
        post: StatusSet,
        feed: usize,
        place: Place,
    ) -> Arc<Self> {
        let log = network.log.clone();
        Arc::new(Self {
            wall: log.wall.clone(),
            log,
            world,
            network,
            faults: Arc::new(faults),
            whole,
            post,
            feed,
            life: Mutex::default(),
            base: Mutex::new(Base::new(place)),
            lives: AtomicUsize::new(0),
            open: Arc::default(),
            mail: AtomicUsize::new(0),
        })
    }

    /// Starts a process on what the one before left, if none runs.
    pub fn start(&self) {
        let mut life = self.life.lock().unwrap();
        if life.is_some() {
            return;
        }
        let (number, alive) = (self.lives.fetch_add(1, Ordering::SeqCst), Arc::new(AtomicBool::new(true)));
        self.log.note(Event::Start { life: number });
        let wire = Wire { life: number, alive: Arc::clone(&alive), network: Arc::clone(&self.network) };
        let (disk, works) = match &self.whole {
            Whole::Engine(settings) => self.engine(number, &alive, Arc::new(wire), settings),
            Whole::Gateway(lanes) => self.gateway(number, &alive, Arc::new(wire), lanes),
        };
        *life = Some(Arc::new(Life { number, alive, disk, works }));
    }

    fn engine(
        &self,
        life: usize,
        alive: &Arc<AtomicBool>,
        carrier: Arc<dyn Carrier>,
        settings: &SettingsOf,
    ) -> (Arc<Disk>, Works) {
        let (feed, reader) = feed(self.feed);
        let disk = self.disk(life, alive, feed);
        let store = Arc::clone(&disk) as Arc<dyn Store>;
        let (settings, world) = (Arc::clone(settings), self.world.clone());
        let parts = Parts { store, feed: reader, carrier, settings, reserve: 0, world };
        (disk, Works::Engine(Engine::start(parts)))
    }

    fn gateway(
        &self,
        life: usize,
        alive: &Arc<AtomicBool>,
        transport: Arc<dyn Transport>,
        lanes: &BTreeMap<Lane, LaneSettings>,
    ) -> (Arc<Disk>, Works) {
        let mut disk = None;
        let open = |_: &Settings, feed| {
            let opened = disk.insert(self.disk(life, alive, feed));
            Ok(Arc::clone(opened) as Arc<dyn Store>)
        };
        let gateway =
            Gateway::with_store(house::settings(lanes), self.world.clone(), transport, open).unwrap();
        (disk.unwrap(), Works::Gateway(Box::new(gateway)))
    }

    /// The disk as the process that starts finds it.
    fn disk(&self, life: usize, alive: &Arc<AtomicBool>, feed: Feed) -> Arc<Disk> {
        let store = self.base.lock().unwrap().open(feed);
        let (log, faults, open) = (self.log.clone(), Arc::clone(&self.faults), Arc::clone(&self.open));
        Arc::new(Disk::new(store, life, Arc::clone(alive), log, faults, open))
    }

    /// The process is gone at once.
    pub fn crash(&self) {
        if let Some(life) = self.life.lock().unwrap().take() {
            life.disk.catch_up();
            life.alive.store(false, Ordering::SeqCst);
            self.log.note(Event::End { life: life.number, crash: true });
        }
    }

    /// The process ends in order, within that time.
    pub async fn stop(&self, within: Duration) {
        let life = self.life.lock().unwrap().clone();
        let Some(life) = life else { return };
        match &life.works {
            Works::Engine(engine) => engine.shutdown(within).await,
            Works::Gateway(gateway) => gateway.finish(within).await,
        }
        life.disk.catch_up();
        life.alive.store(false, Ordering::SeqCst);
        self.log.note(Event::End { life: life.number, crash: false });
        self.life.lock().unwrap().take();
    }

    /// The settings of lanes are to be asked for again.
    pub fn reload(&self) {
        if let Some(life) = &*self.life.lock().unwrap()
            && let Works::Engine(engine) = &life.works
        {
            engine.reload();
        }
    }

    /// The platform hands in a message, once.
    pub fn send(&self, channel: &str, contact: &str, mid: &str, parts: u8) {
        let Some(life) = self.life.lock().unwrap().clone() else { return };
        let payload = vec![b'0' + parts].into();
        // Half of them are of a broadcast.
        let bulk = mid.bytes().last().is_some_and(|last| last % 2 == 0);
        let new = NewDelivery {
            bulk,
            ..NewDelivery::new(Lane::outbound(channel), contact, mid, EventKind::Message, payload)
        };
        let acceptance = Acceptance { at: self.wall.now(), deliveries: vec![new], ..Acceptance::default() };
        let text = vec!["nineteen characters"; parts.into()].join(" ");
        let body = json!({"contactId": contact, "message": {"type": "text", "text": text}});
        let channel = channel.to_owned();
        tokio::spawn(async move {
            match &life.works {
                Works::Engine(_) => drop(life.disk.accept(acceptance).await),
                Works::Gateway(gateway) => {
                    let token = format!("Bearer {TOKEN}");
                    let _ =
                        gateway.accept_message(Some(&channel), Some(&token), body.to_string().into()).await;
                }
            }
        });
    }

    /// A provider says something at that moment, and repeats it until it is answered.
    pub fn deliver(self: &Arc<Self>, at: Duration, mail: Mail) {
        self.mail.fetch_add(1, Ordering::SeqCst);
        let town = Arc::clone(self);
        tokio::spawn(async move {
            sleep_until(town.wall.moment(at)).await;
            while !town.takes(&mail).await {
                sleep(REPEAT).await;
            }
            town.mail.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn takes(&self, mail: &Mail) -> bool {
        let Some(life) = self.life.lock().unwrap().clone() else { return false };
        match &life.works {
            Works::Engine(_) => life.disk.accept(self.acceptance(mail.clone())).await.is_ok(),
            Works::Gateway(gateway) => {
                let (channel, request) = webhook(mail);
                let answer = gateway.accept_webhook(Called::Channel(&channel), request).await;
                matches!(answer, WebhookAnswer::Reply(reply) if reply.status < 300)
            }
        }
    }

    /// What the gateway would make of it.
    fn acceptance(&self, mail: Mail) -> Acceptance {
        let at = self.wall.now();
        let mut acceptance = Acceptance { at, ..Acceptance::default() };
        match mail {
            Mail::Message { channel, contact, mid } => acceptance.deliveries.push(NewDelivery {
                dedupe: Some(mid.to_string()),
                ..NewDelivery::new(
                    Lane::inbound(channel),
                    &contact,
                    &mid,
                    EventKind::Message,
                    b"1".as_slice().into(),
                )
            }),
            Mail::Receipt { channel, id, owner: id_owner, status, .. } => {
                acceptance.receipts.push(Receipt {
                    channel,
                    id,
                    id_owner,
                    status,
                    error: None,
                    at,
                    post: self.post,
                });
            }
        }
        acceptance
    }

    /// Passes on what providers say of their own accord, as long as the network lives.
    pub fn listen(self: &Arc<Self>, mut mail: UnboundedReceiver<(Duration, Mail)>) {
        let town = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some((at, said)) = mail.recv().await {
                let Some(town) = town.upgrade() else { return };
                town.deliver(at, said);
            }
        });
    }

    /// Waits until nothing is queued and nobody has anything to say; `false`: that takes longer than it may, or
    /// has no end.
    pub async fn rests(&self, within: Duration) -> bool {
        let deadline = self.wall.elapsed() + within;
        let mut wait = Duration::from_millis(100);
        while self.wall.elapsed() < deadline && self.log.length() < WITHOUT_END {
            sleep(wait).await;
            if self.open.lock().unwrap().is_empty() && self.mail.load(Ordering::SeqCst) == 0 {
                return true;
            }
            wait = (wait * 2).min(Duration::from_secs(5));
        }
        false
    }

    /// Everything that was ever queued, with what has become of it.
    pub async fn records(&self) -> Vec<Record> {
        let store = self.base.lock().unwrap().access().unwrap();
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map_or(0, |last| last.delivery.id);
            let filter = Filter { after: Some(after), limit: 1000, ..Filter::default() };
            let page = store.ask(false, |store| store.list(filter), |_| {}).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The run is over: nothing more is kept.
    pub fn close(&self) {
        self.base.lock().unwrap().close();
    }
}

/// The webhook that says it, and its channel.
fn webhook(mail: &Mail) -> (SmolStr, Incoming) {
    let (channel, body) = match mail {
        Mail::Message { channel, contact, mid } => {
            (channel, json!({"kind": "message", "id": mid, "from": contact, "text": "hello"}))
        }
        Mail::Receipt { channel, contact, id, owner, status } => {
            let kind = if *owner == IdOwner::Own { "own" } else { "receipt" };
            (channel, json!({"kind": kind, "id": id, "from": contact, "status": status.as_str()}))
        }
    };
    let query = format!("word={WORD}");
    let request = Incoming {
        method: "POST".into(),
        url: format!("https://gateway.test/channels/{channel}/news?{query}"),
        route: "news".into(),
        query,
        body: body.to_string().into(),
        ..Incoming::default()
    };
    (channel.clone(), request)
}

/// The name of a channel.
pub fn channel(number: usize) -> SmolStr {
    SmolStr::new(["north", "south", "west"][number])
}
