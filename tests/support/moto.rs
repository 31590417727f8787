//! `moto`, an independent implementation of AWS services.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{TestEnv, wait_until};

/// A running `moto_server`; it stops when this is dropped.
pub struct Moto {
    server: Child,
    address: SocketAddr,
}

impl Moto {
    pub fn start() -> Moto {
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("a free port");
        let server = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server must be on the PATH: pip install 'moto[server]'");
        let moto = Moto { server, address: port };
        wait_until("a response of moto_server", Duration::from_mins(1), || {
            TcpStream::connect(moto.address).is_ok() && moto.ask("s3", "GET", "/moto-api/", &[], "").0 == 200
        });
        moto.set_crawl_time(1);
        moto
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the variables that point runs to this server; it accepts any key.
    pub fn configure(&self, env: &mut TestEnv) {
        env.set("AWS_ENDPOINT_URL", self.url())
            .set("AWS_REGION", "us-east-1")
            .set("AWS_ACCESS_KEY_ID", "testing")
            .set("AWS_SECRET_ACCESS_KEY", "testing");
    }

    /// Lets each crawl end after so many seconds, 1 at the start. Without this, moto ends a crawl only when a client
    /// calls `ListCrawls`.
    pub fn set_crawl_time(&self, seconds: u64) {
        let transition = json!({ "progression": "time", "seconds": seconds });
        let body = json!({ "model_name": "glue::crawl", "transition": transition }).to_string();
        let headers = [("Content-Type", "application/json")];
        let (status, answer) =
            self.ask("s3", "POST", "/moto-api/state-manager/set-transition", &headers, &body);
        assert_eq!(status, 201, "setting the crawl time: {answer}");
    }

    pub fn create_bucket(&self, bucket: &str) {
        let (status, answer) = self.ask("s3", "PUT", &format!("/{bucket}"), &[], "");
        assert_eq!(status, 200, "creating a bucket: {answer}");
    }

    pub fn exists(&self, bucket: &str, key: &str) -> bool {
        self.ask("s3", "GET", &format!("/{bucket}/{key}"), &[], "").0 == 200
    }

    pub fn read(&self, bucket: &str, key: &str) -> String {
        let (status, answer) = self.ask("s3", "GET", &format!("/{bucket}/{key}"), &[], "");
        assert_eq!(status, 200, "reading {key}: {answer}");
        answer
    }

    /// Sends a request of Glue's JSON protocol.
    pub fn glue(&self, operation: &str, input: &Value) -> Value {
        let target = format!("AWSGlue.{operation}");
        let headers = [("X-Amz-Target", &*target), ("Content-Type", "application/x-amz-json-1.1")];
        let (status, answer) = self.ask("glue", "POST", "/", &headers, &input.to_string());
        assert_eq!(status, 200, "{operation}: {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Sends one request; moto reads the service from the signature, and does not check the signature.
    fn ask(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request\r\n",
            self.address
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.address).expect("a connection to moto_server");
        stream.write_all(request.as_bytes()).expect("asking moto_server");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a response of moto_server");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, body.to_owned())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
