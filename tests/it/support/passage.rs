//! The way to a server, which a test can hold up or close.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How long is waited before the way is looked at again.
const GLANCE: Duration = Duration::from_millis(5);

/// What becomes of what is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It passes.
    Open = 0,
    /// It stands still; nobody is told.
    Held = 1,
    /// Connections are cut and refused.
    Shut = 2,
}

/// A way that runs as long as the tests do, to one of several servers for each connection.
pub struct Passage {
    /// Where it listens on this machine.
    pub port: u16,
    ways: Vec<Arc<AtomicU8>>,
}

impl Passage {
    /// One to a server, which is open.
    pub fn to(server: String) -> Self {
        Self::among(vec![server])
    }

    /// One to several servers in turn, which are open; those that are shut are passed over.
    pub fn among(servers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ways: Vec<_> = servers.iter().map(|_| Arc::new(AtomicU8::new(Way::Open as u8))).collect();
        let shared: Vec<_> = servers.into_iter().zip(ways.clone()).collect();
        spawn(move || {
            let mut turns = shared.iter().cycle();
            for near in listener.incoming().flatten() {
                let passable = turns.by_ref().take(shared.len()).find_map(|(server, way)| {
                    let is_shut = way.load(Ordering::SeqCst) == Way::Shut as u8;
                    (!is_shut).then(|| TcpStream::connect(server).ok()).flatten().map(|far| (far, way))
                });
                let Some((far, way)) = passable else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let way = way.clone();
                    spawn(move || carry(from, to, &way));
                }
            }
        });
        Self { port, ways }
    }

    /// From now on, to all servers.
    pub fn set(&self, way: Way) {
        (0..self.ways.len()).for_each(|server| self.set_to(server, way));
    }

    /// From now on, to one of the servers.
    pub fn set_to(&self, server: usize, way: Way) {
        self.ways[server].store(way as u8, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, way: &AtomicU8) {
    from.set_read_timeout(Some(GLANCE)).unwrap();
    let mut bytes = [0; 16 << 10];
    loop {
        let read = from.read(&mut bytes);
        while way.load(Ordering::SeqCst) == Way::Held as u8 {
            sleep(GLANCE);
        }
        if way.load(Ordering::SeqCst) == Way::Shut as u8 {
            break;
        }
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
        }
    }
    for end in [from, to] {
        let _ = end.shutdown(Shutdown::Both);
    }
}
