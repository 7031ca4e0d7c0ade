//! Which of several URLs a request goes to.

use std::sync::Mutex;
use std::time::Duration;

use url::Url;

use crate::call::{Answer, Departure, Outgoing, Payload, Shown, Transport, TransportError, send, send_once};

/// Fails in one way at the first URL and in another at the second, and notes which were tried.
struct Failing(TransportError, Mutex<Vec<String>>);

impl Transport for Failing {
    fn exchange<'a>(&'a self, _: &'a Outgoing, url: &'a Url) -> Answer<'a> {
        self.1.lock().unwrap().push(url.to_string());
        let error = self.0.clone();
        Box::pin(async { Err(error) })
    }
}

#[tokio::test]
async fn a_request_that_must_not_arrive_twice_goes_nowhere_else_once_it_may_have_arrived() {
    let request = Outgoing {
        method: "POST".into(),
        urls: vec!["http://one".parse().unwrap(), "http://two".parse().unwrap()],
        headers: vec![],
        body: Payload::Nothing,
        shown: Shown::Nothing,
        timeout: Duration::from_secs(1),
        departure: Departure::default(),
    };
    let broken = || TransportError::Broken("reset".into());
    let unreachable = || TransportError::Connect("refused".into());
    for (error, once, tried) in [
        (broken(), false, 2),
        (broken(), true, 1),
        (unreachable(), true, 2),
        (TransportError::Timeout, false, 1),
        (TransportError::Timeout, true, 1),
    ] {
        let transport = Failing(error.clone(), Mutex::default());
        let answer =
            if once { send_once(&transport, &request).await } else { send(&transport, &request).await };
        assert_eq!(answer.unwrap_err(), error);
        assert_eq!(transport.1.lock().unwrap().len(), tried, "{error:?}, once: {once}");
    }
}
