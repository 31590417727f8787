//! Reads the private key of a client certificate.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::Error as CipherError;
use pkcs8::{EncryptedPrivateKeyInfo, Error as KeyError, LineEnding, PrivateKeyInfo, SecretDocument};
use runner_core::{Result, Secret};

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The line in a key file of the old form, before PKCS#8.
const OLD_FORM: &str = "Proc-Type: 4,ENCRYPTED";

/// The content of the key file at `path`, decrypted with `password` if it is encrypted.
pub(super) fn decrypted(content: Vec<u8>, password: Option<&Secret>, path: &Path) -> Result<Vec<u8>> {
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
