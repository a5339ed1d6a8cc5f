//! The mosquitto of these tests: a plain listener, and one with TLS where that is built in.

use std::net::{Ipv4Addr, SocketAddr};

use crate::tls_support;

pub(crate) struct Brokers {
    _process: tls_support::Broker,
    _folder: tls_support::Folder,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    /// The file of the authority that the TLS listener's certificate is by.
    pub(crate) ca: String,
}

impl Brokers {
    /// `None` if there is no mosquitto on this machine.
    pub(crate) fn start() -> Option<Brokers> {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/local/sbin";
        std::env::split_paths(&path).find(|folder| folder.join("mosquitto").is_file())?;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = tls_support::Folder::new();
        if !cfg!(feature = "tls") {
            let process = tls_support::Broker::with("");
            let plain = at(process.port);
            return Some(Brokers { _process: process, _folder: folder, plain, tls: None, ca: String::new() });
        }
        let authority = tls_support::Ca::new("Byte boundary");
        let ca = folder.put("ca.pem", &authority.pem);
        let (process, plain) = tls_support::Broker::tls_and_plain(&authority.issue(&["127.0.0.1"]));
        let tls = Some(at(process.port));
        Some(Brokers { _process: process, _folder: folder, plain: at(plain), tls, ca })
    }
}
