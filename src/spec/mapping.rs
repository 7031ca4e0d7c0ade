//! What a mapping file says.

use super::fetch::Fetch;
use super::life::{Errands, Lifecycle, Poll};
use super::read::{Count, Decoding, Docs, Duration, Flag, Map, Rate, Raw, Size, choice, record};
use super::request::{AuthChoice, Request, Sign};
use crate::plan::{
    Algorithm, AttachmentMode, Carrier, Cipher, ConfigType, ContactIdKind, Decode, Emit, Encoding, InDoubt,
    JwtAlgorithm, Meaning, MediaKind, Mode, Order, Overflow, ResetUnit, Unit,
};
use crate::yaml::Text;

record! {
    /// One provider: its webhooks, how a message is sent to it, its limits.
    "a mapping" Mapping {
        /// The version of the format: 1.
        patchcord: Count,
        /// The mapping's name; the file is called `NAME.yaml`.
        name: Text,
        /// The mapping that this one is made of: maps are merged with its maps, `~` removes a member; lists, values with operators and `auth` stand for themselves.
        extends: Option<Text>,
        /// More mappings that are made of this one, by name: what each says differently.
        variants: Map<Raw>,
        /// What people call it.
        title: Option<Text>,
        /// The provider's documentation that it was written from: one URL or several.
        docs: Option<Docs>,
        /// The ID type that the IS-Messenger channel must have.
        contact_id: ContactIdKind,
        /// What each channel supplies.
        config: Map<ConfigItem>,
        /// What the installation supplies for all channels: the secrets of the gateway itself.
        deployment: Map<ConfigItem>,
        /// Constants, read by their bare name (`{{product}}`) everywhere: for those that extend this mapping to set
        /// differently.
        set: Map<Raw>,
        /// Defaults for every request.
        http: Option<Http>,
        /// Look-up tables, by name: `key: value`, where a key may be `a|b`, `10..12`, `21..` or `$default`.
        tables: Map<Map<Raw>>,
        /// Proofs that every webhook must bring.
        verify: Vec<Verify>,
        /// Exchanges that values ask for by name: `{$call: NAME, ...}`.
        calls: Map<Call>,
        /// What the provider calls.
        webhooks: Vec<Webhook>,
        /// How a message is sent.
        send: Option<Send>,
        /// How files of the provider are downloaded that want credentials.
        fetch: Option<Fetch>,
        /// What the life of a channel needs at the provider.
        lifecycle: Option<Lifecycle>,
        /// What the platform may ask for beside messages, by name: `POST {channel}/actions/NAME` with `{"contactId"}`, such
        /// as a typing indicator. One exchange or a list of them.
        actions: Map<Errands>,
        /// How news is fetched, by name.
        poll: Map<Poll>,
        /// What is known of a contact who wrote without a name: `{name, first_name, last_name, avatar, email, ..}`,
        /// usually a `$call`. It is looked up when the message is delivered, fills what the webhook does not say, and is
        /// good for 7 days; `{value, ttl}` says how long.
        lookup_contact: Option<Raw>,
        /// How fast.
        limits: Option<Limits>,
        /// What happens when it fails.
        retry: Option<Retry>,
    }

    /// One thing that a channel or the installation supplies.
    "a declaration" ConfigItem {
        /// Whether it must be supplied.
        required: Option<Flag>,
        /// Whether it must never be shown.
        secret: Option<Flag>,
        /// Whether it is the channel's address at the provider (number, page, sender): `channel.address`.
        address: Option<Flag>,
        /// What it is, for the person who supplies it.
        about: Option<Text>,
        /// What it is where it is not supplied.
        default: Option<Raw>,
        /// What kind of value it is; text unless said otherwise.
        r#type: Option<ConfigType>,
        /// The only values that it may have.
        r#enum: Option<Vec<Text>>,
    }

