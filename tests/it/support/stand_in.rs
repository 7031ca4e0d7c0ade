//! The fake provider and the fake IS-Messenger, driven by their control API.

use serde_json::{Value, json};

use super::{Folder, Process, http, patchcord, until};

/// What both have in common.
pub struct StandIn {
    _process: Process,
    /// Where it listens, without a slash at its end.
    pub url: String,
}

impl StandIn {
    fn start(which: &str, arguments: &[String], folder: &Folder) -> Self {
        let mut command = patchcord();
        command.args(["stand-in", which, "--listen", "127.0.0.1:0"]).args(arguments);
        let process = Process::start(&mut command, &folder.path(&format!("{which}.log")));
        let url = until("the stand-in listens", 20, || {
            Some(process.printed().lines().next()?.strip_prefix("listening on ")?.to_owned())
        });
        Self { _process: process, url }
    }

    /// Everything that it counted.
    pub fn stats(&self) -> Value {
        self.get("stats")
    }

    /// One count, as in `/order/texts`.
    pub fn count(&self, pointer: &str) -> u64 {
        let stats = self.stats();
        stats
            .pointer(pointer)
            .map_or(0, |value| value.as_u64().unwrap_or_else(|| panic!("{pointer}: {value}")))
    }

    /// One measurement, as in `/per_second`.
    pub fn measure(&self, pointer: &str) -> f64 {
        let stats = self.stats();
        stats.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {stats}"))
    }

    /// The requests that hold this text, oldest first.
    pub fn received(&self, text: &str) -> Vec<Value> {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        self.get(&format!("received?contains={text}"))["received"].as_array().unwrap().clone()
    }

    /// The first request that holds this text, as soon as it is there.
    pub fn first(&self, text: &str) -> Value {
        until(&format!("`{text}` arrives"), 20, || self.received(text).into_iter().next())
    }

    /// Prescribes answers.
    pub fn script(&self, script: &Value) {
        let answer = self.post("script", script);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Calls the control API.
    pub fn post(&self, path: &str, body: &Value) -> http::Answer {
        http::post_json(&format!("{}/_stand-in/{path}", self.url), &[], body)
    }

    fn get(&self, path: &str) -> Value {
        http::get(&format!("{}/_stand-in/{path}", self.url)).json()
    }
}

/// A fake IS-Messenger.
pub struct Platform(StandIn);

impl std::ops::Deref for Platform {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.0
    }
}

impl Platform {
    /// Starts one with these channels (`ID:TOKEN` or `ID:TOKEN:custom`); a limit of 0 is none.
    pub fn start(channels: &[&str], limit: u32, folder: &Folder) -> Self {
        let mut arguments = vec!["--limit".to_owned(), limit.to_string()];
        arguments.extend(channels.iter().flat_map(|channel| ["--channel".to_owned(), (*channel).to_owned()]));
        Self(StandIn::start("platform", &arguments, folder))
    }

    /// The URL of its webhook.
    pub fn webhook_url(&self) -> String {
        format!("{}/custom/channel/webhook/", self.url)
    }

    /// Hands a message to the gateway; what the gateway answered comes back with its `mId` or `error`.
    pub fn hand(&self, base_url: &str, token: &str, contact: &str, message: &Value) -> Value {
        let body = json!({"base_url": base_url, "token": token, "contact_id": contact, "message": message});
        self.post("send", &body).json()
    }

    /// Hands over a text; gives its `mId`.
    pub fn send(&self, base_url: &str, token: &str, contact: &str, text: &str) -> String {
        let answer = self.hand(base_url, token, contact, &json!({"type": "text", "text": text}));
        answer["mId"].as_str().unwrap_or_else(|| panic!("{text}: {answer}")).to_owned()
    }

    /// The status values that came back for a message, in order.
    pub fn statuses(&self, mid: &str) -> Vec<String> {
        let sent = self.sent(mid);
        let values = sent["statuses"].as_array().into_iter().flatten();
        values.map(|status| status["value"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the message got to this status; gives the reason, if there is one.
    pub fn status(&self, mid: &str, value: &str) -> String {
        until(&format!("the status {value} of {mid}"), 20, || {
            let sent = self.sent(mid);
            let status = sent["statuses"].as_array()?.iter().find(|status| status["value"] == value)?;
            Some(status["reason"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// All messages that were handed over.
    pub fn all_sent(&self) -> Vec<Value> {
        self.get("sent?limit=200000")["sent"].as_array().unwrap().clone()
    }

    fn sent(&self, mid: &str) -> Value {
        self.get(&format!("sent?mId={mid}"))
    }
}

/// A fake provider.
pub struct Provider(StandIn);

impl std::ops::Deref for Provider {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.0
    }
}

impl Provider {
    /// Starts one that sends its own webhooks to this URL.
    pub fn start(webhook: &str, folder: &Folder) -> Self {
        Self(StandIn::start("provider", &["--webhook".to_owned(), webhook.to_owned()], folder))
    }

    /// A contact writes; gives the id of the message.
    pub fn say(&self, contact: &str, text: &str) -> String {
        let answer = self.post("deliver", &json!({"from": contact, "text": text})).json();
        answer["id"].as_str().unwrap_or_else(|| panic!("{text}: {answer}")).to_owned()
    }
}
