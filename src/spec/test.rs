//! What `NAME.test.yaml` says.

use super::read::{Count, Duration, Flag, Map, Raw, record};
use crate::yaml::Text;

record! {
    /// The tests of one mapping.
    "a test file" MappingTests {
        /// The mapping's name.
        mapping: Text,
        /// The channel that the tests run in.
        channel: Option<TestChannel>,
        /// The tests.
        tests: Vec<TestCase>,
    }

    /// A stand-in for a channel; what is left out gets a sensible value.
    "`channel`" TestChannel {
        /// Its name; `test` unless given.
        name: Option<Text>,
        /// The platform's id of it.
        channel_id: Option<Text>,
        /// Its address at the provider; the `config` item with `address: true` unless given.
        address: Option<Text>,
        /// ISO 3166-1 alpha-2.
        country: Option<Text>,
        /// Where the gateway is reached.
        public_url: Option<Text>,
        /// What the mapping's `config` asks for.
        config: Map<Raw>,
        /// What the mapping's `deployment` asks for.
        deployment: Map<Raw>,
    }

    /// One test: exactly one of `receive`, `send` and `run`.
    "a test" TestCase {
        /// What it shows.
        name: Text,
        /// The variant that it is about; the file's own mapping unless given.
        mapping: Option<Text>,
        /// Differences from the file's `channel`.
        channel: Option<TestChannel>,
        /// What the store holds: `contact` and `channel` with what is remembered by name, and `sent`, a list of
        /// `{id, mid, at}`: messages of ours with the provider's id, our id and the time in milliseconds.
        store: Option<Raw>,
        /// Webhooks that arrive before, over the same store.
        before: Vec<Receive>,
        /// Messages that leave before, behind those webhooks, over the same store; the values of calls are kept.
        sent_before: Vec<SendCase>,
        /// How long after all that it happens; at the same moment unless given.
        after: Option<Duration>,
        /// A webhook that arrives.
        receive: Option<Receive>,
        /// A message that leaves.
        send: Option<SendCase>,
        /// What the gateway does of its own accord.
        run: Option<RunCase>,
        /// What the provider answers, in order or by URL.
        provider: Vec<Answer>,
        /// What must come of it; only what is named is compared.
        expect: Expect,
    }

    /// A webhook that arrives.
    "`receive`" Receive {
        /// Method and route, as in the mapping, with path parameters filled in.
        route: Text,
        /// Headers.
        headers: Map<Raw>,
        /// Query parameters; a list repeats the name.
        query: Map<Raw>,
        /// The body as JSON.
        json: Option<Raw>,
        /// The body as a form.
        form: Option<Map<Raw>>,
        /// The body as XML: a map whose only member is the root element.
        xml: Option<Raw>,
        /// The body as multipart: texts, and files as `{name, type, content}` or with `content_base64`; a list
        /// repeats the name.
        multipart: Option<Map<Raw>>,
        /// The body, to the letter.
        body: Option<Text>,
        /// The body, to the byte.
        body_base64: Option<Text>,
        /// The address that it comes from.
        ip: Option<Text>,
        /// Whether to add what the mapping's `verify` asks for.
        sign: Option<Flag>,
    }

    /// A message that leaves: as the platform posts it (`message`), or in the canonical form.
    "`send`" SendCase {
        /// The contact.
        contact_id: Text,
        /// Our id of it; `m-1` unless given.
        id: Option<Text>,
        /// The platform's message object.
        message: Option<Raw>,
        /// Canonical: the text.
        text: Option<Raw>,
        /// Canonical: the attachments.
        attachments: Option<Raw>,
        /// Canonical: the location.
        location: Option<Raw>,
        /// Canonical: the quick replies.
        quick_replies: Option<Raw>,
        /// Canonical: the contact's language.
        locale: Option<Text>,
    }

    /// What the gateway does of its own accord: exactly one of `lifecycle`, `action`, `poll` and `lookup_contact`.
    "`run`" RunCase {
        /// `on_connect`, `on_disconnect` or `probe`.
        lifecycle: Option<Text>,
        /// An action of the mapping.
        action: Option<Text>,
        /// For an action: the contact.
        contact_id: Option<Text>,
        /// A poll of the mapping: all of its pages.
        poll: Option<Text>,
        /// For a poll: what the rule that asks for it gives.
        with: Map<Raw>,
        /// For a poll: where the last page left off; nowhere yet unless given.
        cursor: Option<Raw>,
        /// The id of a contact whose name is looked up.
        lookup_contact: Option<Text>,
    }

    /// One scripted answer of the provider.
    "an answer" Answer {
        /// Only to this method.
        method: Option<Text>,
        /// Only to this URL, exactly or with `*`.
        url: Option<Text>,
        /// The HTTP status; 200 unless given.
        status: Option<Count>,
        /// Headers.
        headers: Map<Raw>,
        /// The body as JSON.
        json: Option<Raw>,
        /// The body as text.
        body: Option<Text>,
        /// How often it is given; once unless given.
        times: Option<Count>,
        /// Whether there is no answer at all.
        timeout: Option<Flag>,
    }

    /// What must come of a test; only what is named is compared.
    "`expect`" Expect {
        /// `accepted`, `ignored`, `rejected` or `replied`.
        verdict: Option<Raw>,
        /// The answer to the webhook: `status`, `body`, `json`, `headers`.
        reply: Option<Raw>,
        /// The canonical events: `type`, `id`, `timestamp`, `contact`, `text`, `attachments`, `location`, `status`,
        /// `error`. The number must match.
        events: Option<Raw>,
        /// The polls that a webhook asks for, as `{poll, with}`; the number must match.
        polls: Option<Raw>,
        /// What a `run` came to: what a look-up found, or what the last exchange returned.
        value: Option<Raw>,
        /// Where the next poll begins.
        cursor: Option<Raw>,
        /// The requests to the provider: `method`, `url` (without the query), `query`, `headers`, `body`, and `json`,
        /// `form`, `multipart` or `file` as the mapping writes it. The number must match.
        requests: Option<Raw>,
        /// The requests with which the files of the events are fetched, as the platform would have it; the number must
        /// match.
        downloads: Option<Raw>,
        /// `sent`, `failed`, `retry`, `throttled` or `opt_out`.
        outcome: Option<Raw>,
        /// The provider's ids.
        ids: Option<Raw>,
        /// `code` and `message` of the failure.
        error: Option<Raw>,
        /// Seconds to wait.
        retry_after: Option<Raw>,
        /// The requests of calls that the events of a webhook need; the number must match.
        calls: Option<Raw>,
        /// What is remembered, by `contact.NAME` or `channel.NAME`; null is forgotten.
        remembered: Option<Raw>,
        /// The bodies posted to the platform; the number must match.
        platform: Option<Raw>,
        /// Whether everything is compared as a whole, not only what is named.
        exact: Option<Flag>,
    }
}
