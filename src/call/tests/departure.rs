//! When requests depart, by real connections.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::request;
use super::servers::provider;
use crate::call::{File, HttpTransport, NetworkPolicy, Outgoing, Payload, Response, TransportError, send};

const SLOW: Duration = Duration::from_millis(300);

async fn sent(request: &Outgoing) -> Result<Response, TransportError> {
    send(&HttpTransport::new(NetworkPolicy { allow_private: true }).unwrap(), request).await
}

/// Takes connections and answers each after a while.
async fn slow() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                tokio::time::sleep(SLOW).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
            });
        }
    });
    url
}

#[tokio::test]
async fn a_request_departs_when_its_connection_takes_it_and_not_when_it_is_answered() {
    let url = slow().await;
    for (method, body) in [
        ("GET", Payload::Nothing),
        ("POST", Payload::Bytes(Bytes::new())),
        ("POST", Payload::Bytes("b".into())),
    ] {
        let request = Outgoing { method: method.into(), ..request(&url, body) };
        assert_eq!(request.departure.at(), None);
        let began = Instant::now();
        sent(&request).await.unwrap();
        let departed = request.departure.at().unwrap();
        assert!(departed >= began && departed + SLOW <= Instant::now(), "{method}: {:?}", departed - began);
    }
}

#[tokio::test]
async fn a_request_with_a_file_departs_when_the_file_comes() {
    let (from, (to, ..)) = (slow().await, provider(u64::MAX).await);
    let request = request(&to, Payload::File(File { url: from, limit: 100 }));
    let began = Instant::now();
    sent(&request).await.unwrap();
    assert!(request.departure.at().unwrap() >= began + SLOW);
}

#[tokio::test]
async fn what_never_went_has_not_departed() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let request = request(&format!("http://{gone}/"), Payload::Bytes("b".into()));
    assert!(matches!(sent(&request).await, Err(TransportError::Connect(_))));
    assert_eq!(request.departure.at(), None);
}
