//! What a mapping says about a request: its parts, its body, and how it proves who sends it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{Flag, FromNode, Map, Raw, choice, record};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::plan::Grant;
use crate::yaml::{Kind, Node};

record! {
    /// An HTTP request.
    "`request`" Request {
        /// The method; POST with a body, else GET.
        method: Option<Raw>,
        /// The URL, relative to `http.base`; a list is tried in turn. In a text with values in it each value is
        /// percent-encoded for its place: behind a `?` as the value of a parameter, before it as a part of the path
        /// (where `/`, `:`, `@` and their like stay), and a whole part of the path may not be empty. What stays as it is: a value that is the whole text, an absolute
        /// URL at the beginning, and what `url_encode` made.
        url: Raw,
        /// Query parameters, over those of `http`; a list repeats the name, null takes it away. `{$only: {...}}`
        /// leaves out those of `http`.
        query: Option<Raw>,
        /// Headers, over those of `http`; null takes one away. `{$only: {...}}` leaves out those of `http`.
        headers: Option<Raw>,
        /// How it proves who sends it, instead of `http.auth`; `none` if it does not.
        auth: Option<AuthChoice>,
        /// The body as JSON.
        json: Option<Raw>,
        /// The body as a form; a list repeats the name.
        form: Option<Raw>,
        /// The body as XML: a map of the root element. Attributes are `@name`, the text beside them `#text`; a list
        /// repeats the element.
        xml: Option<Raw>,
        /// The body as multipart/form-data: a map of names to values, or to `{value, filename, type}` or
        /// `{file: {url}, filename, type}`; a list repeats the name.
        multipart: Option<Raw>,
        /// The body as `{type, text}`, or as a file: `{type, file: {url}}`.
        body: Option<BodySpec>,
        /// What is added once everything else is there, instead of `http.sign`.
        sign: Option<Sign>,
    }

    /// A body of any kind: exactly one of `text` and `file`.
    "`body`" BodySpec {
        /// The Content-Type; that of the file, or of plain text, unless given.
        r#type: Option<Raw>,
        /// The text, or bytes.
        text: Option<Raw>,
        /// A file.
        file: Option<FileSpec>,
    }

    /// A file that is fetched when the request is sent, and passed on as it comes.
    "`file`" FileSpec {
        /// Where it is.
        url: Raw,
    }

    /// A field of a multipart body with more than a value: exactly one of `value` and `file`.
    "a part" PartSpec {
        /// The text, or bytes.
        value: Option<Raw>,
        /// A file.
        file: Option<FileSpec>,
        /// The name of the file; for a `file` the last part of its URL unless given.
        filename: Option<Raw>,
        /// The Content-Type; that of the file unless given.
        r#type: Option<Raw>,
    }

    /// What is added to a request once everything else is there. It sees `out`: `method`, `url` (without the query),
    /// `path`, `query`, and `body` (bytes).
    "`sign`" Sign {
        /// Names for values.
        r#let: Map<Raw>,
        /// More headers.
        headers: Option<Raw>,
        /// More query parameters.
        query: Option<Raw>,
    }

    /// How a request proves who sends it: exactly one of these.
    "`auth`" Auth {
        /// HTTP Basic: user name and password.
        basic: Option<Vec<Raw>>,
        /// A token in the `Authorization` header.
        bearer: Option<Raw>,
        /// Headers of the provider's own.
        header: Option<Map<Raw>>,
        /// Query parameters.
        query: Option<Map<Raw>>,
        /// OAuth 1.0 with HMAC-SHA1 (RFC 5849): URL, query and form are signed.
        oauth1: Option<OAuth1>,
        /// AWS Signature Version 4: everything is signed but the bytes of a file.
        sigv4: Option<SigV4>,
        /// OAuth 2.0: a token is fetched, kept until it runs out, renewed where the provider refuses it (401), and sent
        /// in the `Authorization` header.
        oauth2: Option<OAuth2>,
    }

    /// How a token of OAuth 2.0 is fetched.
    "`oauth2`" OAuth2 {
        /// What the token is given for; `client_credentials` unless given.
        grant: Option<Grant>,
        /// Where it is fetched, relative to `http.base`.
        token_url: Raw,
        /// The client's identifier.
        client_id: Raw,
        /// The client's secret.
        client_secret: Option<Raw>,
        /// The refresh token that the channel was given. Where the provider replaces it, the new one is remembered
        /// instead.
        refresh_token: Option<Raw>,
        /// What the token is for, in the provider's words.
        scope: Option<Raw>,
        /// Whether identifier and secret go into the `Authorization` header; into the form unless given.
        basic: Option<Flag>,
        /// More fields of the form.
        params: Map<Raw>,
    }

    /// The credentials of OAuth 1.0.
    "`oauth1`" OAuth1 {
        /// The client's identifier.
        consumer_key: Raw,
        /// The client's secret.
        consumer_secret: Raw,
        /// The token; none where the client acts for itself.
        token: Option<Raw>,
        /// The token's secret.
        token_secret: Option<Raw>,
    }

    /// The credentials and the scope of AWS Signature Version 4.
    "`sigv4`" SigV4 {
        /// The identifier of the key.
        access_key: Raw,
        /// The key.
        secret_key: Raw,
        /// The token of temporary credentials.
        session_token: Option<Raw>,
        /// The region.
        region: Raw,
        /// The service.
        service: Raw,
    }
}

/// How a request proves who sends it, or `none`.
#[derive(Clone, Debug)]
pub enum AuthChoice {
    /// It does not, even if others do.
    None,
    /// In this way.
    By(Box<Auth>),
}

choice! {
    "a grant" Grant;
}

impl FromNode for AuthChoice {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let Kind::Text(text) = &node.kind else {
            return Auth::from_node(node, out).map(|auth| Self::By(Box::new(auth)));
        };
        if text.value == "none" {
            return Some(Self::None);
        }
        let message = format!("`auth` is `none` or a map, not `{}`", text.value);
        let problem = Diagnostic::new(Code::InvalidValue, node.span, message).label("not known here");
        out.push(problem.did_you_mean(&text.value, ["none"]));
        None
    }

    fn stand_in(_: Span) -> Self {
        Self::None
    }
}

impl JsonSchema for AuthChoice {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AuthChoice".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let auth = generator.subschema_for::<Auth>();
        json_schema!({"anyOf": [{"const": "none"}, auth]})
    }
}
