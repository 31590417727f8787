//! Trusts the certificates of `tls.ca_file`, and no others.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::shared::certificate::AUTHORITY_AS_SERVER;

/// Accepts a server whose certificate is signed by one of the certificates, or is one of them.
#[derive(Debug)]
pub(super) struct CaFile {
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
    verify_hostname: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl CaFile {
    /// Fails if one of the certificates cannot be parsed.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        verify_hostname: bool,
        provider: &CryptoProvider,
    ) -> Result<CaFile, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone())?;
        }
        let algorithms = provider.signature_verification_algorithms;
        Ok(CaFile { certificates, roots, verify_hostname, algorithms })
    }

    /// Whether the file contains this certificate, and it is refused only because it is a CA certificate, as `openssl
    /// req -x509` makes it. `webpki` checks the dates first, so they are valid.
    fn is_listed(&self, certificate: &CertificateDer<'_>, error: &Error) -> bool {
        format!("{error:?}").contains(AUTHORITY_AS_SERVER)
            && self.certificates.iter().any(|it| it == certificate)
    }
}

impl ServerCertVerifier for CaFile {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        ) {
            Err(error) if !self.is_listed(end_entity, &error) => return Err(error),
            _ => {}
        }
        if self.verify_hostname {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
