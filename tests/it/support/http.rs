//! HTTP as `curl` speaks it: one request, one connection, no library in between.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer should take, broadcasts included.
const PATIENCE: Duration = Duration::from_secs(90);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// `error.message` of the body.
    pub fn error(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("no error.message: {self:?}"))
            .into()
    }
}

/// Sends a request and reads the answer.
pub fn exchange(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let mut stream = open(method, url, headers, body.len())?;
    stream.write_all(body)?;
    read(stream)
}

/// Opens a connection and sends the head of a request with a body of `length` bytes.
pub fn open(method: &str, url: &str, headers: &[(&str, &str)], length: usize) -> Result<TcpStream> {
    let (host, path) = host_and_path(url);
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    write!(head, "content-length: {length}\r\n\r\n")?;
    stream.write_all(&head)?;
    Ok(stream)
}

/// Reads the answer to the end of the connection.
pub fn read(mut stream: TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let broken = || Error::new(ErrorKind::InvalidData, "the answer breaks off");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(broken)?;
    let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let body = bytes.split_off(end + 4);
    let length = headers.iter().find(|(name, _)| name == "content-length");
    if length.is_some_and(|(_, length)| *length != body.len().to_string()) {
        return Err(broken());
    }
    Ok(Answer { status, headers, body })
}

/// `GET`.
pub fn get(url: &str) -> Answer {
    exchange("GET", url, &[], b"").unwrap_or_else(|error| panic!("GET {url}: {error}"))
}

/// `POST`.
pub fn post(url: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    exchange("POST", url, headers, body.as_ref()).unwrap_or_else(|error| panic!("POST {url}: {error}"))
}

/// `POST` of JSON.
pub fn post_json(url: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    post(url, &[&[("content-type", "application/json")], headers].concat(), body.to_string())
}

fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}"));
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}
