//! The options of `https://` connections, and what they make of the TLS client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use runner_core::{BuildContext, OptionError, Result, Secret};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::Verifier;
use schemars::JsonSchema;
use serde::Deserialize;

use super::private_key::decrypted;
use super::trust::CaFile;
use crate::shared::certificate::{OLD_VERSION, REPLACE_OLD_VERSION};

/// Certificates and keys for `https://`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// The trusted certificates, a PEM file: of authorities, or of the server itself. Default: those of the system, or of
    /// `SSL_CERT_FILE`.
    ca_file: Option<String>,
    /// The client certificate, with intermediate certificates behind it, a PEM file.
    crt_file: Option<String>,
    /// The private key of `crt_file`, a PEM file.
    key_file: Option<String>,
    /// The password of `key_file`, if it is encrypted (PKCS#8, `BEGIN ENCRYPTED PRIVATE KEY`).
    key_pass: Option<Secret>,
    /// Whether the certificate of the server must contain its host name. `false` requires `ca_file`.
    #[serde(default = "crate::shared::default_true")]
    verify_hostname: bool,
}

/// The checked options; files are read when the source is opened.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    ca_file: Option<PathBuf>,
    identity: Option<ClientCertificate>,
    verify_hostname: bool,
}

/// The files of a client certificate.
#[derive(Clone, Debug)]
struct ClientCertificate {
    certificate: PathBuf,
    key: PathBuf,
    password: Option<Secret>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls { ca_file: None, identity: None, verify_hostname: true }
    }
}

impl TlsOptions {
    pub(crate) fn check(&self, context: &BuildContext) -> Result<Tls> {
        if self.key_pass.is_some() && self.key_file.is_none() {
            return Err(OptionError::new("tls.key_pass", "requires `tls.key_file`"));
        }
        let identity = match (&self.crt_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some(ClientCertificate {
                certificate: context.resolve(certificate),
                key: context.resolve(key),
                password: self.key_pass.clone(),
            }),
            (None, None) => None,
            (Some(_), None) => return Err(OptionError::new("tls.crt_file", "requires `tls.key_file`")),
            (None, Some(_)) => return Err(OptionError::new("tls.key_file", "requires `tls.crt_file`")),
        };
        if !self.verify_hostname && self.ca_file.is_none() {
            let message = "`false` requires `tls.ca_file`, so that not every certificate is accepted";
            return Err(OptionError::new("tls.verify_hostname", message));
        }
        let ca_file = self.ca_file.as_ref().map(|path| context.resolve(path));
        Ok(Tls { ca_file, identity, verify_hostname: self.verify_hostname })
    }
}

/// The TLS client of `tls`. `needs_tls` is false if nothing but `http://` is requested: a machine without certificates
/// can do that.
pub(super) fn client_config(tls: &Tls, needs_tls: bool) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if let Some(path) = &tls.ca_file {
        let trust = CaFile::new(authorities(path)?, tls.verify_hostname, &provider)
            .with_context(|| format!("`tls.ca_file`: {} cannot be used", path.display()))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
    } else {
        match Verifier::new(provider) {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            Err(_) if !needs_tls => builder.with_root_certificates(RootCertStore::empty()),
            Err(error) => {
                return Err(error)
                    .context("the certificates of this machine cannot be used; set `tls.ca_file`");
            }
        }
    };
    let mut config = match &tls.identity {
        Some(files) => with_identity(builder, files)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    Ok(config)
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(&read("tls.ca_file", path)?)
        .collect::<Result<_, _>>()
        .with_context(|| format!("`tls.ca_file`: {} is not a valid PEM file", path.display()))?;
    anyhow::ensure!(!found.is_empty(), "`tls.ca_file`: {} contains no certificate", path.display());
    Ok(found)
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &ClientCertificate,
) -> Result<ClientConfig> {
    let ClientCertificate { certificate, key, password } = files;
    let key_text = decrypted(read("tls.key_file", key)?, password.as_ref(), key)?;
    let not_a_pair = || {
        format!(
            "`tls`: {} and {} are not a certificate and its key in PEM files",
            certificate.display(),
            key.display()
        )
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read("tls.crt_file", certificate)?)
        .collect::<Result<_, _>>()
        .with_context(not_a_pair)?;
    let key = PrivateKeyDer::from_pem_slice(&key_text).with_context(not_a_pair)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        if format!("{error:?}").contains(OLD_VERSION) {
            anyhow::anyhow!("`tls.crt_file`: the certificate has an old version; {REPLACE_OLD_VERSION}")
        } else {
            anyhow::Error::new(error).context(not_a_pair())
        }
    })
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("`{option}`: reading {}", path.display()))
}
