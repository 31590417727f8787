//! `#[needs(kafka)]` on a test ignores it, with the reason, where Apache Kafka cannot run.

use proc_macro::{TokenStream, TokenTree};

/// Ignores the test below where something that it needs is missing; `build.rs` has looked for it.
///
/// It must come before `#[test]`, which reads `#[ignore]`.
///
/// `kafka` is the shared broker, `java` a broker or a Kafka tool that the test starts itself, `moto` an independent
/// AWS, `aws`, `boto3` and `kcat` are clients, and `mount` is the right to mount a disk.
#[proc_macro_attribute]
pub fn needs(needs: TokenStream, test: TokenStream) -> TokenStream {
    if !test.clone().into_iter().any(is_test) {
        return "compile_error!(\"`#[needs]` must come before `#[test]`\");".parse().unwrap_or_default();
    }
    let mut ignored = TokenStream::new();
    for need in needs.to_string().split(',').map(str::trim) {
        let Some((is_there, reason)) = look_up(need) else {
            return format!("compile_error!(\"unknown need `{need}`\");").parse().unwrap_or_default();
        };
        if !is_there {
            ignored = format!("#[ignore = \"needs {reason}\"]").parse().unwrap_or_default();
        }
    }
    ignored.extend(test);
    ignored
}

/// Whether this is the content of the brackets of `#[test]`.
fn is_test(token: TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.stream().to_string() == "test")
}

/// Whether it is there, and what to install.
fn look_up(need: &str) -> Option<(bool, &'static str)> {
    Some(match need {
        "java" => (cfg!(java), "Java and Maven"),
        "kafka" => (cfg!(kafka), "Java and Maven, or KAFKA_BOOTSTRAP_SERVERS"),
        "moto" => (cfg!(moto), "moto_server: pip install 'moto[server]'"),
        "aws" => (cfg!(aws), "the aws command"),
        "boto3" => (cfg!(boto3), "Python with boto3"),
        "kcat" => (cfg!(kcat), "kcat"),
        "mount" => (cfg!(mount), "the right to mount a disk"),
        _ => return None,
    })
}
