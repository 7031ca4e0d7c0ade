//! What will run when a message is sent.

use smol_str::SmolStr;

use super::parts::Parts;
use super::words::{Decode, Meaning};
use super::{Exchange, Lets, Memo, Owner};
use crate::expression::{Condition, Template};

/// How a message is sent.
#[derive(Debug)]
pub struct Send {
    /// Names for values.
    pub lets: Lets,
    /// How the message is cut into parts.
    pub parts: Parts,
    /// The requests.
    pub steps: Vec<Step>,
}

/// One request, or one per item.
#[derive(Debug)]
pub struct Step {
    /// The slot of its decoded response.
    pub result: Option<usize>,
    /// How often it runs.
    pub each: StepEach,
    /// What must hold for it to run.
    pub when: Option<Condition>,
    /// Names for values.
    pub lets: Lets,
    /// What must hold, or the message fails.
    pub require: Option<Condition>,
    /// The request and what its response means.
    pub exchange: Exchange,
    /// What is forgotten once its request is made.
    pub consume: Vec<(Owner, SmolStr)>,
}

/// How often a step runs.
#[derive(Debug)]
pub enum StepEach {
    /// Once.
    Once,
    /// For every part.
    Parts,
    /// For every item of a list, which has this slot.
    List(Template, usize),
}

/// An HTTP request.
#[derive(Debug)]
pub struct Request {
    /// What relative URLs are relative to.
    pub base: Option<Template>,
    /// The method; none is POST with a body, else GET.
    pub method: Option<Template>,
    /// The URL, or the list of those that are tried in turn.
    pub url: Template,
    /// Maps of query parameters, later ones over earlier ones.
    pub query: Vec<Template>,
    /// Headers, later ones over earlier ones.
    pub headers: Vec<(SmolStr, Template)>,
    /// How it proves who sends it.
    pub auth: Auth,
    /// The body.
    pub body: Body,
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
    /// Anything.
    Raw {
        /// The Content-Type.
        content_type: Option<Template>,
        /// Text or bytes.
        content: Template,
    },
}

/// What a response means.
#[derive(Debug, Default)]
pub struct Response {
    /// How the body is read; none goes by its Content-Type.
    pub decode: Option<Decode>,
    /// The first that holds decides.
    pub classes: Vec<Class>,
    /// What must hold for a 2xx to be a success.
    pub ok: Option<Condition>,
    /// The provider's id, or ids.
    pub id: Option<Template>,
    /// What a call gives, or what later steps see; none is the decoded body.
    pub returns: Option<Template>,
    /// What is remembered where it is a success.
    pub remember: Vec<Memo>,
    /// The provider's error code.
    pub error_code: Option<Template>,
    /// The provider's error message.
    pub error_message: Option<Template>,
}

/// A class of responses.
#[derive(Debug)]
pub struct Class {
    /// What must hold.
    pub when: Condition,
    /// What it means.
    pub meaning: Meaning,
    /// How long to wait: text such as `30s`, or a number of seconds.
    pub after: Option<Template>,
    /// For [`Meaning::Redo`]: other values for names of the step, by slot.
    pub with: Vec<(usize, Template)>,
}
