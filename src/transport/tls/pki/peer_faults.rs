//! Sentences for what a server does wrong, of rustls's three lists of it. A person cannot use more than what it is about;
//! tests/tls/sentences.rs compares the lists with those of rustls.

use rustls::{Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// What the server, or something in between, does wrong: goes on after "the server violated the TLS protocol:".
pub(super) fn misbehaved(what: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved as P;
    match what {
        P::AttemptedDowngradeToTls12WhenTls13IsSupported | P::SelectedTls12UsingTls13VersionExtension => {
            "it, or something on the way, lowers the version to TLS 1.2 although both sides speak 1.3"
        }
        P::BadCertChainExtensions
        | P::DisallowedEncryptedExtension
        | P::DuplicateClientHelloExtensions
        | P::DuplicateEncryptedExtensions
        | P::DuplicateHelloRetryRequestExtensions
        | P::DuplicateNewSessionTicketExtensions
        | P::DuplicateServerHelloExtensions
        | P::MissingQuicTransportParameters
        | P::ServerHelloMustOfferUncompressedEcPoints
        | P::UnexpectedCleartextExtension
        | P::UnsolicitedCertExtension
        | P::UnsolicitedEchExtension
        | P::UnsolicitedEncryptedExtension
        | P::UnsolicitedSctList
        | P::UnsolicitedServerHelloExtension => "it sent extensions that have no place there",
        P::CipherSuiteDifferedOnRetry
        | P::EchAcceptanceVariedAfterRetry
        | P::HandshakeHashVariedAfterRetry
        | P::IllegalHelloRetryRequestWithEmptyCookie
        | P::IllegalHelloRetryRequestWithInvalidEch
        | P::IllegalHelloRetryRequestWithNoChanges
        | P::IllegalHelloRetryRequestWithOfferedGroup
        | P::IllegalHelloRetryRequestWithUnofferedCipherSuite
        | P::IllegalHelloRetryRequestWithUnofferedNamedGroup
        | P::IllegalHelloRetryRequestWithUnsupportedVersion
        | P::IllegalHelloRetryRequestWithWrongSessionId
        | P::RefusedToFollowHelloRetryRequest
        | P::SelectedDifferentCipherSuiteAfterRetry
        | P::ServerNameDifferedOnRetry => "it asked for another ClientHello in a way that is not allowed",
        P::InvalidCertCompression
        | P::OfferedDuplicateCertificateCompressions
        | P::OfferedEmptyApplicationProtocol
        | P::OfferedIncorrectCompressions
        | P::SelectedUnofferedApplicationProtocol
        | P::SelectedUnofferedCertCompression
        | P::SelectedUnofferedCipherSuite
        | P::SelectedUnofferedCompression
        | P::SelectedUnusableCipherSuiteForVersion => "it chose something that was not offered",
        P::InvalidKeyShare
        | P::MissingKeyShare
        | P::OfferedDuplicateKeyShares
        | P::SelectedUnofferedKxGroup
        | P::WrongGroupForKeyShare => "its part of the key exchange is wrong",
        P::SignedHandshakeWithUnadvertisedSigScheme | P::SignedKxWithWrongAlgorithm => {
            "it signed the handshake in a way that was not offered"
        }
        P::IllegalMiddleboxChangeCipherSpec
        | P::IllegalTlsInnerPlaintext
        | P::KeyEpochWithPendingFragment
        | P::KeyUpdateReceivedInQuicConnection
        | P::MessageInterleavedWithHandshakeMessage
        | P::TooManyEmptyFragments => "its records do not follow each other as they must",
        P::TooManyKeyUpdateRequests | P::TooManyRenegotiationRequests | P::TooManyWarningAlertsReceived => {
            "it sends the same request, or warning, again and again"
        }
        P::DuplicateServerNameTypes | P::ServerNameMustContainOneHostName => "its server name is wrong",
        what => misbehaved_in_resumption(what),
    }
}

/// The same about sessions that are resumed, and whatever else there is.
fn misbehaved_in_resumption(what: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved as P;
    match what {
        P::EarlyDataAttemptedInSecondClientHello
        | P::EarlyDataExtensionWithoutResumption
        | P::EarlyDataOfferedWithVariedCipherSuite
        | P::IncorrectBinder
        | P::InvalidMaxEarlyDataSize
        | P::MissingBinderInPskExtension
        | P::MissingPskExtensionInSecondClientHello
        | P::MissingPskModesExtension
        | P::OfferedEarlyDataWithOldProtocolVersion
        | P::PskExtensionMustBeLast
        | P::PskExtensionWithMismatchedIdsAndBinders
        | P::RejectedEarlyDataInterleavedWithHandshakeMessage
        | P::ResumptionAttemptedWithVariedEms
        | P::ResumptionOfferedWithIncompatibleCipherSuite
        | P::ResumptionOfferedWithVariedCipherSuite
        | P::ResumptionOfferedWithVariedEms
        | P::SelectedInvalidPsk
        | P::SelectedUnofferedPsk
        | P::ServerEchoedCompatibilitySessionId
        | P::TooMuchEarlyDataReceived => "it resumes a session that is another one",
        _ => "it did what is not allowed",
    }
}

/// What is missing on one side: goes on after "the server and this client have nothing in common:". Versions are not here.
pub(super) fn incompatible(what: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as P;
    match what {
        P::EcPointsExtensionRequired | P::NoEcPointFormatsInCommon | P::UncompressedEcPointsRequired => {
            "it does not take points of elliptic curves as they are sent here"
        }
        P::ExtendedMasterSecretExtensionRequired => {
            "it lacks the extended master secret (RFC 7627), which makes TLS 1.2 safe: update its TLS library"
        }
        P::IncorrectCertificateTypeExtension | P::UnsolicitedCertificateTypeExtension => {
            "it wants raw public keys instead of certificates"
        }
        P::KeyShareExtensionRequired | P::NamedGroupsExtensionRequired | P::NoKxGroupsInCommon => {
            "it has none of the key exchanges X25519, P-256 and P-384: configure it for one of them"
        }
        P::NoCertificateRequestSignatureSchemesInCommon | P::NoSignatureSchemesInCommon => {
            "it has no kind of signature for the keys at hand: use a key of RSA from 2048 bits on, or of ECDSA on P-256 or \
             P-384"
        }
        P::SignatureAlgorithmsExtensionRequired => "it does not say which signatures it can verify",
        P::NoCipherSuitesInCommon => "no cipher suite: see ssl_cipher_suites",
        P::NullCompressionRequired => "it wants compression, which is not safe",
        P::ServerSentHelloRetryRequestWithUnknownExtension => {
            "it asks for an extension that is not known here"
        }
        P::ServerRejectedEncryptedClientHello(_) => "it does not take an encrypted ClientHello",
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::Tls13RequiredForQuic => "no version of TLS: see tls_min_version",
        _ => "it lacks something that this client needs: update its TLS library",
    }
}

/// What a damaged message is about: goes on after "a message of the server is damaged:".
pub(super) fn invalid(what: InvalidMessage) -> &'static str {
    use InvalidMessage as M;
    match what {
        M::CertificatePayloadTooLarge => "its certificates have more than 64 KB: send only the chain",
        M::HandshakePayloadTooLarge | M::MessageTooLarge => "it is too large",
        M::InvalidCcs
        | M::InvalidContentType
        | M::InvalidEmptyPayload
        | M::InvalidKeyUpdate
        | M::UnexpectedMessage(_) => "it is of a kind that does not belong there",
        M::MessageTooShort | M::MissingData(_) | M::TrailingData(_) => "it is longer or shorter than it says",
        M::InvalidCertificateStatusType | M::InvalidCertRequest | M::UnknownCertificateExtension => {
            "it is about certificates, in a way that is not known here"
        }
        M::InvalidDhParams
        | M::MissingKeyExchange
        | M::UnsupportedCurveType
        | M::UnsupportedKeyExchangeAlgorithm(_) => {
            "its key exchange is not known here: configure the server for ECDHE on X25519, P-256 or P-384"
        }
        M::InvalidServerName => "its server name is wrong",
        M::NoSignatureSchemes | M::IllegalEmptyList(_) | M::IllegalEmptyValue | M::EmptyTicketValue => {
            "something in it is empty"
        }
        M::UnknownProtocolVersion => "its version of TLS is not known",
        M::UnsupportedCompression => "it uses compression, which is not safe",
        M::DuplicateExtension(_)
        | M::PreSharedKeyIsNotFinalExtension
        | M::UnknownHelloRetryRequestExtension => "its extensions are wrong",
        _ => "it cannot be read",
    }
}

