//! Lists of revoked certificates.

use rustls::pki_types::CertificateRevocationListDer;
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::certificate::Certificate;
use super::files::{self, Bytes};
use crate::transport::LayerError;

/// All lists of a configuration.
pub(super) struct Lists {
    pub(super) der: Vec<CertificateRevocationListDer<'static>>,
    /// Those that can be read; what is wrong with others is told when rustls gets them.
    read: Vec<CertRevocationList<'static>>,
}

impl Lists {
    pub(super) fn of(sources: &[Bytes]) -> Result<Lists, LayerError> {
        let mut der = Vec::new();
        for from in sources {
            der.extend(files::revocation_lists("tls_crl", from)?);
        }
        let read = der.iter().filter_map(|one| OwnedCertRevocationList::from_der(one).ok()).map(Into::into);
        let read = read.collect();
        Ok(Lists { der, read })
    }

    /// Whether one of them has this certificate on it. That is asked of trusted ones, whose issuer may not be known: who
    /// signed the list does not matter, as it can only take trust away.
    pub(super) fn have(&self, certificate: &[u8]) -> bool {
        !self.read.is_empty()
            && Certificate::look(certificate).is_some_and(|seen| {
                let of_issuer = self.read.iter().filter(|list| list.issuer() == seen.record.issuer);
                of_issuer.into_iter().any(|list| matches!(list.find_serial(&seen.record.serial), Ok(Some(_))))
            })
    }
}