    /// Defaults for every request of the mapping.
    "`http`" Http {
        /// What relative URLs are relative to; ends in a slash. Values in it are encoded as those of `url`.
        base: Option<Raw>,
        /// How requests prove who sends them.
        auth: Option<AuthChoice>,
        /// Headers of every request.
        headers: Option<Raw>,
        /// Query parameters of every request.
        query: Option<Raw>,
        /// What is added to every request once everything else is there.
        sign: Option<Sign>,
    }

    /// One proof that a webhook comes from the provider: exactly one of `equal`, `signature`, `jwt`, `basic`, `ip` and `any`.
    "a `verify` entry" Verify {
        /// When the proof is asked for; always unless given.
        when: Option<Raw>,
        /// Names for values.
        r#let: Map<Raw>,
        /// Two values that must be the same, compared in constant time.
        equal: Option<Vec<Raw>>,
        /// A signature over the request.
        signature: Option<Signature>,
        /// A JSON Web Token.
        jwt: Option<Jwt>,
        /// HTTP Basic: user name and password.
        basic: Option<Vec<Raw>>,
        /// The addresses and networks that requests come from, such as `192.0.2.0/24`.
        ip: Option<Raw>,
        /// Proofs of which at least one must hold.
        any: Option<Vec<Verify>>,
        /// The HTTP status where the proof fails; 401 unless given.
        on_fail: Option<Count>,
    }

    /// A signature over the request.
    "`signature`" Signature {
        /// The algorithm.
        alg: Algorithm,
        /// The key, or a list of keys of which any may fit. A public key is PEM, or its bytes in hexadecimal or Base64.
        key: Raw,
        /// What is signed; `{{request.raw}}` is the body, byte for byte.
        over: Raw,
        /// How the signature is written; hex unless given.
        encoding: Option<Encoding>,
        /// The signature that came with the request, or a list of which any may fit.
        actual: Raw,
        /// What stands before the signature.
        prefix: Option<Text>,
        /// The moment of signing, in seconds or milliseconds.
        timestamp: Option<Raw>,
        /// How far that moment may be away; 300s unless given.
        tolerance: Option<Duration>,
    }

    /// A JSON Web Token. Where it says `exp`, `nbf` or `iat`, these must be right.
    "`jwt`" Jwt {
        /// The token; `Bearer` before it does not matter.
        token: Raw,
        /// The only algorithms that may have signed it.
        alg: Option<Vec<JwtAlgorithm>>,
        /// The key, or a list of keys of which any may fit.
        key: Raw,
        /// What it must claim: `name: test`, `name: value`, or `name: {equals: value, optional: true}`.
        claims: Map<Raw>,
        /// How far the clocks may be apart; 30s unless given.
        leeway: Option<Duration>,
    }

    /// One URL that the provider calls.
    "a webhook" Webhook {
        /// `METHOD[|METHOD] path`, below `{public_url}/channels/{channel}/`; the path may bind `{name}` or `{name:one|two}`.
        route: Text,
        /// Whether one URL serves all channels: `{public_url}/providers/{mapping}/path`.
        shared: Option<Flag>,
        /// How the payload names the channel of a shared route.
        channel: Option<ChannelLookup>,
        /// How the body is read: a word, a value that makes one, or a list of stages; by its Content-Type unless given.
        decode: Option<Decoding>,
        /// More proofs that this webhook must bring.
        verify: Vec<Verify>,
        /// The answer to a request that carries no events, such as a handshake.
        reply: Option<Raw>,
        /// The answers to requests with events.
        ack: Option<Ack>,
        /// What must hold, or the request is refused with 400.
        require: Option<Raw>,
        /// The nodes to handle one by one; the whole body unless given.
        each: Option<Raw>,
        /// Of nodes with the same value only the first is handled.
        unique: Option<Raw>,
        /// Names for values.
        r#let: Map<Raw>,
        /// When the node is none of our business.
        ignore: Option<Raw>,
        /// What must hold for the node to be handled.
        when: Option<Raw>,
        /// What the node says, rule by rule.
        events: Vec<Rule>,
    }

    /// How a payload names the channel.
    "`channel`" ChannelLookup {
        /// The value that equals the channel's address (the `config` item with `address: true`).
        address: Raw,
    }

