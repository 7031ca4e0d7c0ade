//! Changing what is in the store: by the gateway that has it, or, where none has, by this process.

use std::path::Path;
use std::time::Duration;

use smol_str::SmolStr;

use super::read;
use crate::call::{self, Departure, HttpTransport, NetworkPolicy, Outgoing, Payload, Shown};
use crate::cli::Trouble;
use crate::gateway::{Changed, Desk, StartError, Which};
use crate::load::{AdminSettings, Settings, read_admin, read_installation};
use crate::store::{self, Filter, ParkedFilter, StoreError};
use crate::world::World;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What is to be done.
#[derive(Debug)]
pub(super) enum Order {
    Retry(Which<Filter>),
    Drop(Which<Filter>),
    Replay(Which<ParkedFilter>),
    DropParked(Which<ParkedFilter>),
}

impl Order {
    /// What has been done then.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Retry(_) => "queued again",
            Self::Drop(_) | Self::DropParked(_) => "dropped",
            Self::Replay(_) => "replayed",
        }
    }

    fn path(&self) -> &'static str {
        match self {
            Self::Retry(_) => "/messages/retry",
            Self::Drop(_) => "/messages/drop",
            Self::Replay(_) => "/parked/replay",
            Self::DropParked(_) => "/parked/drop",
        }
    }

    fn body(&self) -> Vec<u8> {
        let body = match self {
            Self::Retry(which) | Self::Drop(which) => serde_json::to_vec(which),
            Self::Replay(which) | Self::DropParked(which) => serde_json::to_vec(which),
        };
        // It holds texts and numbers only, none of which can fail to become JSON.
        body.unwrap_or_default()
    }

    async fn at(&self, desk: &Desk) -> Result<Changed, StoreError> {
        match self {
            Self::Retry(which) => desk.retry(which.clone()).await,
            Self::Drop(which) => desk.drop_lost(which.clone()).await,
            Self::Replay(which) => desk.replay(which.clone()).await,
            Self::DropParked(which) => desk.drop_parked(which.clone()).await,
        }
    }
}

/// Where it is to be done.
pub(super) struct Target<'a> {
    /// The installation's file.
    pub(super) config: &'a Path,
    /// The store, if it is not the installation's.
    pub(super) store: Option<&'a str>,
    /// The installation without its secrets.
    pub(super) settings: Settings,
}

/// Does it. The lock of the store tells who is to: the one who has it.
pub(super) async fn carry_out(target: Target<'_>, order: &Order) -> Result<Changed, Trouble> {
    let Target { config, store, settings } = target;
    // A mistyped path is no reason for a new, empty store.
    if let Err(error @ StoreError::Open { .. }) = store::open_records(&settings.store) {
        return Err(error.into());
    }
    let desk = match Desk::open(settings, World::system()) {
        Ok(desk) => desk,
        Err(StartError::Store(StoreError::InUse(_))) if store.is_none() => {
            return by_gateway(config, order).await;
        }
        Err(error) => return Err(Trouble(error.to_string())),
    };
    if !matches!(order, Order::Replay(_)) {
        return finish(&desk, order).await;
    }
    // A mapping may need the channel's secrets.
    desk.close().await?;
    drop(desk);
    let mut settings = read(config, |path| read_installation(path, None))?;
    if let Some(store) = store {
        store.clone_into(&mut settings.store);
    }
    let desk = Desk::open(settings, World::system()).map_err(|error| Trouble(error.to_string()))?;
    finish(&desk, order).await
}

async fn finish(desk: &Desk, order: &Order) -> Result<Changed, Trouble> {
    let changed = order.at(desk).await;
    desk.close().await?;
    Ok(changed?)
}

async fn by_gateway(config: &Path, order: &Order) -> Result<Changed, Trouble> {
    let Some(admin) = read(config, read_admin)?.admin else {
        return Err(Trouble(format!(
            "a running gateway has the store, and takes no orders: give it an `admin: {{listen: 127.0.0.1:8081}}` in {} \
             and restart it, or stop it",
            config.display()
        )));
    };
    let trouble = |problem: String| {
        Trouble(format!("the running gateway was asked at {} (`admin`): {problem}", admin.listen))
    };
    let transport = HttpTransport::new(NetworkPolicy { allow_private: true });
    let transport = transport.map_err(|error| trouble(error.to_string()))?;
    let request = request(&admin, order).map_err(|error| trouble(error.to_string()))?;
    let answer = call::send(&transport, &request).await.map_err(|error| trouble(error.to_string()))?;
    if answer.status != 200 {
        return Err(trouble(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))));
    }
    serde_json::from_slice(&answer.body).map_err(|error| trouble(error.to_string()))
}

fn request(admin: &AdminSettings, order: &Order) -> Result<Outgoing, url::ParseError> {
    // Who listens everywhere is asked here.
    let here = admin.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    let mut headers = vec![(SmolStr::new_static("content-type"), "application/json".to_owned())];
    if let Some(token) = &admin.token {
        headers.push((SmolStr::new_static("authorization"), token.bearer()));
    }
    Ok(Outgoing {
        method: SmolStr::new_static("POST"),
        urls: vec![format!("http://{here}{}", order.path()).parse()?],
        headers,
        body: Payload::Bytes(order.body().into()),
        shown: Shown::Nothing,
        timeout: PATIENCE,
        departure: Departure::default(),
    })
}
