//! A signature: the proof that a request comes, unchanged, from somebody who has the secret key.
//!
//! The steps and the names are those of [Signature Version 4][1]; of its forms, this is the one in the header
//! `authorization`, which every SDK uses for JSON. S3's other forms are left to `s3s`.
//!
//! [1]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::keys::Keys;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The header `authorization` in its pieces.
struct Claim<'a> {
    access_key: &'a str,
    /// Day, region, service and an end.
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Fails unless the request was signed with these keys.
pub(super) fn check(keys: &Keys, head: &Parts, body: &[u8]) -> Result<(), Fault> {
    let header = head.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let Some(header) = header else {
        return Err(Fault::new("MissingAuthenticationTokenException", "The request is not signed."));
    };
    let Some(claim) = Claim::read(header) else {
        let message = format!("The header authorization is not one of {ALGORITHM}: {header}");
        return Err(Fault::new("IncompleteSignatureException", message));
    };
    if claim.access_key != keys.access_key {
        return Err(Fault::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid: there is no such access key.",
        ));
    }
    let expected = sign(&keys.secret_key, &claim, head, body);
    // The time that the comparison takes tells nothing: it is left to `hmac`.
    let signature = bytes_of(claim.signature);
    if signature.is_some_and(|signature| expected.verify_slice(&signature).is_ok()) {
        return Ok(());
    }
    Err(Fault::new(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method.",
    ))
}

impl Claim<'_> {
    fn read(header: &str) -> Option<Claim<'_>> {
        let rest = header.strip_prefix(ALGORITHM)?;
        let piece =
            |name: &str| rest.split(',').find_map(|piece| piece.trim().strip_prefix(name)?.strip_prefix('='));
        let (access_key, scope) = piece("Credential")?.split_once('/')?;
        Some(Claim {
            access_key,
            scope,
            signed_headers: piece("SignedHeaders")?,
            signature: piece("Signature")?,
        })
    }
}

fn sign(secret: &str, claim: &Claim<'_>, head: &Parts, body: &[u8]) -> Hmac<Sha256> {
    let date = value(&head.headers, "x-amz-date");
    let request = canonical(claim, head, body);
    let text = format!("{ALGORITHM}\n{date}\n{}\n{}", claim.scope, hex(&Sha256::digest(request)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for piece in claim.scope.split('/') {
        key = keyed(&key, piece).finalize().into_bytes().to_vec();
    }
    keyed(&key, &text)
}

/// The request in the one spelling that is signed.
fn canonical(claim: &Claim<'_>, head: &Parts, body: &[u8]) -> String {
    let mut query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let names = claim.signed_headers.split(';');
    let headers: String = names.map(|name| format!("{name}:{}\n", value(&head.headers, name))).collect();
    let (path, query, body) = (head.uri.path(), query.join("&"), hex(&Sha256::digest(body)));
    format!("{}\n{path}\n{query}\n{headers}\n{}\n{body}", head.method, claim.signed_headers)
}

/// All values of a header, with single spaces.
fn value(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().filter_map(|it| it.to_str().ok());
    values.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(",")
}

fn keyed(key: &[u8], text: &str) -> Hmac<Sha256> {
    // A key of any length will do, so there is no failure to answer with.
    let mut sum =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length is a key's"));
    sum.update(text.as_bytes());
    sum
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
