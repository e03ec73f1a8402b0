//! A road to NATS that can be cut, and be slow.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes bytes on between a port of its own and another one.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    road: Arc<Road>,
}

#[derive(Default)]
struct Road {
    is_over: AtomicBool,
    is_cut: AtomicBool,
    delay_ms: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let road = Arc::<Road>::default();
        let kept = Arc::clone(&road);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if road.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(near) = stream else { continue };
                if road.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let road = Arc::clone(&road);
                    std::thread::spawn(move || road.carry(from, to));
                }
                road.open.lock().expect("no panic").extend([near, far]);
            }
        });
        Self { port: own, road: kept }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends every connection; new ones are not let through until `mend`.
    pub(crate) fn cut(&self) {
        self.road.is_cut.store(true, Ordering::SeqCst);
        for stream in self.road.open.lock().expect("no panic").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// How long each piece waits.
    pub(crate) fn delay(&self, delay: Duration) {
        self.road.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.road.is_cut.store(false, Ordering::SeqCst);
        self.delay(Duration::ZERO);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.road.is_over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the one that waits for connections.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Road {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            std::thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst)));
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    }
}
