//! A gateway with one channel of the sandbox's own mapping, between a fake provider and a fake IS-Messenger.

use super::{Folder, Gateway, Platform, Provider};

/// The channel.
pub const CHANNEL: &str = "support";
/// Its API token.
pub const TOKEN: &str = "support-token";
const SECRET: &str = "sandbox-secret";

/// How a [`Town`] is set up.
#[derive(Clone)]
pub struct Setup {
    /// `limits` of the channel.
    pub limits: &'static str,
    /// `retry` of the channel.
    pub retry: &'static str,
    /// The rate towards the platform.
    pub platform_rate: &'static str,
    /// How many events go to the platform in one request.
    pub platform_batch: usize,
    /// What the platform enforces; 0 is nothing.
    pub platform_limit: u32,
    /// How long a shutdown waits.
    pub drain: &'static str,
    /// How long settled messages are kept.
    pub keep: &'static str,
    /// More lines of `server`, each with a comma at its end.
    pub server: &'static str,
    /// The mapping, other than the stand-in's own; it has the same `config`.
    pub mapping: Option<&'static str>,
    /// Where the store is, other than in the test's own folder.
    pub store: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: "{}",
            retry: "{first: 100ms, max: 1s}",
            platform_rate: "20/s",
            platform_batch: 1,
            platform_limit: 20,
            drain: "10s",
            keep: "7d",
            server: "",
            mapping: None,
            store: None,
        }
    }
}

/// Three processes.
pub struct Town {
    /// The gateway.
    pub gateway: Gateway,
    /// The fake provider.
    pub provider: Provider,
    /// The fake IS-Messenger.
    pub platform: Platform,
    /// Where their files are; the last to go.
    pub folder: Folder,
}

impl Setup {
    /// Starts all three.
    pub fn start(self) -> Town {
        let mut town = self.prepare();
        town.gateway.start();
        town
    }

    /// Starts all but the gateway.
    pub fn prepare(self) -> Town {
        let folder = Folder::new();
        let mut gateway = Gateway::new(&folder);
        let platform = Platform::start(&[&format!("ch-1:{TOKEN}")], self.platform_limit, &folder);
        let provider = Provider::start(&format!("{}/events", gateway.base_url(CHANNEL)), &folder);
        let Setup { limits, retry, platform_rate, drain, keep, server, mapping, store, .. } = self;
        let batch = self.platform_batch;
        let store = store.unwrap_or_else(|| "sqlite:patchcord.db".into());
        let file = mapping
            .map_or_else(|| "src/sandbox/stand_in.yaml".into(), |name| format!("tests/it/{name}.yaml"));
        let file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let mapping = mapping.unwrap_or("stand_in");
        let installation = format!(
            "store: {store}\n\
             mappings: [{file}]\n\
             network: {{allow_private: true}}\n\
             server: {{{server} drain: {drain}}}\n\
             keep: {keep}\n\
             channels:\n  \
               {CHANNEL}:\n    \
                 mapping: {mapping}\n    \
                 platform: {{webhook_url: \"{}\", channel_id: ch-1, token: {{env: TOKEN}}, rate: {platform_rate}, batch: {batch}}}\n    \
                 config: {{url: \"{}\", token: {{env: KEY}}, secret: {{env: SECRET}}, sender: \"+60300000000\"}}\n    \
                 limits: {limits}\n    \
                 retry: {retry}\n",
            platform.webhook_url(),
            provider.url,
        );
        gateway.configure(&installation, &[("TOKEN", TOKEN), ("KEY", "sandbox-key"), ("SECRET", SECRET)]);
        Town { gateway, provider, platform, folder }
    }
}

impl Town {
    /// The API Base URL of the channel.
    pub fn base_url(&self) -> String {
        self.gateway.base_url(CHANNEL)
    }

    /// The platform sends a text; gives its `mId`.
    pub fn send(&self, contact: &str, text: &str) -> String {
        self.platform.send(&self.base_url(), TOKEN, contact, text)
    }

    /// The provider sends a webhook that is signed by `openssl`; gives the status of the answer.
    pub fn webhook(&self, body: &serde_json::Value) -> u16 {
        let body = body.to_string();
        let signature = format!("sha256={}", super::hmac_sha256_hex(SECRET, body.as_bytes()));
        let headers = [("content-type", "application/json"), ("x-sandbox-signature", signature.as_str())];
        super::http::post(&format!("{}/events", self.base_url()), &headers, body).status
    }
}
