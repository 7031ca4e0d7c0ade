//! One gateway with four channels: two SMS providers, a shared route for many numbers, a bot. The mappings are the
//! shipped ones; only the host of the provider's API is another.

use serde_json::{Value, json};

use crate::support::http::{self, Answer};
use crate::support::{Folder, Gateway, Platform, Provider, hmac_sha1_base64, hmac_sha256_hex};

/// The URL under which providers are told to call.
const PUBLIC_URL: &str = "https://gateway.example.com";
const SECRETS: &[(&str, &str)] = &[
    ("CLICKSEND_TOKEN", "platform-clicksend"),
    ("CLICKSEND_KEY", "clicksend-key"),
    ("CLICKSEND_WORD", "3b5d5c3712955042"),
    ("TWILIO_TOKEN", "platform-twilio"),
    ("TWILIO_AUTH", "12345"),
    ("WHATSAPP_TOKEN", "platform-whatsapp"),
    ("META_SECRET", "meta-app-secret"),
    ("META_VERIFY", "meta-verify-token"),
    ("META_TOKEN", "meta-access-token"),
    ("TELEGRAM_TOKEN", "platform-telegram"),
    ("BOT_TOKEN", "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11"),
    ("BOT_SECRET", "bot_secret-1"),
];

/// The provider's mapping, the host of its API in it, and the path under which the fake provider plays it.
const APIS: &[(&str, &str)] = &[
    ("clicksend", "https://rest.clicksend.com"),
    ("twilio", "https://api.twilio.com"),
    ("whatsapp", "https://graph.facebook.com"),
    ("telegram", "https://api.telegram.org"),
];

/// The four channels and their surroundings.
pub struct Four {
    pub gateway: Gateway,
    pub provider: Provider,
    pub platform: Platform,
    _folder: Folder,
}

impl Four {
    /// Starts three processes.
    pub fn start() -> Self {
        let folder = Folder::new();
        let channels = [
            "ch-clicksend:platform-clicksend",
            "ch-twilio:platform-twilio",
            "ch-whatsapp:platform-whatsapp",
            "ch-telegram:platform-telegram:custom",
        ];
        let platform = Platform::start(&channels, 20, &folder);
        let mut gateway = Gateway::new(&folder);
        let provider = Provider::start(&format!("{}/unused", gateway.url), &folder);
        for (name, host) in APIS {
            let shipped = format!("{}/mappings/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            let mapping = std::fs::read_to_string(shipped).unwrap();
            assert!(mapping.contains(host), "{name}");
            let mapping = mapping.replace(host, &format!("{}/{name}", provider.url));
            folder.write(&format!("mappings/{name}.yaml"), mapping);
        }
        let webhook_url = platform.webhook_url();
        gateway.configure(
            &format!(
                r#"
public_url: {PUBLIC_URL}
store: sqlite:data/patchcord.db
network: {{allow_private: true}}
server: {{max_body: 65536}}
platform: {{webhook_url: "{webhook_url}"}}
deployment:
  whatsapp: {{app_secret: {{env: META_SECRET}}, verify_token: {{env: META_VERIFY}}, token: {{env: META_TOKEN}}}}
channels:
  clicksend:
    mapping: clicksend
    platform: {{channel_id: ch-clicksend, token: {{env: CLICKSEND_TOKEN}}}}
    config: {{username: ada, api_key: {{env: CLICKSEND_KEY}}, sender: "+61422222222", webhook_key: {{env: CLICKSEND_WORD}}}}
  twilio:
    mapping: twilio
    platform: {{channel_id: ch-twilio, token: {{env: TWILIO_TOKEN}}}}
    config: {{account_sid: ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX, auth_token: {{env: TWILIO_AUTH}}, sender: "+15558675310"}}
  whatsapp:
    mapping: whatsapp
    platform: {{channel_id: ch-whatsapp, token: {{env: WHATSAPP_TOKEN}}}}
    config: {{phone_number_id: "106540352242922"}}
  telegram:
    mapping: telegram
    platform: {{channel_id: ch-telegram, token: {{env: TELEGRAM_TOKEN}}}}
    config: {{token: {{env: BOT_TOKEN}}, webhook_secret: {{env: BOT_SECRET}}}}
"#
            ),
            SECRETS,
        );
        gateway.start();
        provider.script(&json!([
            {"url": "/clicksend/*", "times": 100, "json": {"http_code": 200, "response_code": "SUCCESS",
                "data": {"messages": [{"message_id": "CS-{{n}}", "status": "SUCCESS"}]}}},
            {"url": "/twilio/*", "times": 100, "status": 201, "json": {"sid": "SM-{{n}}", "status": "queued"}},
            {"url": "/whatsapp/*", "times": 100, "json": {"messaging_product": "whatsapp",
                "messages": [{"id": "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA-{{n}}"}]}},
            {"url": "/telegram/*", "times": 100, "json": {"ok": true,
                "result": {"message_id": 2001, "chat": {"id": 1_111_111, "type": "private"}}}},
        ]));
        Self { gateway, provider, platform, _folder: folder }
    }

    /// Posts what a provider posts.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http::post(&format!("{}{path}", self.gateway.url), headers, body)
    }

