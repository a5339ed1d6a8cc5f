//! The connection attempt in progress.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::client::handlers::event::Report;
use crate::config::Profile;
use crate::lazy_box::{Empty, LazyBox};
use crate::patience::Patience;
use crate::time::{Span, Time};
use crate::transport::{Endpoint, Stream};

/// A wall clock before this (July 2017) was not set yet; as in Mongoose OS.
pub(in crate::client) const PLAUSIBLE_TIME: f64 = 1_500_000_000.0;

/// State of the connection attempt in progress.
#[derive(Default)]
pub(in crate::client) struct Tries {
    /// The endpoint that was reached.
    pub(in crate::client) target: Option<Endpoint>,
    /// The configuration has an address, and no name.
    pub(in crate::client) is_literal: bool,
    /// None as long as that is the only one.
    pub(in crate::client) others: LazyBox<Others>,
    /// Why the handshake failed at an address before that, or its socket could not be made.
    pub(in crate::client) insecure: Option<Box<Report>>,
    /// The profile as it is configured, if that of the attempt is not.
    pub(in crate::client) common: Option<Arc<Profile>>,
    /// How long the handshake may take.
    pub(in crate::client) handshake: Patience,
}

impl Empty for Tries {
    const EMPTY: &'static Self = &Tries {
        target: None,
        is_literal: false,
        others: LazyBox::new(),
        insecure: None,
        common: None,
        handshake: Patience::NONE,
    };
}

/// A transport that is being opened.
pub(in crate::client) struct Opening {
    pub(in crate::client) endpoint: Endpoint,
    pub(in crate::client) transport: Stream,
}

/// Endpoints still to be tried, and those that failed.
#[derive(Default)]
pub(in crate::client) struct Others {
    pub(in crate::client) endpoints: VecDeque<Endpoint>,
    pub(in crate::client) tried: Vec<(Endpoint, i32)>,
    /// Of the time for opening that all endpoints have together, so much is used up.
    pub(in crate::client) used: Span,
    /// When the present one began, and its share.
    pub(in crate::client) present: (Time, Span),
    /// The endpoint is the one that was reached last; why the name service has none.
    pub(in crate::client) no_name: Option<String>,
}

impl Empty for Others {
    const EMPTY: &'static Self = &Others {
        endpoints: VecDeque::new(),
        tried: Vec::new(),
        used: Span::ZERO,
        present: (Time::ZERO, Span::ZERO),
        no_name: None,
    };
}
