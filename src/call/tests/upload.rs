//! Files on their way from their server to a provider.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::request;
use super::servers::{files, provider};
use crate::call::{
    File, HttpTransport, NetworkPolicy, Outgoing, Part, PartContent, Payload, Response, TransportError, send,
};
use crate::wire::multipart::Boundary;

const OPEN: NetworkPolicy = NetworkPolicy { allow_private: true };

fn file(url: &str) -> File {
    File { url: url.into(), limit: 100_000_000 }
}

async fn sent(policy: NetworkPolicy, request: &Outgoing) -> Result<Response, TransportError> {
    send(&HttpTransport::new(policy).unwrap(), request).await
}

#[tokio::test]
async fn a_large_file_is_passed_on_as_it_comes_and_never_held() {
    const SIZE: u64 = 50_000_000;
    // What the sockets of two connections may hold, and what is on its way between them.
    const ON_THE_WAY: u64 = 20_000_000;
    let (from, served) =
        files(&format!("HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: {SIZE}\r\n\r\n"), SIZE)
            .await;
    let (to, read, go, taken) = provider(1_000_000).await;
    let request = request(&to, Payload::File(file(&from)));
    let sending = tokio::spawn(async move { sent(OPEN, &request).await });
    // The provider stops reading. Soon the file's server can't go on either: nobody takes what it has.
    let mut before = u64::MAX;
    while before != served.load(Ordering::SeqCst) || before == 0 {
        before = served.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let held = served.load(Ordering::SeqCst) - read.load(Ordering::SeqCst);
    assert!(held < ON_THE_WAY, "{held} bytes are held");
    go.notify_one();
    assert_eq!(sending.await.unwrap().unwrap().status, 200);
    let taken = taken.await.unwrap();
    assert_eq!(taken.length, SIZE);
    let head = taken.head.to_lowercase();
    assert!(head.contains("content-length: 50000000\r\n") && !head.contains("transfer-encoding"), "{head}");
    assert!(head.contains("content-type: video/mp4\r\n"), "{head}");
}

#[tokio::test]
async fn a_file_among_fields_keeps_its_type_and_the_length_is_told() {
    let (from, _) = files("HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 5\r\n\r\n", 5).await;
    let (to, _, _, taken) = provider(u64::MAX).await;
    let boundary = Boundary::new([0; 16]);
    let value = |name: &str, content| Part { name: name.into(), filename: None, content_type: None, content };
    let parts = vec![
        value("to", PartContent::Bytes(Bytes::from_static(b"c"))),
        Part { filename: Some("a b.png".into()), ..value("media", PartContent::File(file(&from))) },
    ];
    let mut request = request(&to, Payload::Multipart { boundary: boundary.clone(), parts });
    request.headers.push(("content-type".into(), boundary.content_type()));
    assert_eq!(sent(OPEN, &request).await.unwrap().status, 200);
    let taken = taken.await.unwrap();
    let line = format!("--part{}", "0".repeat(32));
    let body = [
        &line,
        "\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nc\r\n",
        &line,
        "\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a b.png\"\r\nContent-Type: image/png\r\n\r\n",
        "xxxxx\r\n",
        &line,
        "--\r\n",
    ]
    .concat();
    assert_eq!(String::from_utf8(taken.start).unwrap(), body);
    assert!(taken.head.to_lowercase().contains(&format!("content-length: {}\r\n", body.len())));
}

#[tokio::test]
async fn a_file_of_unknown_length_goes_in_chunks_and_is_cut_off_at_the_limit() {
    let (from, _) = files("HTTP/1.1 200 OK\r\n\r\n", 3_000_000).await;
    let (to, _, _, taken) = provider(u64::MAX).await;
    let file = File { limit: 1_000_000, ..file(&from) };
    let error = sent(OPEN, &request(&to, Payload::File(file))).await.unwrap_err();
    assert!(matches!(&error, TransportError::FileRefused(why) if why.contains("1000000")), "{error}");
    let taken = taken.await.unwrap();
    assert!(taken.head.to_lowercase().contains("transfer-encoding: chunked"), "{}", taken.head);
    assert!(!taken.end.ends_with(b"0\r\n\r\n"), "the provider took half of a file for the whole");
}

#[tokio::test]
async fn a_file_that_breaks_off_is_tried_again() {
    let (from, _) = files("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n", 200_000).await;
    let (to, ..) = provider(u64::MAX).await;
    let error = sent(OPEN, &request(&to, Payload::File(file(&from)))).await.unwrap_err();
    assert!(matches!(error, TransportError::FileUnavailable(_)), "{error}");
}

#[tokio::test]
async fn what_the_server_of_a_file_answers_decides_whether_it_is_asked_again() {
    let (to, ..) = provider(u64::MAX).await;
    let outcome = async |answer: &str| {
        let (from, _) = files(answer, 0).await;
        sent(OPEN, &request(&to, Payload::File(file(&from)))).await.unwrap_err()
    };
    for status in ["404 Not Found", "403 Forbidden", "410 Gone"] {
        let error = outcome(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        assert!(matches!(error, TransportError::FileRefused(_)), "{status}: {error}");
    }
    for status in ["500 Oh", "503 Later", "429 Slower"] {
        let error = outcome(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        assert!(matches!(error, TransportError::FileUnavailable(_)), "{status}: {error}");
    }
    let error = outcome("HTTP/1.1 200 OK\r\ncontent-length: 100000001\r\n\r\n").await;
    assert_eq!(
        error.to_string(),
        "the file can't be fetched: it is larger than 100000000 bytes, the limit (`limits: {media: ..}`)"
    );
    let error = outcome("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").await;
    assert!(error.to_string().contains("without end"), "{error}");
    let error =
        outcome("HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(error, TransportError::FileRefused(_)), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_to_the_file() {
    let (target, _) = files("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 5).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
    let (from, _) = files(&redirect, 0).await;
    let (to, _, _, taken) = provider(u64::MAX).await;
    assert_eq!(sent(OPEN, &request(&to, Payload::File(file(&from)))).await.unwrap().status, 200);
    assert_eq!(taken.await.unwrap().start, b"xxxxx");
}

#[tokio::test]
async fn a_file_on_a_private_address_is_never_asked_for() {
    let (from, served) = files("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 5).await;
    for url in [from.as_str(), &from.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest"] {
        let request = request("https://provider.example/", Payload::File(file(url)));
        let error = sent(NetworkPolicy::default(), &request).await.unwrap_err();
        assert!(matches!(error, TransportError::Forbidden(_)), "{url}: {error}");
    }
    assert_eq!(served.load(Ordering::SeqCst), 0);
}
