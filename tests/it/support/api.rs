//! A provider's API of a test's own: a function answers each request, and all of them are noted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use serde_json::Value;

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body; null where it is not JSON.
    pub json: Value,
}

/// What a test answers with: a status and JSON.
type Answers = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// An API that runs as long as the tests do.
pub struct Api {
    /// Where it listens, with a slash at its end.
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    /// Starts one.
    pub fn start(answers: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answers): (_, Arc<Answers>) = (asked.clone(), Arc::new(answers));
        spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, answers) = (noted.clone(), answers.clone());
                spawn(move || serve(stream, &noted, &*answers));
            }
        });
        Self { url, asked }
    }

    /// The requests whose path holds this text, oldest first.
    pub fn asked(&self, text: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path.contains(text)).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, noted: &Mutex<Vec<Asked>>, answers: &Answers) {
    let Some(asked) = read(&mut stream) else { return };
    noted.lock().unwrap().push(asked.clone());
    let (status, json) = answers(&asked);
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let date = jiff::fmt::rfc2822::to_string(&now).unwrap_or_default();
    let body = json.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ndate: {date}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                let mut first = head.split(' ');
                let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
                return Some(Asked { method, path, json: serde_json::from_str(body).unwrap_or_default() });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}
