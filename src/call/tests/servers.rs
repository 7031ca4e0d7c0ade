//! The smallest servers that can serve a file and take one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How many bytes are read or written at once.
const CHUNK: usize = 64 << 10;

/// Reads the head of a request or response.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers every connection with this head and then so many bytes `x`; gives its URL and how many went out.
pub(super) async fn files(head_of_answer: &str, length: u64) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a%20b.bin", listener.local_addr().unwrap());
    let (sent, answer) = (Arc::new(AtomicU64::new(0)), head_of_answer.replace("{url}", &url));
    let counter = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, counter) = (answer.clone(), counter.clone());
            tokio::spawn(async move {
                head(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                let chunk = vec![b'x'; CHUNK];
                let mut left = length;
                while left > 0 {
                    let size = left.min(CHUNK as u64);
                    if stream.write_all(&chunk[..usize::try_from(size).unwrap()]).await.is_err() {
                        return; // nobody wants the rest
                    }
                    left -= size;
                    counter.fetch_add(size, Ordering::SeqCst);
                }
            });
        }
    });
    (url, sent)
}

/// What a provider was sent.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The head of the request.
    pub(super) head: String,
    /// The first bytes of the body.
    pub(super) start: Vec<u8>,
    /// The last bytes of the body.
    pub(super) end: Vec<u8>,
    /// How long the body was.
    pub(super) length: u64,
}

/// Takes one request. After the first `pause` bytes of its body it reads on only when it is told to.
pub(super) async fn provider(
    pause: u64,
) -> (String, Arc<AtomicU64>, Arc<Notify>, tokio::task::JoinHandle<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/upload", listener.local_addr().unwrap());
    let (read, go) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let (counter, gate) = (read.clone(), go.clone());
    let taken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut taken = Taken { head, ..Taken::default() };
        let mut buffer = vec![0; CHUNK];
        let mut paused = false;
        while length.is_none_or(|length: u64| taken.length < length) {
            if taken.length >= pause && !std::mem::replace(&mut paused, true) {
                gate.notified().await;
            }
            let Ok(size @ 1..) = stream.read(&mut buffer).await else { break };
            if taken.start.len() < 1000 {
                taken.start.extend_from_slice(&buffer[..size.min(1000)]);
            }
            taken.end.extend_from_slice(&buffer[..size]);
            taken.end.drain(..taken.end.len().saturating_sub(1000));
            taken.length += size as u64;
            counter.fetch_add(size as u64, Ordering::SeqCst);
            if length.is_none() && taken.end.ends_with(b"0\r\n\r\n") {
                break;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let _gone = stream.write_all(answer).await;
        taken
    });
    (url, read, go, taken)
}