    /// The answers to a webhook; 200 with an empty JSON object unless given.
    "`ack`" Ack {
        /// When there were events.
        ok: Option<AnswerSpec>,
        /// When there were none.
        ignored: Option<AnswerSpec>,
        /// When the request could not be understood.
        error: Option<AnswerSpec>,
    }

    /// One answer to a webhook.
    "an answer" AnswerSpec {
        /// The HTTP status; 200 unless given, 400 for `ack.error`.
        status: Option<Raw>,
        /// The Content-Type.
        r#type: Option<Raw>,
        /// The body as text.
        body: Option<Raw>,
        /// The body as JSON.
        json: Option<Raw>,
        /// The body as XML: a map whose only member is the root element.
        xml: Option<Raw>,
    }

    /// How a body is decrypted.
    "`decrypt`" Decrypt {
        /// The scheme.
        scheme: Cipher,
        /// The key.
        key: Raw,
        /// What is encrypted.
        data: Raw,
        /// Who it must be for; anybody unless given.
        receiver: Option<Raw>,
    }

    /// One rule: for which nodes it is, and what they say.
    "a rule" Rule {
        /// The nodes to handle one by one; the current node unless given.
        each: Option<Raw>,
        /// Of nodes with the same value only the first is handled.
        unique: Option<Raw>,
        /// What must hold.
        when: Option<Raw>,
        /// Names for values.
        r#let: Map<Raw>,
        /// When the node is none of our business; no later rule sees it.
        ignore: Option<Raw>,
        /// Which event the node is.
        emit: Option<Emit>,
        /// Whether later rules see the node too.
        also: Option<Flag>,
        /// The answer that ends the request, such as to a challenge.
        reply: Option<Raw>,
        /// The answer instead of the webhook's `ack.ok` where this rule emitted something; of several the last.
        ack: Option<AnswerSpec>,
        /// The provider's id of the message, or `{own: ...}`: our id, which the provider echoes.
        id: Option<Raw>,
        /// When it happened, in milliseconds; now unless given.
        timestamp: Option<Raw>,
        /// Who it concerns.
        contact: Option<ContactSpec>,
        /// The text.
        text: Option<Raw>,
        /// A list of `{url, type, mime, name, caption}`.
        attachments: Option<Raw>,
        /// `{latitude, longitude, name, address}`.
        location: Option<Raw>,
        /// `sent`, `delivered`, `read` or `failed`; `retry` (the provider will try again) and null are no news.
        status: Option<Raw>,
        /// `{code, message}` of a failed message.
        error: Option<Raw>,
        /// For `opt_out`, `contact` and `event`: the text of a message that tells the agent. The platform and tests see
        /// an event of type `message` with it.
        as_text: Option<Raw>,
        /// The poll that is run at once, as soon as the webhook is safe: for providers that only say that there is news.
        poll: Option<Text>,
        /// What that poll sees as `arg.NAME`.
        with: Map<Raw>,
        /// What is remembered, by `contact.NAME` or `channel.NAME`: a value, or `{value, ttl}`. An empty value
        /// changes nothing. Read as `store.contact.NAME`.
        remember: Map<Raw>,
        /// How long the event waits before it is delivered; at most 1h. What the contact says later waits behind it.
        delay: Option<Duration>,
        /// The provider's id of a message: the event is dropped if it was us who sent that message. Looked up when
        /// the event is delivered, thus after `delay`.
        unless_sent: Option<Raw>,
        /// Instead of the `id` of a status: every message that was sent to the contact up to this moment, in
        /// milliseconds.
        up_to: Option<Raw>,
        /// How a message that comes in pieces is put together.
        collect: Option<Collect>,
        /// Rules for the same node, with the names of this one.
        events: Vec<Rule>,
    }

