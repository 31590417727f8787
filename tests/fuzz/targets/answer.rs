//! API responses: JSON, NDJSON or CSV, valid or not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::env::{TO_JSON_LINES, TestEnv, values};

/// Responds to every request with any bytes; the first byte chooses the codec.
pub fn answer(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let (codec, records) = match choice % 4 {
        0 => ("json", ""),
        1 => ("json", "/records"),
        2 => ("ndjson", ""),
        _ => ("csv", ""),
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its number");
    let is_over = AtomicBool::new(false);
    let env = TestEnv::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((mut socket, _)) = listener.accept() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                let mut request = [0; 4096];
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                // A client may disconnect early.
                let _ = socket.read(&mut request);
                let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body));
            }
        });
        let records = if codec == "json" { format!("records = \"{records}\"") } else { String::new() };
        let report = env.run(&format!(
            "[retry]\ntimeout = \"1ms\"\nconnect = \"1ms\"\n\
             [dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n\
             [sources.rows]\ntype = \"http\"\nendpoint = \"http://{address}/\"\ncodec = \"{codec}\"\n{records}\n\
             {TO_JSON_LINES}"
        ));
        is_over.store(true, Ordering::Release);
        drop(std::net::TcpStream::connect(address));
        let out = env.lines("out.jsonl");
        values(&out);
        values(&env.lines("rejected.jsonl"));
        if report.failure.is_none() {
            let (source, json) = (&report.components[0], &report.components[1]);
            assert_eq!(source.counts.records_out, out.len() as u64 + json.counts.rejected, "{report:?}");
        }
    });
}
