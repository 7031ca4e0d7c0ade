//! `serve`: the gateway.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{Trouble, Verdict};
use crate::diagnostic::text;
use crate::gateway::Gateway;
use crate::load::{Settings, read_installation};
use crate::server::{self, AdminDoor};
use crate::world::World;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The installation
    #[arg(long, short, default_value = "patchcord.yaml", env = "PATCHCORD_CONFIG")]
    config: PathBuf,
    /// Where to listen, instead of the installation's `listen`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    #[command(flatten)]
    logs: super::logs::LogArgs,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    super::logs::start(&args.logs);
    let (mut library, settings) = read_installation(&args.config, args.listen.as_deref());
    library.problems.sort();
    if !library.problems.is_empty() {
        anstream::eprintln!("{}", text(&library.problems, &library.sources, true));
    }
    let Some(settings) = settings else {
        return Err(Trouble(format!("{} has errors", args.config.display())));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<Verdict, Trouble> {
    let mut limits = settings.server.clone();
    limits.connections = super::open_files::connections(limits.connections);
    let listener = TcpListener::bind(&settings.listen)
        .await
        .map_err(|error| Trouble(format!("can't listen on {}: {error}", settings.listen)))?;
    let address = listener.local_addr()?;
    let admin = match &settings.admin {
        None => None,
        Some(admin) => {
            let listener = TcpListener::bind(&admin.listen)
                .await
                .map_err(|error| Trouble(format!("can't listen on {} (`admin`): {error}", admin.listen)))?;
            Some(AdminDoor { listener, token: admin.token.clone() })
        }
    };
    let (channels, public_url) = (settings.channels.len(), settings.public_url.clone());
    let seat = super::seat::seat(address);
    let gateway =
        Gateway::start(settings, World::system(), seat).map_err(|error| Trouble(error.to_string()))?;
    let gateway = Arc::new(gateway);
    tracing::info!(%address, public_url, channels, "serving");
    let stopped = async {
        stopped().await;
        tracing::info!("shutting down");
    };
    server::serve(listener, admin, gateway.clone(), limits, stopped).await;
    gateway.close().await;
    Ok(Verdict::Good)
}

/// SIGTERM or SIGINT.
pub(super) async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                tokio::select! {
                    _ = interrupted => {}
                    _ = terminated.recv() => {}
                }
            }
            Err(_) => drop(interrupted.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
}