    /// How a message that comes in pieces is put together: the texts of all pieces in the order of `index`, with the
    /// rest of the first one.
    "`collect`" Collect {
        /// What must hold for the event to be a piece; always unless given.
        when: Option<Raw>,
        /// What the pieces of one message of a contact have in common.
        key: Raw,
        /// Where the piece stands among them.
        index: Raw,
        /// How many there are, at most 255.
        total: Raw,
        /// How long the first piece waits for the others; what is there goes out then. 300s unless given.
        ttl: Option<Duration>,
    }

    /// Who an event concerns.
    "`contact`" ContactSpec {
        /// The provider's address of the contact.
        id: Raw,
        /// The whole name.
        name: Option<Raw>,
        /// First name.
        first_name: Option<Raw>,
        /// Last name.
        last_name: Option<Raw>,
        /// URL of a picture.
        avatar: Option<Raw>,
        /// ISO 3166-1 alpha-2.
        country: Option<Raw>,
        /// E-mail address.
        email: Option<Raw>,
        /// Phone number, E.164.
        phone: Option<Raw>,
        /// ISO 639-1.
        language: Option<Raw>,
        /// Language and region.
        locale: Option<Raw>,
        /// IANA time zone.
        timezone: Option<Raw>,
    }

    /// How a message is sent.
    "`send`" Send {
        /// Names for values.
        r#let: Map<Raw>,
        /// How the message is cut into parts.
        plan: Option<Plan>,
        /// The requests, in order.
        steps: Vec<Step>,
    }

    /// How a message is cut into parts.
    "`plan`" Plan {
        /// How long a text may be.
        text: Option<TextPlan>,
        /// What becomes of attachments; lines of text unless given.
        attachments: Option<AttachmentPlan>,
        /// What becomes of a location; a line of text unless given.
        location: Option<LocationPlan>,
        /// What becomes of quick replies; numbered lines of text unless given.
        quick_replies: Option<QuickReplyPlan>,
    }

    /// How long a text may be.
    "`text`" TextPlan {
        /// The longest text of one part.
        max: Raw,
        /// What is counted; chars unless given.
        unit: Option<Unit>,
        /// What happens to a longer text; split unless given.
        overflow: Option<Overflow>,
    }

    /// What becomes of attachments.
    "`attachments`" AttachmentPlan {
        /// How they travel.
        mode: AttachmentMode,
        /// Where their parts stand; `before_text` unless given.
        order: Option<Order>,
        /// The kinds that the provider takes; all unless given. An attachment of another kind or type becomes a line of text.
        media: Option<MediaPlan>,
        /// When the text travels as a caption of the only attachment.
        caption: Option<CaptionPlan>,
        /// Whether the text becomes the caption of the first attachment that takes it, if there are several.
        absorb: Option<Flag>,
    }

    /// The kinds of attachments that the provider takes.
    "`media`" MediaPlan {
        /// Pictures.
        image: Option<MediaTypes>,
        /// Films.
        video: Option<MediaTypes>,
        /// Sound.
        audio: Option<MediaTypes>,
        /// Anything else.
        file: Option<MediaTypes>,
    }

    /// The types of one kind of attachment that the provider takes.
    "a kind of `media`" MediaTypes {
        /// MIME types, `image/png` or `image/*`; all unless given.
        types: Option<Vec<Text>>,
    }

    /// When a text travels as a caption.
    "`caption`" CaptionPlan {
        /// Kinds of attachments that can have one; all unless given.
        types: Option<Vec<MediaKind>>,
        /// The longest caption, in the unit of `text`.
        max: Option<Raw>,
        /// What must hold too.
        when: Option<Raw>,
    }

    /// What becomes of a location.
    "`location`" LocationPlan {
        /// How it travels.
        mode: Mode,
    }

    /// What becomes of quick replies.
    "`quick_replies`" QuickReplyPlan {
        /// How they travel.
        mode: Mode,
        /// Which text carries them; the last unless given.
        on: Option<Carrier>,
        /// The most that there may be; if there are more, all become text.
        max: Option<Count>,
        /// The longest title, in the unit of `text`; if one is longer, all become text, for a title that is cut is another answer.
        title_max: Option<Count>,
    }

