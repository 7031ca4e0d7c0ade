//! The installation that is measured, and the requests that it is sent: the shipped mappings of `WhatsApp` for webhooks
//! (1 KB, with their signature), and of `ClickSend` for messages, whose API is the sink.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::http::post;

/// Every secret of the installation.
pub const SECRET: &str = "a-secret-of-the-bench";
/// The folder of the shipped mappings.
pub const MAPPINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings");

const WEBHOOK: &str = include_str!("../webhook.json");
/// What stands in the webhook for a message's number and its contact.
const NUMBER: &str = "no.0000000001";
const CONTACT: &str = "628112345678";
/// The first channel's number, which stands there too.
const LINE: u64 = 106_540_352_242_922;

/// A folder that is removed when it is dropped, and with it the schema of the store, where that is in the database that
/// `PATCHCORD_BENCH_POSTGRES` names.
pub struct Folder(pub PathBuf, Option<Schema>);

/// Where `PATCHCORD_BENCH_POSTGRES` says that the store is.
pub fn server() -> Option<String> {
    std::env::var("PATCHCORD_BENCH_POSTGRES").ok().filter(|server| !server.is_empty())
}

struct Schema {
    server: String,
    name: String,
}

impl Schema {
    fn execute(&self, sql: &str) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&self.server, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("{sql} {}", self.name)).await.unwrap();
        });
    }
}

impl Folder {
    /// An empty one, with the store where the environment says.
    pub fn new() -> Self {
        Self::on(server())
    }

    /// An empty one, with the store on that server or else in it; in the build's own place for such things: on a disk, where
    /// `/tmp` may be memory.
    pub fn on(server: Option<String>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&path).unwrap();
        let schema = server.map(|server| {
            let schema = Schema { server, name: name.replace('-', "_") };
            schema.execute("CREATE SCHEMA");
            schema
        });
        Self(path, schema)
    }

    /// The address of the store.
    pub fn address(&self) -> String {
        match &self.1 {
            Some(Schema { server, name }) => {
                let sign = if server.contains('?') { '&' } else { '?' };
                format!("{server}{sign}options=-csearch_path%3D{name}")
            }
            None => format!("sqlite:{}", self.store().display()),
        }
    }

    /// The store in it.
    pub fn store(&self) -> PathBuf {
        self.0.join("patchcord.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(Schema { server, name }) = &self.1 {
            let name = format!("{name} CASCADE");
            Schema { server: server.clone(), name }.execute("DROP SCHEMA");
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An installation.
#[derive(Clone, Copy)]
pub struct Installation<'a> {
    /// Platform and provider.
    pub sink: SocketAddr,
    /// How fast requests to the platform may be.
    pub platform_rate: &'a str,
    /// How many channels of `WhatsApp` there are,
    pub chats: usize,
    /// and how many of the SMS provider.
    pub channels: usize,
}

impl Installation<'_> {
    /// Writes it into a folder.
    pub fn write(self, folder: &Folder) {
        let Self { sink, platform_rate, chats, channels } = self;
        let (path, store) = (folder.0.display(), folder.address());
        let mapping = format!(
            "patchcord: 1\nname: sms\nextends: clicksend\nhttp: {{base: \"http://{sink}/provider/\"}}\nlimits: {{rate: unlimited}}\n"
        );
        fs::write(folder.0.join("sms.yaml"), mapping).unwrap();
        let mut text = format!(
            "store: {store}\n\
             mappings: [{MAPPINGS}/whatsapp.yaml, {MAPPINGS}/clicksend.yaml, {path}/sms.yaml]\n\
             network: {{allow_private: true}}\n\
             platform: {{token: {{env: BENCH_SECRET}}, rate: {platform_rate}}}\n\
             deployment:\n  whatsapp: {{app_secret: {{env: BENCH_SECRET}}, verify_token: {{env: BENCH_SECRET}}, token: {{env: BENCH_SECRET}}}}\n\
             channels:\n"
        );
        text.extend((0..chats).map(|index| chat(index, sink)));
        text.extend(
            (0..channels).map(|index| channel(index, "sms", &format!("http://{sink}/platform/{index}"))),
        );
        fs::write(folder.0.join("patchcord.yaml"), text).unwrap();
    }
}

/// A channel of `WhatsApp`.
fn chat(index: usize, sink: SocketAddr) -> String {
    format!(
        "  chat{index}:\n    \
           mapping: whatsapp\n    \
           platform: {{webhook_url: \"http://{sink}/platform/{index}\", channel_id: chat{index}}}\n    \
           config: {{phone_number_id: \"{}\"}}\n",
        LINE + index as u64
    )
}

/// A channel of a mapping with the `config` of the SMS provider.
pub fn channel(index: usize, mapping: &str, webhook_url: &str) -> String {
    format!(
        "  c{index}:\n    \
           mapping: {mapping}\n    \
           platform: {{webhook_url: \"{webhook_url}\", channel_id: c{index}}}\n    \
           config: {{username: bench, api_key: {{env: BENCH_SECRET}}, sender: \"+6030{index:07}\"}}\n"
    )
}

/// A webhook of the provider for the first channel.
pub fn webhook(number: u64, contact: u64) -> Vec<u8> {
    signed(&WEBHOOK.replace(NUMBER, &marked(number)).replace(CONTACT, &phone(contact)))
}

/// A webhook for one of so many channels, which is always the same for a contact.
pub fn webhook_for(channels: u64, number: u64, contact: u64) -> Vec<u8> {
    let body = WEBHOOK.replace(NUMBER, &marked(number)).replace(CONTACT, &phone(contact));
    signed(&body.replace(&LINE.to_string(), &(LINE + contact % channels).to_string()))
}

fn signed(body: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let mut signature = String::from("x-hub-signature-256: sha256=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(signature, "{byte:02x}");
    }
    signature.push_str("\r\n");
    post("/providers/whatsapp/receive", &signature, body.as_bytes())
}

/// A message of the platform.
pub fn message(number: u64, contact: u64) -> Vec<u8> {
    let (number, contact) = (marked(number), phone(contact));
    let body = format!(
        r#"{{"channelId":"c0","contactId":"+{contact}","message":{{"type":"text","text":"Hello! Your replacement jacket leaves our shop today, the courier brings it tomorrow between 9 and 12. Your order is {number}"}}}}"#
    );
    post("/channels/c0/message", &format!("authorization: Bearer {SECRET}\r\n"), body.as_bytes())
}

/// A receipt of the provider for a message that it took.
pub fn receipt(number: u64) -> Vec<u8> {
    let body = format!(r#"{{"message_id":"p-{number}","status_code":"201","timestamp":"1700000000"}}"#);
    post("/channels/c0/status", "", body.as_bytes())
}

/// A message's number as the sink finds it.
pub fn marked(number: u64) -> String {
    format!("no.{number:010}")
}

fn phone(contact: u64) -> String {
    format!("62811{contact:07}")
}
