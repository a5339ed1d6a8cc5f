//! The face of TLS in a library that was built without it.

use std::fmt::Debug;
use std::sync::Arc;

use super::tls_settings::TlsSettings;
use super::{LayerError, Stream};
use crate::error::{Code, Phase};

/// There is none.
pub trait Backend: Debug + Send + Sync {}

/// Holds nothing.
#[derive(Debug, Default)]
pub struct Configs(());

impl Configs {
    /// Says that TLS was not built.
    pub fn get(&self, _: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        Err(not_built())
    }
}

/// Is never called: there is no backend to call it with.
pub fn wrap(_: Stream, _: &Arc<dyn Backend>, _: &str) -> Result<Stream, LayerError> {
    Err(not_built())
}

fn not_built() -> LayerError {
    let text = "this library was built without TLS; nothing was sent".into();
    LayerError { code: Code::NotBuilt, phase: Phase::Tls, text, alert: None }
}
