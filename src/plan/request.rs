//! What a request is made of.

use smol_str::SmolStr;
use url::Url;

use super::Lets;
use crate::expression::Template;

/// An HTTP request.
#[derive(Debug)]
pub struct Request {
    /// Where it goes.
    pub target: Target,
    /// The method; none is POST with a body, else GET.
    pub method: Option<Template>,
    /// Maps of query parameters, later ones over earlier ones.
    pub query: Vec<Template>,
    /// Maps of headers, later ones over earlier ones.
    pub headers: Vec<Template>,
    /// How it proves who sends it.
    pub auth: Auth,
    /// The body.
    pub body: Body,
    /// What is added once everything else is there.
    pub sign: Option<Sign>,
    /// The largest file that its body may hold, in bytes.
    pub media: u64,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Target {
    /// To this URL, whatever it says.
    Fixed(Url),
    /// To what these make.
    Made {
        /// What relative URLs are relative to.
        base: Option<Template>,
        /// The URL, or the list of those that are tried in turn.
        url: Template,
    },
}

/// How a request proves who sends it.
#[derive(Debug)]
pub enum Auth {
    /// It does not.
    None,
    /// HTTP Basic.
    Basic(Template, Template),
    /// A token in the `Authorization` header.
    Bearer(Template),
    /// Headers.
    Header(Vec<(SmolStr, Template)>),
    /// Query parameters.
    Query(Template),
    /// A signature by RFC 5849.
    OAuth1(Box<OAuth1>),
    /// A signature by AWS Signature Version 4.
    SigV4(Box<SigV4>),
}

/// The credentials of RFC 5849.
#[derive(Debug)]
pub struct OAuth1 {
    /// The client's identifier.
    pub consumer_key: Template,
    /// The client's secret.
    pub consumer_secret: Template,
    /// The token; empty where the client acts for itself.
    pub token: Template,
    /// The token's secret.
    pub token_secret: Template,
}

/// The credentials and the scope of AWS Signature Version 4.
#[derive(Debug)]
pub struct SigV4 {
    /// The identifier of the key.
    pub access_key: Template,
    /// The key.
    pub secret_key: Template,
    /// The token of temporary credentials; empty for lasting ones.
    pub session_token: Template,
    /// The region.
    pub region: Template,
    /// The service.
    pub service: Template,
}

/// The body of a request.
#[derive(Debug)]
pub enum Body {
    /// None.
    None,
    /// JSON.
    Json(Template),
    /// A form.
    Form(Template),
    /// XML.
    Xml(Template),
    /// Fields and files: a map.
    Multipart(Template),
    /// Anything.
    Raw {
        /// The Content-Type.
        content_type: Option<Template>,
        /// Text or bytes.
        content: Template,
    },
    /// A file.
    File {
        /// The Content-Type; the file's own unless given.
        content_type: Option<Template>,
        /// Where it is.
        url: Template,
    },
}

/// What is added to a request that is complete but for this.
#[derive(Debug)]
pub struct Sign {
    /// Names for values.
    pub lets: Lets,
    /// A map of headers.
    pub headers: Template,
    /// A map of query parameters.
    pub query: Template,
}