    /// One request, or one per part.
    "a step" Step {
        /// The name under which later steps see the decoded response.
        id: Option<Text>,
        /// `parts`, or a list; the step runs once per item.
        each: Option<Raw>,
        /// The name of the item; `part` for parts.
        r#as: Option<Text>,
        /// What must hold for the step to run.
        when: Option<Raw>,
        /// Names for values.
        r#let: Map<Raw>,
        /// What must hold, or the message fails.
        require: Option<Raw>,
        /// The request.
        request: Request,
        /// What its response means.
        response: Option<Response>,
        /// How often the request is made.
        repeat: Option<Repeat>,
        /// What is forgotten once the request is made, such as `contact.NAME`: for what can be used only once.
        consume: Vec<Text>,
    }

    /// What a response means. No response, 408, 425, 449 and 5xx are tried again and 429 slows down, whatever the mapping
    /// says; a class can only say how long to wait then. Otherwise the first class that holds decides, then any status
    /// but 2xx fails the message, then `ok` must hold.
    "`response`" Response {
        /// How the body is read; by its Content-Type unless given.
        decode: Option<Decode>,
        /// The first that holds decides.
        classify: Vec<Class>,
        /// What must hold for a 2xx to be a success.
        ok: Option<Raw>,
        /// The provider's id of the message, or the list of its ids.
        id: Option<Raw>,
        /// What a call gives, or what later steps see; the decoded body unless given.
        r#return: Option<Raw>,
        /// What is remembered where it is a success: `contact.NAME` or `channel.NAME` to a value, or `{value, ttl}`.
        remember: Map<Raw>,
        /// Why it failed: `{code, message}`.
        error: Option<ErrorSpec>,
    }

    /// Why a message failed, in the provider's words.
    "`error`" ErrorSpec {
        /// The provider's code.
        code: Option<Raw>,
        /// What an agent can act on.
        message: Option<Raw>,
    }

    /// A class of responses.
    "a class" Class {
        /// What must hold.
        when: Raw,
        /// What it means.
        r#as: Meaning,
        /// How long to wait, such as `30s`.
        after: Option<Raw>,
        /// For `redo`: other values for `let` names of the step.
        with: Map<Raw>,
    }

    /// An exchange, or several, that a value asks for by name: `{$call: NAME, ARGUMENT: VALUE}`. Exactly one of
    /// `request`, `compute` and `steps`. In webhooks, calls are made after the webhook was answered.
    "a call" Call {
        /// The request; sees what the call is given as `arg.NAME`.
        request: Option<Request>,
        /// What its response means.
        response: Option<Response>,
        /// The value itself, where no exchange is needed, such as a token that is signed here.
        compute: Option<Raw>,
        /// Several exchanges in order; the last one's value is the call's.
        steps: Vec<CallStep>,
        /// How long its value is used again; once per message unless given.
        cache: Option<Cache>,
    }

    /// One exchange, or one value: exactly one of `request` and `compute`.
    "a step" CallStep {
        /// The name under which later steps see its value.
        id: Option<Text>,
        /// What must hold for the step to run.
        when: Option<Raw>,
        /// Names for values.
        r#let: Map<Raw>,
        /// The request.
        request: Option<Request>,
        /// What its response means.
        response: Option<Response>,
        /// How often the request is made.
        repeat: Option<Repeat>,
        /// A value that is no response, such as that of another call.
        compute: Option<Raw>,
    }

    /// How long the value of a call is used again, in its channel. While one message makes the call, others wait
    /// for its value.
    "`cache`" Cache {
        /// What the value belongs to; what the call is given unless said otherwise.
        key: Option<Raw>,
        /// How long: a duration such as `1h`, or a number of seconds, which may come from the response (`$.expires_in`).
        ttl: Raw,
        /// How much earlier the value counts as used up; 0s unless given.
        margin: Option<Duration>,
        /// How long a failure for good is remembered; not at all unless given.
        negative_ttl: Option<Duration>,
        /// Whether the value outlives the gateway's process; it is in the store then.
        persist: Option<Flag>,
        /// The answers to requests that show that the value is no good any more: it is fetched anew, and the
        /// request made once more. Status 401 unless given.
        refresh_on: Option<RefreshOn>,
    }

