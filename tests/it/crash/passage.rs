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

/// A way that runs as long as the tests do.
pub struct Passage {
    /// Where it listens on this machine.
    pub port: u16,
    way: Arc<AtomicU8>,
}

impl Passage {
    /// One to a server, which is open.
    pub fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(AtomicU8::new(Way::Open as u8));
        let shared = way.clone();
        spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.load(Ordering::SeqCst) == Way::Shut as u8 {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&server) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let way = shared.clone();
                    spawn(move || carry(from, to, &way));
                }
            }
        });
        Self { port, way }
    }

    /// From now on.
    pub fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
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
