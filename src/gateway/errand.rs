//! Takes an errand over the network.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{self, CallCache, Response, Transport};
use crate::pipeline::{Errand, Next, Outcome};

/// What came of an errand.
#[derive(Debug)]
pub struct Driven {
    /// What it came to.
    pub outcome: Outcome,
    /// The URL of the last exchange of its own that had a response, and that response.
    pub last: Option<(String, Response)>,
}

/// Makes every exchange that an errand asks for.
pub async fn drive(errand: &mut Errand<'_>, transport: &dyn Transport, calls: &Arc<CallCache>) -> Driven {
    let mut last = None;
    loop {
        match errand.step() {
            Next::Request(request) => {
                let answer = call::send(transport, &request).await;
                if let (Ok(response), false) = (&answer, errand.is_call()) {
                    last = Some((
                        request.urls.first().map(ToString::to_string).unwrap_or_default(),
                        response.clone(),
                    ));
                }
                errand.answer(answer);
            }
            Next::Wait(key) => {
                calls.wait(&key).await;
            }
            Next::Done(Outcome::Later { after }) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                errand.resume();
            }
            Next::Done(outcome) => return Driven { outcome, last },
        }
    }
}
