//! Host names to addresses, without ever blocking a loop.
//!
//! The system's resolver blocks, for as long as it likes, and cannot be cancelled. So it runs on
//! helper threads that own nothing but their job: a thread that hangs holds no reference to the
//! loop or to a connection, and whoever asked can walk away from it.
//!
//! A host that has a resolver which does not block takes the questions itself, and no thread is made.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use crate::sync::Mutex;

/// How many names one loop asks for at the same time; a system with a dead name server must not
/// end up with a thread for each connection.
const MAX_THREADS: usize = 8;

/// Resolves a name; may block.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Takes a question; must not block.
pub type Ask = dyn Fn(Question) + Send + Sync;

/// Why a name has no address.
#[derive(Debug)]
pub enum LookupError {
    /// What the name service said.
    Failed(io::Error),
    /// No thread could be started to ask it.
    NoResources,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::Failed(error) => error.fmt(f),
            LookupError::NoResources => f.write_str("no thread could be started to resolve the name"),
        }
    }
}

impl std::error::Error for LookupError {}

type Answer = Result<Vec<SocketAddr>, LookupError>;

/// A question to the name service. Dropping it means that the answer is of no interest any more.
#[derive(Debug)]
pub struct Lookup(Arc<Mutex<Option<Answer>>>);

impl Lookup {
    /// The answer, once: the addresses in the order the system prefers, never an empty list.
    pub fn take(&self) -> Option<Result<Vec<SocketAddr>, LookupError>> {
        self.0.lock().take()
    }
}

/// A name whose addresses somebody waits for. Dropping it leaves the question without an answer, so that
/// the asker runs into its own time limit.
pub struct Question {
    host: String,
    port: u16,
    /// Dead when the asker dropped its [`Lookup`].
    answer: Weak<Mutex<Option<Answer>>>,
    /// Tells the asker that the answer is there.
    announce: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Question>,
    threads: usize,
}

/// Who answers.
enum Service {
    Threads(Arc<Resolve>),
    Host(Arc<Ask>),
}

/// The name service of one loop, with its helper threads.
pub(crate) struct Resolver {
    service: Service,
    work: Arc<Mutex<Work>>,
}

impl Resolver {
    /// A resolver that asks `resolve`.
    pub(crate) fn new(resolve: Arc<Resolve>) -> Resolver {
        Resolver { service: Service::Threads(resolve), work: Arc::default() }
    }

    /// A resolver that gives every question to `ask`.
    pub(crate) fn asking(ask: Arc<Ask>) -> Resolver {
        Resolver { service: Service::Host(ask), work: Arc::default() }
    }

    /// Asks for the addresses of `host`. `announce` runs once when the answer is there, unless
    /// nobody wants it any more; at once for an address in text form.
    pub(crate) fn lookup(&self, host: &str, port: u16, announce: Box<dyn FnOnce() + Send>) -> Lookup {
        if let Some(answer) = literal(host, port) {
            return Resolver::at_once(answer, announce);
        }
        let slot = Arc::new(Mutex::new(None));
        let question = Question { host: host.to_owned(), port, answer: Arc::downgrade(&slot), announce };
        let resolve = match &self.service {
            Service::Threads(resolve) => resolve.clone(),
            Service::Host(ask) => {
                ask(question);
                return Lookup(slot);
            }
        };
        let mut work = self.work.lock();
        work.queue.push_back(question);
        if work.threads >= MAX_THREADS {
            return Lookup(slot);
        }
        work.threads += 1;
        drop(work);

        let shared = self.work.clone();
        let thread = std::thread::Builder::new().name("mgos-mqtt-dns".into());
        if thread.spawn(move || serve(&shared, &*resolve)).is_err() {
            let mut work = self.work.lock();
            work.threads -= 1;
            // Another thread may come to it; with none left, nobody would.
            let stranded = if work.threads == 0 { std::mem::take(&mut work.queue) } else { VecDeque::new() };
            drop(work);
            for question in stranded {
                question.finish(Err(LookupError::NoResources));
            }
        }
        Lookup(slot)
    }

    /// Forgets the questions that no thread has begun with.
    pub(crate) fn clear(&self) {
        let forgotten = std::mem::take(&mut self.work.lock().queue);
        drop(forgotten);
    }

    fn at_once(answer: Answer, announce: Box<dyn FnOnce() + Send>) -> Lookup {
        let lookup = Lookup(Arc::new(Mutex::new(Some(answer))));
        announce();
        lookup
    }
}