/// Errors of rustls that are about neither alerts nor certificates nor the lists above.
pub(super) fn other(error: &Error) -> &'static str {
    match error {
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent a message that does not belong there; update its TLS library, or look for a proxy in between"
        }
        Error::InvalidEncryptedClientHello(_) => "an encrypted ClientHello could not be made",
        Error::NoCertificatesPresented => "the server sent no certificate: give it one",
        Error::UnsupportedNameType => {
            "the server's name is of a kind that no certificate has; set tls_server_name"
        }
        Error::DecryptError => {
            "what the server sent cannot be decrypted: it was damaged on the way, or the server's TLS library is at fault"
        }
        Error::EncryptError | Error::BadMaxFragmentSize => "a record could not be encrypted",
        Error::FailedToGetCurrentTime => {
            "the clock cannot be read, so no certificate can be judged: set the clock"
        }
        Error::FailedToGetRandomBytes => "the system gives no random numbers",
        Error::HandshakeNotComplete => "the handshake is not complete yet",
        Error::PeerSentOversizedRecord => {
            "the server sent a record that is larger than TLS allows: it may not speak TLS on this port"
        }
        Error::InconsistentKeys(_) => "the client's key does not belong to its certificate",
        Error::General(_) | Error::Other(_) => "TLS failed for a reason that it does not name",
        // Told of by others.
        Error::AlertReceived(_)
        | Error::InvalidCertRevocationList(_)
        | Error::InvalidCertificate(_)
        | Error::InvalidMessage(_)
        | Error::NoApplicationProtocol
        | Error::PeerIncompatible(_)
        | Error::PeerMisbehaved(_) => "TLS failed",
        _ => "TLS failed for a reason that is not known here; update the server's TLS library, or this one",
    }
}
