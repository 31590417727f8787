//! Private certificate authorities and client certificates.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// The folder of the certificates, which expire in 2126.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sources/http/tests/tls");

fn file(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// Serves `[1]` with this certificate until the test ends. Returns the endpoint.
fn serve_tls(name: &str, asks_for_certificate: bool) -> String {
    serve_tls_with(name, asks_for_certificate, |_, _| {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n[1]".into()
    })
}

/// Serves what `answer` makes of the address of the server and the request.
fn serve_tls_with(name: &str, asks_for_certificate: bool, answer: fn(&str, &str) -> String) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    let certificates = CertificateDer::pem_file_iter(file(&format!("{name}.pem"))).unwrap();
    let certificates = certificates.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
    let config = if asks_for_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
        ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
    } else {
        ServerConfig::builder().with_no_client_auth()
    };
    let config = Arc::new(config.with_single_cert(certificates, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let endpoint = format!("https://{address}/prices");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            // A client that does not trust this server leaves.
            if let Ok(length) = stream.read(&mut request)
                && length > 0
            {
                let answer = answer(&address, &String::from_utf8_lossy(&request[..length]));
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    endpoint
}

async fn run_tls(endpoint: &str, tls: Option<Value>) -> Run {
    let mut options = json!({"endpoint": endpoint});
    if let Some(tls) = tls {
        options["tls"] = tls;
    }
    run_once(&MockServer::builder().start().await, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_of_a_private_authority_needs_the_ca_file() {
    let endpoint = serve_tls("server", false);
    let failure = run_tls(&endpoint, None).await.failure();
    assert!(failure.starts_with("fatal: "), "no retry helps: {failure}");
    assert_contains(&failure, &["UnknownIssuer", "set `tls.ca_file`"]);
    let run = run_tls(&endpoint, Some(json!({"ca_file": file("ca.pem")}))).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn self_signed_certificate_is_trusted_as_ca_file() {
    // Both as `openssl req -x509` makes them; the dates of the second are past.
    let endpoint = serve_tls("self", false);
    let failure = run_tls(&endpoint, None).await.failure();
    assert_contains(&failure, &["fatal: ", "CA:TRUE", "set `tls.ca_file`"]);
    let failure = run_tls(&endpoint, Some(json!({"ca_file": file("ca.pem")}))).await.failure();
    assert_contains(&failure, &["fatal: ", "CA:TRUE"]);
    let run = run_tls(&endpoint, Some(json!({"ca_file": file("self.pem")}))).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
    let expired = serve_tls("self.expired", false);
    let failure = run_tls(&expired, Some(json!({"ca_file": file("self.expired.pem")}))).await.failure();
    assert_contains(&failure, &["fatal: ", "has expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_for_another_host_is_refused_unless_allowed() {
    let endpoint = serve_tls("other", false);
    let itself = serve_tls("self.other", false);
    for (endpoint, ca_file) in [(&endpoint, "ca.pem"), (&itself, "self.other.pem")] {
        let tls = json!({"ca_file": file(ca_file)});
        let failure = run_tls(endpoint, Some(tls)).await.failure();
        assert_contains(&failure, &["fatal: ", "for another host name"]);
        let tls = json!({"ca_file": file(ca_file), "verify_hostname": false});
        assert_eq!(run_tls(endpoint, Some(tls)).await.bodies, ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_sent_and_asked_for() {
    let endpoint = serve_tls("server", true);
    let tls =
        json!({"ca_file": file("ca.pem"), "crt_file": file("client.pem"), "key_file": file("client.key")});
    let run = run_tls(&endpoint, Some(tls)).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
    let failure = run_tls(&endpoint, Some(json!({"ca_file": file("ca.pem")}))).await.failure();
    assert_contains(&failure, &["set `tls.crt_file` and `tls.key_file`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unencrypted_link_of_an_encrypted_endpoint_is_asked_over_tls() {
    // A server behind a proxy, which names itself without the encryption. It reads requests over TLS only.
    let answer = |address: &str, request: &str| {
        assert!(request.contains("authorization: Bearer s3cret"), "{request}");
        let path = request.split(' ').nth(1).unwrap_or_default();
        let close = "Connection: close\r\nContent-Length";
        let page = |body: String| format!("HTTP/1.1 200 OK\r\n{close}: {}\r\n\r\n{body}", body.len());
        let moved =
            |to: &str| format!("HTTP/1.1 301 Moved\r\nLocation: http://{address}{to}\r\n{close}: 0\r\n\r\n");
        match path {
            "/prices" => page(format!(r#"{{"data": [1], "next": "http://{address}/prices?page=2"}}"#)),
            "/prices?page=2" => moved("/prices/?page=2"),
            "/prices/?page=2" => page(r#"{"data": [2]}"#.into()),
            other => moved(other),
        }
    };
    let endpoint = serve_tls_with("server", false, answer);
    let options = |endpoint: &str| {
        json!({
            "endpoint": endpoint,
            "tls": {"ca_file": file("ca.pem")},
            "records": "/data",
            "pagination": {"type": "next_url", "next": "/next"},
            "auth": {"strategy": "bearer", "token": "s3cret"},
        })
    };
    let server = MockServer::builder().start().await;
    let first = run(&server, options(&endpoint), None, 1).await;
    assert_eq!(first.bodies, ["1"]);
    let rest = run(&server, options(&endpoint), first.position, usize::MAX).await;
    assert!(rest.error.is_none() && rest.bodies == ["2"], "{rest:?}");
    // A server that leads each address back to `http://` would do so forever.
    let failure = run_once(&server, options(&format!("{endpoint}/loop"))).await.failure();
    assert_contains(&failure, &["never left for an unencrypted one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_key_of_a_client_certificate_is_read_with_its_password() {
    let endpoint = serve_tls("server", true);
    let tls = |key: &str, password: Option<&str>| {
        let mut tls =
            json!({"ca_file": file("ca.pem"), "crt_file": file("client.pem"), "key_file": file(key)});
        if let Some(password) = password {
            tls["key_pass"] = json!(password);
        }
        tls
    };
    // As OpenSSL writes it today, and as `openssl req` has written it for long.
    for key in ["client.aes.key", "client.des3.key"] {
        let run = run_tls(&endpoint, Some(tls(key, Some("correct-horse")))).await;
        assert!(run.error.is_none() && run.bodies == ["1"], "{key}: {run:?}");
    }
    let server = MockServer::builder().start().await;
    for (key, password, parts) in [
        ("client.aes.key", Some("battery-staple"), ["`tls.key_pass`", "the password is wrong"]),
        ("client.des3.key", Some("battery-staple"), ["`tls.key_pass`", "the password is wrong"]),
        ("client.aes.key", None, ["`tls.key_file`", "set `tls.key_pass`"]),
        ("client.key", Some("battery-staple"), ["`tls.key_pass`", "is not an encrypted key"]),
        ("client.pbes1.key", Some("battery-staple"), ["not supported", "openssl pkcs8 -topk8"]),
        ("client.old.key", Some("battery-staple"), ["Proc-Type", "openssl pkcs8 -topk8"]),
        ("client.old.key", None, ["Proc-Type", "openssl pkcs8 -topk8"]),
    ] {
        let mut source = build(&server, json!({"tls": tls(key, password)})).unwrap();
        let failure = format!("{:#}", source.open(&Start::default()).await.unwrap_err().error());
        assert!(parts.iter().all(|part| failure.contains(part)), "{key}: {failure}");
        assert!(failure.contains(key) && !failure.contains("staple"), "{failure}");
    }
}

#[tokio::test]
async fn tls_options_that_cannot_work_are_refused() {
    let server = MockServer::builder().start().await;
    for (tls, expected) in [
        (json!({"crt_file": "a.pem"}), "`tls.crt_file`"),
        (json!({"key_file": "a.key"}), "`tls.key_file`"),
        (json!({"verify_hostname": false}), "`tls.verify_hostname`"),
        (json!({"key_pass": "hush"}), "`tls.key_pass`: requires `tls.key_file`"),
    ] {
        let error = build(&server, json!({"tls": tls})).err().expect("an error").to_string();
        assert!(error.starts_with(expected) && !error.contains("hush"), "{error}");
    }
    for (name, part) in [("missing.pem", "missing.pem"), ("server.key", "contains no certificate")] {
        let mut source = build(&server, json!({"tls": {"ca_file": file(name)}})).unwrap();
        let failure = source.open(&Start::default()).await.unwrap_err();
        assert_contains(&format!("{:#}", failure.error()), &[part]);
    }
}