    /// A form as Twilio posts it, signed with this token.
    pub fn twilio(&self, route: &str, token: &str, fields: &[(&str, &str)]) -> Answer {
        let mut sorted = fields.to_vec();
        sorted.sort_unstable();
        let signed = sorted
            .iter()
            .fold(format!("{PUBLIC_URL}/channels/twilio/{route}"), |text, (name, value)| text + name + value);
        let signature = hmac_sha1_base64(token, signed.as_bytes());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", &*signature)];
        self.post(&format!("/channels/twilio/{route}"), &headers, &body)
    }

    /// A change as Meta posts it to the URL of all numbers, signed with this secret.
    pub fn meta(&self, secret: &str, value: &Value) -> Answer {
        let mut value = value.clone();
        value["messaging_product"] = json!("whatsapp");
        value["metadata"] =
            json!({"display_phone_number": "15550783881", "phone_number_id": "106540352242922"});
        let body = json!({"object": "whatsapp_business_account",
            "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}]})
        .to_string();
        let signature = format!("sha256={}", hmac_sha256_hex(secret, body.as_bytes()));
        let headers = [("content-type", "application/json"), ("x-hub-signature-256", &*signature)];
        self.post("/providers/whatsapp/receive", &headers, &body)
    }

    /// An update as Telegram posts it.
    pub fn telegram(&self, secret: &str, text: &str) -> Answer {
        let person = json!({"id": 1_111_111, "is_bot": false, "first_name": "Ada", "last_name": "Lovelace",
            "username": "ada", "language_code": "pt-br"});
        let chat = json!({"id": 1_111_111, "first_name": "Ada", "username": "ada", "type": "private"});
        let update = json!({"update_id": 10_000, "message": {"message_id": 1365, "from": person, "chat": chat,
            "date": 1_441_645_532, "text": text}});
        let headers = [("content-type", "application/json"), ("x-telegram-bot-api-secret-token", secret)];
        self.post("/channels/telegram/receive", &headers, &update.to_string())
    }

    /// A text message as the first SMS provider posts it.
    pub fn clicksend(&self, query: &str, text: &str) -> Answer {
        let body = json!({"originalsenderid": "+61477485926", "body": text, "message": text,
            "sms": "+61429912603", "from": "+61429912603", "to": "+61477485926", "timestamp": 1_775_012_927,
            "message_id": "1F12D781-99C1-6D94-96FE-F5A311C8997D", "custom_string": "", "user_id": 304_497});
        let json = [("content-type", "application/json")];
        self.post(&format!("/channels/clicksend/receive{query}"), &json, &body.to_string())
    }

    /// What the platform got that holds this text: the JSON of the request.
    pub fn at_platform(&self, text: &str) -> Value {
        let request = self.platform.first(text);
        assert_eq!(request["status"], 200, "the platform refused {request}");
        request["json"].clone()
    }

    /// Hands a message to a channel of that name; gives its `mId`.
    pub fn send(&self, channel: &str, contact: &str, text: &str) -> String {
        self.platform.send(&self.gateway.base_url(channel), &format!("platform-{channel}"), contact, text)
    }
}
