//! A server of files that asks for a bearer token, and keeps in mind what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The token that it asks for.
pub const FILES_TOKEN: &str = "files-token";
/// The file at `/file/...`.
pub const SMALL: &str = "<script>0123456789</script>";
/// The size of the file at `/big`, in bytes.
pub const BIG: usize = 50_000_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// A running server; it ends with the test process.
pub struct Files {
    /// Where it listens, without a slash at its end.
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: Vec<Request>,
    /// How many links were given out; only the last one is good.
    links: usize,
    /// Where `/away` leads.
    away: String,
}

impl Files {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (own, shared) = (url.clone(), state.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, shared) = (own.clone(), shared.clone());
                std::thread::spawn(move || drop(serve(stream, &own, &shared)));
            }
        });
        Self { url, state }
    }

    /// Lets `/away` lead there.
    pub fn lead_away(&self, url: &str) {
        self.state.lock().unwrap().away = url.into();
    }

    /// Makes the link that was given out last no good any more.
    pub fn expire_links(&self) {
        self.state.lock().unwrap().links += 1;
    }

    /// The requests whose path begins so, oldest first.
    pub fn seen(&self, path: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|request| request.path.starts_with(path)).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, own: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers: Vec::new(),
    };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let links = {
        let mut state = state.lock().unwrap();
        state.seen.push(request.clone());
        if request.path.starts_with("/links/") {
            state.links += 1;
        }
        state.links
    };
    let mut answer = |status: &str, headers: &str, body: &[u8]| -> std::io::Result<()> {
        let length = if headers.contains("content-length") {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}{length}\r\n")?;
        if request.method == "HEAD" { Ok(()) } else { stream.write_all(body) }
    };
    let open = request.path.starts_with("/open");
    if !open && request.header("authorization") != format!("Bearer {FILES_TOKEN}") {
        return answer("401 Unauthorized", "", b"no");
    }
    match request.path.trim_start_matches('/').split('/').next().unwrap_or_default() {
        "links" => {
            let json = format!(r#"{{"url":"{own}/linked/{links}"}}"#);
            answer("200 OK", "content-type: application/json\r\n", json.as_bytes())
        }
        "linked" if !request.path.ends_with(&format!("/{links}")) => {
            answer("403 Forbidden", "", b"this link has expired")
        }
        "away" => {
            let away = state.lock().unwrap().away.clone();
            answer("302 Found", &format!("location: {away}\r\n"), b"")
        }
        "nohead" if request.method == "HEAD" => answer("405 Method Not Allowed", "", b""),
        "fat" => answer("200 OK", "content-length: 70000000\r\n", b""),
        "big" => {
            answer("200 OK", &format!("content-length: {BIG}\r\ncontent-type: video/mp4\r\n"), b"")?;
            let piece = vec![7_u8; 50_000];
            (0..BIG / piece.len()).try_for_each(|_| stream.write_all(&piece))
        }
        _ => match request.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-')) {
            Some((from, to)) => {
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                let range = format!(
                    "content-range: bytes {from}-{to}/{}\r\ncontent-type: text/html\r\n",
                    SMALL.len()
                );
                answer("206 Partial Content", &range, &SMALL.as_bytes()[from..=to])
            }
            None => answer(
                "200 OK",
                "accept-ranges: bytes\r\ncontent-type: text/html\r\nset-cookie: a=b\r\n",
                SMALL.as_bytes(),
            ),
        },
    }
}
