//! The face of TLS in a library that was built without it.

use std::sync::Arc;

use super::tls_settings::TlsSettings;
use super::{LayerError, Transport};
use crate::error::{Code, Phase};

/// There is none.
#[derive(Debug)]
pub enum Config {}

/// Holds nothing.
#[derive(Debug, Default)]
pub struct Configs(());

impl Configs {
    /// Says that TLS was not built.
    pub fn get(&self, _: &TlsSettings<'_>) -> Result<Arc<Config>, LayerError> {
        let text = "this library was built without TLS; nothing was sent".into();
        Err(LayerError { code: Code::NotBuilt, phase: Phase::Tls, text, alert: None })
    }
}

/// Cannot be called: there is no configuration to call it with.
pub fn wrap(_: Box<dyn Transport>, config: &Arc<Config>, _: &str) -> Result<Box<dyn Transport>, LayerError> {
    match **config {}
}
