//! An HTTP API that always gives the same response.

use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A running API; it stops when this is dropped.
pub struct Api {
    server: Option<MockServer>,
    runtime: Runtime,
}

impl Api {
    pub fn start(json: &str) -> Api {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(async {
            let server = MockServer::builder().start().await;
            let answer = ResponseTemplate::new(200).set_body_raw(json, "application/json");
            Mock::given(any()).respond_with(answer).mount(&server).await;
            server
        });
        Api { server: Some(server), runtime }
    }

    /// How many requests it has answered.
    pub fn n_requests(&self) -> usize {
        let server = self.server.as_ref().expect("until the end");
        self.runtime.block_on(server.received_requests()).expect("they are recorded").len()
    }

    pub fn url(&self) -> String {
        self.server.as_ref().expect("until the end").uri()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let server = self.server.take();
        self.runtime.block_on(async { drop(server) });
    }
}
