//! A Java server as a child process that does not outlive the tests.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs the command behind `$1`, the folder, until a word or the end of stdin.
///
/// The end comes when the tests are gone, however they went: then the folder
/// goes as well. Only a pipe says that without `unsafe`.
const WATCH: &str = r#"
folder=$1; shift
"$@" </dev/null & pid=$!
if read -r word
then kill -s "$word" $pid; wait $pid
else kill -s KILL $pid; wait $pid; rm -rf "$folder"
fi"#;

/// A running server.
pub struct Server {
    watch: Child,
    /// `None` once the server has been told to end.
    words: Option<ChildStdin>,
}

impl Server {
    /// Starts `java` in `folder`; what it says goes into `NAME.log` there.
    pub fn start(name: &str, folder: &Path, java: &Command) -> Server {
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")));
        let log = log.expect("creating the log of the server");
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(folder)
            .arg(java.get_program())
            .args(java.get_args())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("starting the server");
        let words = watch.stdin.take();
        Server { watch, words }
    }

    /// Ends the server with a signal, `TERM` or `KILL`, and waits for its end.
    pub fn end(&mut self, signal: &str) {
        if let Some(mut words) = self.words.take() {
            let _ = writeln!(words, "{signal}");
            drop(words);
            let _ = self.watch.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("KILL");
    }
}

/// What a server has said so far, its last 60 lines.
pub fn log(name: &str, folder: &Path) -> String {
    let text = fs::read(folder.join(format!("{name}.log"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A port that was free a moment ago. Somebody else may take it before the
/// server does; whoever starts one tries again then.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binding a free port");
    listener.local_addr().expect("the address of a bound socket").port()
}
