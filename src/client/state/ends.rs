//! When certificates end.

use crate::lazy_box::Empty;
use crate::time::Time;
use crate::transport::Expiry;

/// When the certificates of the present connection end, and when to look at that again.
#[derive(Default)]
pub(in crate::client) struct Ends {
    pub(in crate::client) ends: Expiry,
    pub(in crate::client) look_at: Option<Time>,
}

impl Empty for Ends {
    const EMPTY: &'static Self = &Ends { ends: Expiry { client: None, server: None }, look_at: None };
}
