//! Connections are used again, also when many requests leave at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use crate::call::{Departure, HttpTransport, NetworkPolicy, Outgoing, Payload, Shown, Transport};

/// How many channels there are.
const AT_ONCE: usize = 200;

/// Answers when all of them have asked, so that each needs a connection of its own.
async fn serve(mut stream: TcpStream, all: Arc<Barrier>) {
    let mut head = [0; 4096];
    while let Ok(1..) = stream.read(&mut head).await {
        all.wait().await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn what_many_channels_send_at_once_finds_its_connections_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (opened, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(AT_ONCE)));
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, all.clone()));
        }
    });
    let transport = HttpTransport::new(NetworkPolicy { allow_private: true }).unwrap();
    let request = Outgoing {
        method: "GET".into(),
        urls: vec![url.parse().unwrap()],
        headers: vec![],
        body: Payload::Nothing,
        shown: Shown::Nothing,
        timeout: Duration::from_secs(20),
        departure: Departure::default(),
    };
    for round in 0..5 {
        let answers = join_all((0..AT_ONCE).map(|_| transport.exchange(&request, &request.urls[0]))).await;
        assert!(
            answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)),
            "{round}"
        );
        // A connection is given back a little after its answer.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(opened.load(Ordering::SeqCst), AT_ONCE);
}
