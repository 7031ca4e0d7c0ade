//! HTTP/1.1 over one connection that is kept: as little work as possible, since load and receiver share the machine with
//! the gateway. Bodies have a `content-length`.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, with what was read from it.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the head of the message in the buffer ends, and where the message does.
    ends: (usize, usize),
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::with_capacity(4096), ends: (0, 0) }
    }

    pub async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?))
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the next message; false at the end of the connection.
    pub async fn read(&mut self) -> Result<bool> {
        self.buffer.drain(..self.ends.1);
        self.ends = (0, 0);
        loop {
            if let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = head + 4;
                let end = head + content_length(&self.buffer[..head]);
                while self.buffer.len() < end {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err(Error::new(ErrorKind::UnexpectedEof, "a body breaks off"));
                    }
                }
                self.ends = (head, end);
                return Ok(true);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// The second word of the message's first line: the path of a request, the status of an answer.
    pub fn second_word(&self) -> &str {
        let line = self.buffer[..self.ends.0].split(|byte| *byte == b'\r').next().unwrap_or_default();
        std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }

    /// The message's body.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.ends.0..self.ends.1]
    }

    /// Sends a request and gives the status of its answer; 0 where none came.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        let exchange = async {
            self.write(request).await?;
            self.read().await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(true)) => self.second_word().parse().unwrap_or(0),
            _ => 0,
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME));
    let value = line.and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// A `POST` of JSON.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
