//! OAuth 2.0 and signed requests: what is sent, and that none of it is shown.

use wiremock::matchers::{method, path};

use super::*;

/// No output may show these.
const HIDDEN: [&str; 4] = ["hush hush/7", "hush+hush%2F7", "t0ken-of-the-api", "aHVzaCBodXNoLzc="];

/// A token endpoint, and an API that answers the first request with the right token and refuses the others.
async fn api_with_tokens() -> MockServer {
    let server = MockServer::builder().start().await;
    let token = answer(json!({"access_token": HIDDEN[2], "token_type": "bearer", "expires_in": 3600}));
    Mock::given(method("POST")).and(path("/token")).respond_with(token).with_priority(1).mount(&server).await;
    Mock::given(header("authorization", format!("Bearer {}", HIDDEN[2])))
        .and(path("/prices"))
        .respond_with(answer([1]))
        .up_to_n_times(1)
        .with_priority(2)
        .mount(&server)
        .await;
    refuse_with_echo(&server).await;
    server
}

/// Refuses every other request and repeats what it sends, as careless APIs do.
async fn refuse_with_echo(server: &MockServer) {
    let echo = |request: &Request| {
        let text = format!("{SECRET} {} {:?}", request.url, request.headers);
        ResponseTemplate::new(403).set_body_string(text)
    };
    Mock::given(any()).respond_with(echo).with_priority(9).mount(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth2_and_hmac_secrets_are_used_and_never_shown() {
    let tokens = api_with_tokens().await;
    let signed = MockServer::builder().start().await;
    let has_signature = |request: &Request| {
        request.headers.get("x-sign").is_some_and(|sign| sign.len() == 64)
            && request.headers.get("x-pass").is_some_and(|pass| pass == SECRET)
    };
    Mock::given(has_signature).respond_with(answer([1])).up_to_n_times(1).mount(&signed).await;
    refuse_with_echo(&signed).await;
    let oauth2 = format!(
        "auth = {{ strategy = \"oauth2\", token_url = \"{}/token\", client_id = \"me\", \
         client_secret = \"${{API_SECRET}}\" }}",
        tokens.uri()
    );
    let hmac = "auth = { strategy = \"hmac\", secret = \"${API_SECRET}\", message = \"{{ timestamp }}\", \
                headers = { X-Sign = \"{{ signature }}\", X-Pass = \"${API_SECRET}\" } }";
    for (server, options) in [(&tokens, oauth2.as_str()), (&signed, hmac)] {
        let mut env = TestEnv::new();
        env.set("API_SECRET", SECRET);
        pipeline(&env, server, options);
        run(&env).assert_code(0);
        assert_eq!(lines(&env), ["1"], "{options}");
        let refused = env.run(["run", "api.toml", "--log-level", "trace"]);
        refused.assert_code(1).assert_says(&["403 Forbidden", "check `auth"]);
        let text = format!("{}{}{}", refused.stdout, refused.stderr, env.read("state/api/api.json"));
        for hidden in HIDDEN {
            assert!(!text.contains(hidden), "{hidden:?} is shown for {options}:\n{text}");
        }
    }
}
