//! Builds the HTTP client: timeouts, certificates, cookies, and which names it resolves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::Error as CipherError;
use pkcs8::{EncryptedPrivateKeyInfo, Error as KeyError, LineEnding, PrivateKeyInfo, SecretDocument};
use reqwest::{Certificate, Identity, Url};
use runner_core::{BuildContext, OptionError, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::error::without_url;
use super::redirect::GuardedResolver;
use crate::shared::certificate::OLD_VERSION;

/// Connect timeout, for hosts that drop packets.
const CONNECT: Duration = Duration::from_secs(10);

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The line in a key file of the old form, before PKCS#8.
const OLD_FORM: &str = "Proc-Type: 4,ENCRYPTED";

/// Certificates and keys for `https://`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// The trusted CA certificates, a PEM file. Default: those of the system, or of `SSL_CERT_FILE`.
    ca_file: Option<String>,
    /// The client certificate, with intermediate certificates behind it, a PEM file.
    crt_file: Option<String>,
    /// The private key of `crt_file`, a PEM file.
    key_file: Option<String>,
    /// The password of `key_file`, if it is encrypted (PKCS#8, `BEGIN ENCRYPTED PRIVATE KEY`).
    key_pass: Option<Secret>,
    /// Whether the certificate of the server must contain its host name. `false` requires `ca_file`.
    #[serde(default = "yes")]
    verify_hostname: bool,
}

fn yes() -> bool {
    true
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

/// Builds the HTTP client for `home`; opens no connection.
pub(crate) fn connect(
    home: &Url,
    token_url: Option<&Url>,
    timeout: Option<Duration>,
    tls: &Tls,
    keeps_cookies: bool,
) -> Result<reqwest::Client> {
    // Fails if a provider is installed already, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let authorities = tls.ca_file.as_deref().map(authorities).transpose()?;
    let identity = tls.identity.as_ref().map(identity).transpose()?;
    let hosts = [Some(home), token_url].into_iter().flatten().filter_map(Url::host_str);
    let trusted: Vec<String> = hosts.map(str::to_owned).collect();
    let builder = || {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
            // `reqwest` removes only standard credential headers on a redirect to another host.
            // API keys in other headers and in the query would be lost or leaked.
            .redirect(reqwest::redirect::Policy::none())
            // It would decompress only the first member of a gzip body.
            .gzip(false)
            .cookie_store(keeps_cookies)
            .dns_resolver(GuardedResolver { trusted: trusted.clone() })
            .connect_timeout(timeout.map_or(CONNECT, |timeout| timeout.min(CONNECT)));
        if let Some(authorities) = &authorities {
            builder = builder.tls_certs_only(authorities.iter().cloned());
        }
        if let Some(identity) = &identity {
            builder = builder.identity(identity.clone());
        }
        if !tls.verify_hostname {
            builder = builder.tls_danger_accept_invalid_hostnames(true);
        }
        match timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        }
    };
    builder().build().or_else(|error| {
        // Plain HTTP works without root certificates.
        if home.scheme() == "http" && authorities.is_none() {
            Ok(builder().tls_certs_only([]).build()?)
        } else {
            let why = if format!("{error:?}").contains(OLD_VERSION) {
                "`tls.crt_file`: the certificate has an old version of X.509; make it again with version 3, as `openssl x509 \
                 -req` does with `-extfile`"
            } else {
                "the certificates cannot be used; check `tls`"
            };
            Err(without_url(error).context(why))
        }
    })
}

fn authorities(path: &Path) -> Result<Vec<Certificate>> {
    let found = Certificate::from_pem_bundle(&read("tls.ca_file", path)?)
        .with_context(|| format!("`tls.ca_file`: {} is not a valid PEM file", path.display()))?;
    anyhow::ensure!(!found.is_empty(), "`tls.ca_file`: {} contains no certificate", path.display());
    Ok(found)
}

fn identity(files: &ClientCertificate) -> Result<Identity> {
    let ClientCertificate { certificate, key, password } = files;
    let key_text = decrypted(read("tls.key_file", key)?, password.as_ref(), key)?;
    let pem = [read("tls.crt_file", certificate)?, b"\n".to_vec(), key_text].concat();
    Identity::from_pem(&pem).with_context(|| {
        format!(
            "`tls`: {} and {} are not a certificate and its key in PEM files",
            certificate.display(),
            key.display()
        )
    })
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("`{option}`: reading {}", path.display()))
}

/// The content of the key file at `path`, decrypted with `password` if it is encrypted.
fn decrypted(content: Vec<u8>, password: Option<&Secret>, path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let text = String::from_utf8_lossy(&content);
    if text.contains(OLD_FORM) {
        bail!(
            "`tls.key_file`: {shown} is encrypted in the old form of OpenSSL (`{OLD_FORM}`), which is not supported; \
             convert it with `openssl pkcs8 -topk8 -in {shown} -out NEW`, which asks for its password and for a new one"
        );
    }
    match (block(&text), password) {
        (None, None) => Ok(content),
        (None, Some(_)) => bail!("`tls.key_pass`: {shown} is not an encrypted key; omit the option"),
        (Some(_), None) => bail!("`tls.key_file`: {shown} is encrypted; set `tls.key_pass` to its password"),
        (Some(block), Some(password)) => {
            decrypt(block, password).with_context(|| format!("`tls.key_pass`: {shown}"))
        }
    }
}

/// The encrypted key in a PEM file.
fn block(text: &str) -> Option<&str> {
    let start = text.find(BEGIN)?;
    let end = text[start..].find(END).map_or(text.len(), |at| start + at + END.len());
    Some(&text[start..end])
}

/// The key in PEM.
fn decrypt(block: &str, password: &Secret) -> Result<Vec<u8>> {
    let damaged = || anyhow!("it is not a valid encrypted key: the file is cut or damaged");
    let unsupported = || {
        anyhow!(
            "it is encrypted with an algorithm that is not supported; encrypt it anew with `openssl pkcs8 -topk8`, \
             which uses AES"
        )
    };
    let (_, encrypted) = SecretDocument::from_pem(block).map_err(|_| damaged())?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(encrypted.as_bytes()).map_err(|_| unsupported())?;
    let key = encrypted.decrypt(password.expose()).map_err(|error| match error {
        KeyError::EncryptedPrivateKey(
            CipherError::NoPbes1CryptSupport
            | CipherError::UnsupportedAlgorithm { .. }
            | CipherError::AlgorithmParametersInvalid { .. },
        ) => unsupported(),
        // A wrong password may also give something that looks decrypted.
        _ => anyhow!("it cannot be decrypted: the password is wrong"),
    })?;
    let pem = key.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF);
    Ok(pem.map_err(|_| damaged())?.as_bytes().to_vec())
}