    /// Answers that show that a cached value is no good any more.
    "`refresh_on`" RefreshOn {
        /// HTTP statuses.
        status: Option<Vec<Count>>,
        /// Or what must hold for the response.
        when: Option<Raw>,
    }

    /// How often a request is made.
    "`repeat`" Repeat {
        /// What must hold for the response to be the last one.
        until: Raw,
        /// How long to wait before the next request: a duration such as `5s`, or a number of seconds; 1s unless
        /// given.
        delay: Option<Raw>,
        /// The most requests; the message fails then.
        max: Count,
    }

    /// How fast requests may be.
    "`limits`" Limits {
        /// In each channel.
        rate: Option<Rate>,
        /// To each contact.
        per_contact: Option<Rate>,
        /// With each credential, of all channels that have it.
        per_credential: Option<PerCredential>,
        /// How many may be under way at once in each channel; 32 unless given.
        in_flight: Option<Count>,
        /// What goes to a contact who wrote within this time goes before everything else, such as a broadcast; `0s` where
        /// nothing goes first. 24h unless given.
        conversation: Option<Duration>,
        /// How long a response may take; 30s unless given.
        timeout: Option<Duration>,
        /// The largest file that the body of a request may hold, such as `100MB`, which it is unless given.
        media: Option<Size>,
        /// The headers of a response that say how many requests remain: when none does, all wait for the reset.
        from_headers: Option<FromHeaders>,
    }

    /// How fast requests with one credential may be.
    "`per_credential`" PerCredential {
        /// What tells the credential from others, such as `{{config.api_key}}`.
        key: Raw,
        /// Of all channels that have it.
        rate: Rate,
    }

    /// The headers of a response that say how many requests remain.
    "`from_headers`" FromHeaders {
        /// The header with the number of requests that remain.
        remaining: Text,
        /// The header that says when there are more again.
        reset: Text,
        /// What `reset` counts; seconds to wait unless given.
        unit: Option<ResetUnit>,
    }

    /// What happens when a request fails for now.
    "`retry`" Retry {
        /// The most attempts; unlimited unless given.
        attempts: Option<Count>,
        /// The longest wait before the second attempt; doubles with each. 1s unless given.
        first: Option<Duration>,
        /// The longest wait at all; 5m unless given.
        max: Option<Duration>,
        /// When the message is given up; 24h unless given.
        give_up_after: Option<Duration>,
        /// What becomes of a message that the provider may have taken, which nobody knows, since no answer came or the
        /// gateway ended before it was written down; `retry` unless given.
        in_doubt: Option<InDoubt>,
        /// What happens when the provider's host fails with everybody.
        breaker: Option<Breaker>,
    }

    /// When a host fails again and again with time-outs, lost connections or 5xx, all that goes to it pauses, and
    /// one request now and then probes it. These count as no attempts; the first success ends the pause.
    "`breaker`" Breaker {
        /// The number of failures in a row, without a success and of several contacts (so at least 2), that open it;
        /// 10 unless given.
        failures: Option<Count>,
        /// How long until the first probe; doubles with each that fails. 1s unless given.
        pause: Option<Duration>,
        /// The longest time between probes; 1m unless given.
        max: Option<Duration>,
    }
}

choice! {
    "a contact ID type" ContactIdKind;
    "what becomes of a message in doubt" InDoubt;
    "a type" ConfigType;
    "an algorithm" Algorithm;
    "an algorithm" JwtAlgorithm;
    "a scheme" Cipher;
    "an encoding" Encoding;
    "a way to decode" Decode;
    "an event" Emit;
    "a unit" Unit;
    "an overflow" Overflow;
    "a mode" AttachmentMode;
    "an order" Order;
    "a kind of attachment" MediaKind;
    "a mode" Mode;
    "a part" Carrier;
    "a meaning" Meaning;
    "a unit" ResetUnit;
}
