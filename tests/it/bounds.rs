//! What hostile and careless callers can do: nothing to the others. Real sockets, a real `serve`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Setup, TOKEN, Town, alone, http, say, until};

fn town(server: &'static str) -> Town {
    Setup { server, ..Setup::default() }.start()
}

fn connect(town: &Town) -> TcpStream {
    let stream = TcpStream::connect(town.gateway.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// All that comes until the other side closes, which may be by a reset.
fn rest(stream: &mut TcpStream) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A webhook still gets its answer; how long it took, in milliseconds.
fn webhook(town: &Town) -> u128 {
    let began = Instant::now();
    let event = json!({"event": "message", "id": format!("in-{:?}", began), "from": "+60123456780", "text": "hi", "time": 1_767_323_045_000_u64});
    assert_eq!(town.webhook(&event), 200);
    began.elapsed().as_millis()
}

#[test]
fn a_head_or_body_that_dribbles_is_cut_off() {
    let _turn = alone();
    let town = town("head_timeout: 1s, body_timeout: 1s,");
    for (what, begins, expected) in [
        ("a head", "POST /message HTTP/1.1\r\nhost: x\r\nx-a: ".to_owned(), [0, 408]),
        (
            "a body",
            format!(
                "POST /message HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9999\r\n\r\n"
            ),
            [408, 408],
        ),
    ] {
        let (mut stream, began) = (connect(&town), Instant::now());
        stream.write_all(begins.as_bytes()).unwrap();
        let mut dribble = stream.try_clone().unwrap();
        let dribbling = std::thread::spawn(move || {
            while began.elapsed() < Duration::from_secs(10) && dribble.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let answer = rest(&mut stream);
        let took = began.elapsed();
        drop(stream);
        dribbling.join().unwrap();
        say(format!("{what} in drips: {} after {:.1} s", status(&answer), took.as_secs_f64()));
        assert!(expected.contains(&status(&answer)), "{answer}");
        assert!(took < Duration::from_secs(4));
    }
    say(format!("a webhook after that: {} ms", webhook(&town)));
}

#[test]
fn heads_and_bodies_that_are_too_large_are_refused_without_being_read() {
    let _turn = alone();
    let town = town("");
    let ask = |text: &[u8]| {
        let mut stream = connect(&town);
        // It may be refused before all of it is sent.
        let _ = stream.write_all(text);
        status(&rest(&mut stream))
    };
    let long = ask(format!("GET / HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "a".repeat(100_000)).as_bytes());
    let many = ask(format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: b\r\n".repeat(200)).as_bytes());
    let garbage = ask(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n\x16\x03\x01\x00\xff garbage \r\n\r\n");
    let announced =
        ask(b"POST /message HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9000000000\r\n\r\n");
    // A body without end, in pieces.
    let mut stream = connect(&town);
    stream.write_all(b"POST /message HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let piece = [b"1000\r\n".as_slice(), &[b'a'; 4096], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    say(format!(
        "a head of 100 kB {long}, 200 headers {many}, garbage after a request {garbage} (of the request), 9 GB announced {announced}; \
         a body without end is cut off after {sent} bytes"
    ));
    assert_eq!((long, many, garbage, announced), (431, 431, 200, 413));
    assert!(sent < 16 << 20, "buffers of the system aside, no more than the cap is taken");
    say(format!("a webhook after that: {} ms", webhook(&town)));
}

#[test]
fn a_body_for_which_the_others_leave_no_room_is_told_to_come_back() {
    let _turn = alone();
    let town = town("max_body: 1000, max_bodies: 1500, body_timeout: 3s,");
    // Its last bytes do not come.
    let begin = |length: usize| {
        let mut stream = connect(&town);
        let head = "POST /message HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        write!(stream, "{head}content-length: {length}\r\n\r\n{}", "a".repeat(800)).unwrap();
        stream
    };
    let mut first = begin(1000);
    std::thread::sleep(Duration::from_millis(500));
    let beside = rest(&mut begin(1000));
    let slow = status(&rest(&mut first));
    let after = status(&rest(&mut begin(800)));
    say(format!(
        "a body beside one that fills the room: {}, that one {slow}, one after that {after}",
        status(&beside)
    ));
    assert!(beside.starts_with("HTTP/1.1 503 ") && beside.contains("retry-after: 2"), "{beside}");
    assert_eq!((slow, after), (408, 401));
}

#[test]
fn whoever_comes_beyond_the_connections_is_told_to_come_back() {
    let _turn = alone();
    let town = town("connections: 5, head_timeout: 5s,");
    let mut idle = Vec::new();
    // One that asked whether the gateway is up may still have its place when the first of these come.
    let answer = until("a caller is turned away", 20, || {
        idle.extend((0..5).map(|_| connect(&town)));
        std::thread::sleep(Duration::from_millis(200));
        let answer = http::get(&format!("{}/healthz", town.gateway.url));
        (answer.status != 200).then_some(answer)
    });
    say(format!("beyond 5 connections: {} Retry-After {}", answer.status, answer.header("retry-after")));
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(answer.error(), "too many connections are open");
    // Idle connections go when their head does not come.
    std::thread::sleep(Duration::from_millis(5500));
    say(format!("after the time for heads a webhook takes {} ms", webhook(&town)));
}

#[test]
fn a_webhook_is_answered_among_ten_thousand_idle_connections() {
    let _turn = alone();
    let town = town("connections: 10000, head_timeout: 60s,");
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    let count = 9_990.min(soft.saturating_sub(300));
    if count < 9_990 {
        say(format!("ONLY {count} connections: `ulimit -n` is {soft}"));
    }
    let idle: Vec<_> = (0..count).map(|_| connect(&town)).collect();
    let slowest = (0..10).map(|_| webhook(&town)).max().unwrap();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", town.gateway.id())).unwrap();
    let resident = memory.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    say(format!(
        "{} idle connections: the slowest of ten webhooks took {slowest} ms, {resident}",
        idle.len()
    ));
    assert!(slowest < 2000);
}
