//! Certificates that `rustls` refuses, although other programs accept them.

/// What to do about a server whose certificate is refused, by the text of the error. `trust` is what names the
/// certificates that are trusted.
pub(crate) fn advice(error: &str, trust: &str) -> Option<String> {
    let why = if error.contains("UnknownIssuer") {
        format!(
            "this machine does not trust the authority of its certificate: set {trust} to a PEM file with the certificate of \
             that authority"
        )
    } else if error.contains("CaUsedAsEndEntity") {
        format!(
            "its certificate is marked as that of an authority (CA:TRUE), as `openssl req -x509` makes it, which a \
             server cannot use: make it again with `-addext basicConstraints=critical,CA:FALSE`, and set {trust} to a PEM file \
             with it"
        )
    } else if error.contains(OLD_VERSION) {
        "its certificate has an old version of X.509: make it again with version 3, as `openssl x509 -req` does with \
         `-extfile`"
            .into()
    } else {
        return None;
    };
    Some(why)
}

/// Stands in the error about a certificate of an old version.
pub(crate) const OLD_VERSION: &str = "UnsupportedCertVersion";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_certificates_are_told_with_the_way_out() {
        let advice = |error: &str| advice(&format!("invalid peer certificate: {error}"), "SSL_CERT_FILE");
        for (error, way_out) in [
            ("UnknownIssuer", "set SSL_CERT_FILE"),
            ("Other(OtherError(CaUsedAsEndEntity))", "basicConstraints=critical,CA:FALSE"),
            ("Other(OtherError(UnsupportedCertVersion))", "version 3"),
        ] {
            let said = advice(error).unwrap();
            assert!(said.contains(way_out), "{said}");
        }
        assert_eq!(advice("Expired"), None);
    }
}
