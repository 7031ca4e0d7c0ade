//! What can go wrong with an exchange, and what it is called.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::servers::files;
use crate::call::{
    Departure, HttpTransport, NetworkPolicy, Outgoing, Payload, Response, Shown, Transport, TransportError,
};

async fn ask(url: &str, timeout: Duration) -> Result<Response, TransportError> {
    let transport = HttpTransport::new(NetworkPolicy { allow_private: true }).unwrap();
    let request = Outgoing {
        method: "GET".into(),
        urls: vec![url.parse().unwrap()],
        headers: vec![],
        body: Payload::Nothing,
        shown: Shown::Nothing,
        timeout,
        departure: Departure::default(),
    };
    transport.exchange(&request, &request.urls[0]).await
}

/// A server that reads a request, and then does nothing more or hangs up.
async fn mute(hangs_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            if !hangs_up {
                kept.push(stream);
            }
        }
    });
    url
}

#[tokio::test]
async fn every_trouble_has_its_name() {
    let patience = Duration::from_secs(20);
    let error = ask(&mute(false).await, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error, TransportError::Timeout);
    let error = ask(&mute(true).await, patience).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken(_)), "{error}");
    // It breaks off in the body.
    let (short, _) = files("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", 5).await;
    let error = ask(&short, patience).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken(_)), "{error}");
    for length in [4 << 20, (4 << 20) + 1] {
        let (large, _) = files(&format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"), length).await;
        let answer = ask(&large, patience).await;
        assert_eq!(answer.is_ok(), length <= 4 << 20);
        assert!(answer.is_ok() || answer.unwrap_err() == TransportError::TooLarge);
    }
    let error = ask("http://127.0.0.1:9/", patience).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect(_)), "{error}");
    let error = ask("http://no-such-host.invalid/", patience).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect(_)), "{error}");
}
