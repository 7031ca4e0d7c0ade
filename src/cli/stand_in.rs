//! `stand-in`: one of the sandbox's stand-ins as a process of its own, for end-to-end tests.

use std::collections::BTreeMap;

use tokio::net::TcpListener;

use super::{Trouble, Verdict, print};
use crate::sandbox::{platform, provider};

/// Arguments of `stand-in`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, clap::Subcommand)]
enum Which {
    /// An IS-Messenger that enforces its documented contract
    Platform {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:8091")]
        listen: String,
        /// A channel: `ID:TOKEN` or `ID:TOKEN:custom`; may be given more than once
        #[arg(long = "channel", value_name = "ID:TOKEN", default_value = "sandbox:sandbox-token")]
        channels: Vec<String>,
        /// Requests in any sliding second that each channel takes; 0 lifts the limit
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// A provider that takes any request, and answers from a script
    Provider {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:8092")]
        listen: String,
        /// The gateway's URL for its webhooks
        #[arg(long, value_name = "URL")]
        webhook: Option<String>,
        /// What it signs its webhooks with
        #[arg(long, default_value = "sandbox-secret")]
        secret: String,
    },
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            served = serve(&args.which) => served,
            () = super::serve::stopped() => Ok(()),
        }
    })?;
    Ok(Verdict::Good)
}

async fn serve(which: &Which) -> Result<(), Trouble> {
    match which {
        Which::Platform { listen, channels, limit } => {
            let limit = (*limit > 0).then_some(*limit);
            let channels =
                channels.iter().map(|text| channel(text, limit)).collect::<Result<BTreeMap<_, _>, _>>()?;
            let listener = bind(listen).await?;
            platform::serve(listener, platform::Options { channels, ..Default::default() }).await?;
        }
        Which::Provider { listen, webhook, secret } => {
            let listener = bind(listen).await?;
            let options = provider::Options {
                webhook_url: webhook.clone(),
                secret: secret.clone(),
                ..Default::default()
            };
            provider::serve(listener, options).await?;
        }
    }
    Ok(())
}

fn channel(text: &str, limit: Option<u32>) -> Result<(String, platform::Channel), Trouble> {
    let mut pieces = text.splitn(3, ':');
    let (Some(id), Some(token)) = (pieces.next(), pieces.next()) else {
        return Err(Trouble(format!("`{text}` is not ID:TOKEN")));
    };
    let id_type = match pieces.next() {
        None | Some("phone") => platform::IdType::Phone,
        Some("custom") => platform::IdType::Custom,
        Some(other) => {
            return Err(Trouble(format!("`{other}` is not an ID type; there are phone and custom")));
        }
    };
    Ok((id.into(), platform::Channel { token: token.into(), id_type, limit, ..Default::default() }))
}

async fn bind(listen: &str) -> Result<TcpListener, Trouble> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Trouble(format!("can't listen on {listen}: {error}")))?;
    print(&format!("listening on http://{}", listener.local_addr()?));
    Ok(listener)
}
