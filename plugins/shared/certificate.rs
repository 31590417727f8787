//! Certificates that `rustls` refuses, although other programs accept them.

/// Part of the TLS error about a server with a CA certificate (`CA:TRUE`).
pub(crate) const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Part of the TLS error about a certificate of X.509 version 1 or 2.
pub(crate) const OLD_VERSION: &str = "UnsupportedCertVersion";

/// What to do about a certificate of an old version.
pub(crate) const REPLACE_OLD_VERSION: &str =
    "make it again with version 3 of X.509, as `openssl x509 -req` does with `-extfile`";

/// What to do about a server of AWS's protocols whose certificate is refused, by the text of the error.
pub(crate) fn advice(error: &str) -> Option<String> {
    const TRUST: &str = "set the variable SSL_CERT_FILE to a PEM file with";
    let why = if error.contains("UnknownIssuer") {
        format!(
            "this machine does not trust the authority of its certificate: {TRUST} the certificate of that authority"
        )
    } else if error.contains(AUTHORITY_AS_SERVER) {
        format!(
            "its certificate is a CA certificate (CA:TRUE), as `openssl req -x509` makes it, which a \
             server cannot use: make it again with `-addext basicConstraints=critical,CA:FALSE`, and {TRUST} it"
        )
    } else if error.contains(OLD_VERSION) {
        format!("its certificate has an old version: {REPLACE_OLD_VERSION}")
    } else {
        return None;
    };
    Some(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_certificates_and_the_fix_are_reported() {
        let advice = |error: &str| advice(&format!("invalid peer certificate: {error}"));
        for (error, way_out) in [
            ("UnknownIssuer", "set the variable SSL_CERT_FILE"),
            ("Other(OtherError(CaUsedAsEndEntity))", "basicConstraints=critical,CA:FALSE"),
            ("Other(OtherError(UnsupportedCertVersion))", "version 3"),
        ] {
            let said = advice(error).unwrap();
            assert!(said.contains(way_out), "{said}");
        }
        assert_eq!(advice("Expired"), None);
    }
}