impl Question {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that the addresses shall have.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers it. Without effect if nobody waits any more.
    pub fn answer(self, result: io::Result<Vec<SocketAddr>>) {
        self.finish(match result {
            Ok(addresses) if addresses.is_empty() => {
                Err(LookupError::Failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
            }
            result => result.map_err(LookupError::Failed),
        });
    }

    fn finish(self, answer: Answer) {
        if let Some(slot) = self.answer.upgrade() {
            *slot.lock() = Some(answer);
            (self.announce)();
        }
    }
}

/// What a helper thread does until there is no more work.
fn serve(work: &Mutex<Work>, resolve: &Resolve) {
    loop {
        let question = {
            let mut work = work.lock();
            match work.queue.pop_front() {
                Some(question) => question,
                None => {
                    // Under the same lock as the look at the queue: whoever adds a job later sees
                    // that this thread is gone.
                    work.threads -= 1;
                    return;
                }
            }
        };
        if question.answer.strong_count() == 0 {
            continue;
        }
        // An injected resolver may panic; the thread's place must not be lost.
        let result = catch_unwind(AssertUnwindSafe(|| resolve(&question.host, question.port)));
        question.answer(result.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked"))));
    }
}

/// Asks the system, as `getaddrinfo` does.
pub(crate) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The answer for an address in text form: `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`,
/// `fe80::1%2`, `fe80::1%eth0`. `None` for a name.
fn literal(host: &str, port: u16) -> Option<Answer> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = inner.unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(_) if inner.is_some() => None,
            address => Some(Ok(vec![SocketAddr::new(address, port)])),
        };
    }
    let (address, _scope) = bare.split_once('%')?;
    address.parse::<Ipv6Addr>().ok()?;
    // The system turns the scope's name into a number; for an address it asks nobody, so this
    // does not block. It wants no brackets.
    Some(system(bare, port).map_err(LookupError::Failed))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use super::*;

    fn addresses(host: &str) -> Option<Vec<String>> {
        literal(host, 1883).map(|a| a.unwrap().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn literals_need_no_thread() {
        assert_eq!(addresses("192.0.2.7").unwrap(), ["192.0.2.7:1883"]);
        assert_eq!(addresses("2001:db8::1").unwrap(), ["[2001:db8::1]:1883"]);
        assert_eq!(addresses("[::1]").unwrap(), ["[::1]:1883"]);
        assert_eq!(addresses("fe80::1%7").unwrap(), ["[fe80::1%7]:1883"]);
        assert_eq!(addresses("[fe80::1%7]").unwrap(), ["[fe80::1%7]:1883"]);
        for name in ["localhost", "192.0.2", "[192.0.2.7]", "a%b", "", "[", "%1"] {
            assert!(addresses(name).is_none(), "{name}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scope_may_be_a_name() {
        assert!(addresses("fe80::1%lo").unwrap()[0].starts_with("[fe80::1%"));
        assert!(literal("fe80::1%no-such-interface", 1883).unwrap().is_err());
    }

    #[test]
    fn at_most_eight_at_once_and_the_threads_end() {
        let (begun, wait_begun) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let resolver = Resolver::new({
            let gate = gate.clone();
            Arc::new(move |_: &str, port| {
                begun.send(()).unwrap();
                drop(gate.lock());
                Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)])
            })
        });
        let (done, wait_done) = mpsc::channel();
        let lookups: Vec<Lookup> = (0..20)
            .map(|port| {
                let done = done.clone();
                resolver.lookup("name", port, Box::new(move || done.send(port).unwrap()))
            })
            .collect();
        for _ in 0..MAX_THREADS {
            wait_begun.recv().unwrap();
        }
        // All eight are inside, twelve wait, and no ninth thread exists.
        assert_eq!(resolver.work.lock().threads, MAX_THREADS);
        assert_eq!(resolver.work.lock().queue.len(), 20 - MAX_THREADS);
        assert!(wait_begun.try_recv().is_err());
        // An unwanted question is not asked; an unwanted answer is not announced.
        let mut lookups = lookups;
        lookups.truncate(10);
        drop(closed);
        let mut ports: Vec<u16> = (0..10).map(|_| wait_done.recv().unwrap()).collect();
        ports.sort_unstable();
        assert_eq!(ports, (0..10).collect::<Vec<_>>());
        for (port, lookup) in lookups.iter().enumerate() {
            assert_eq!(lookup.take().unwrap().unwrap()[0].port(), port as u16);
            assert!(lookup.take().is_none());
        }
        // The announcers of the forgotten ten go with their jobs; then nobody can send any more.
        drop(done);
        assert!(wait_done.recv().is_err());
    }

    #[test]
    fn a_panicking_or_empty_resolver_is_an_answer() {
        let (done, wait_done) = mpsc::channel();
        let resolver = Resolver::new(Arc::new(|host: &str, _| match host {
            "empty" => Ok(Vec::new()),
            _ => std::panic::resume_unwind(Box::new(())),
        }));
        for host in ["empty", "panic", "empty"] {
            let done = done.clone();
            let lookup = resolver.lookup(host, 1, Box::new(move || done.send(()).unwrap()));
            wait_done.recv().unwrap();
            assert!(matches!(lookup.take(), Some(Err(LookupError::Failed(_)))));
        }
    }
}
