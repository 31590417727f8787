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
    let endpoint = format!("https://{}/prices", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 4096];
            // A client that does not trust this server leaves.
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}[1]").as_bytes());
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
    assert!(failure.contains("UnknownIssuer") && failure.contains("set `tls.ca_file`"), "{failure}");
    let run = run_tls(&endpoint, Some(json!({"ca_file": file("ca.pem")}))).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_for_another_host_is_refused_unless_allowed() {
    let endpoint = serve_tls("other", false);
    let tls = json!({"ca_file": file("ca.pem")});
    let failure = run_tls(&endpoint, Some(tls)).await.failure();
    assert!(failure.starts_with("fatal: ") && failure.contains("for another host name"), "{failure}");
    let tls = json!({"ca_file": file("ca.pem"), "verify_hostname": false});
    assert_eq!(run_tls(&endpoint, Some(tls)).await.bodies, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_sent_and_asked_for() {
    let endpoint = serve_tls("server", true);
    let tls =
        json!({"ca_file": file("ca.pem"), "crt_file": file("client.pem"), "key_file": file("client.key")});
    let run = run_tls(&endpoint, Some(tls)).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
    let failure = run_tls(&endpoint, Some(json!({"ca_file": file("ca.pem")}))).await.failure();
    assert!(failure.contains("set `tls.crt_file` and `tls.key_file`"), "{failure}");
}

#[tokio::test]
async fn tls_options_that_cannot_work_are_refused() {
    let server = MockServer::builder().start().await;
    let error = |tls: Value| build(&server, json!({"tls": tls})).err().expect("an error").to_string();
    assert!(error(json!({"crt_file": "a.pem"})).starts_with("`tls.crt_file`"));
    assert!(error(json!({"key_file": "a.key"})).starts_with("`tls.key_file`"));
    assert!(error(json!({"verify_hostname": false})).starts_with("`tls.verify_hostname`"));
    let message = error(json!({"key_pass": "hush"}));
    assert!(message.starts_with("`tls.key_pass`") && !message.contains("hush"), "{message}");
    let failure = async |ca_file: String| {
        let mut source = build(&server, json!({"tls": {"ca_file": ca_file}})).unwrap();
        format!("{:#}", source.open(&Start::default()).await.unwrap_err().error())
    };
    assert!(failure(file("missing.pem")).await.contains("missing.pem"));
    assert!(failure(file("server.key")).await.contains("contains no certificate"));
}
