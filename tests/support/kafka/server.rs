//! A Java server as a child process that does not outlive the tests.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Runs the command after `$1`, the folder, until stdin delivers a signal name or is closed.
///
/// Stdin is closed when the tests exit, even if they are killed. Then the folder
/// is removed too. Only a pipe tells this without `unsafe`.
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
    /// `None` after the server was stopped.
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts `java` in `folder`; its output goes to `NAME.log` there.
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
        let stdin = watch.stdin.take();
        Server { watch, stdin }
    }

    /// Stops the server with a signal, `TERM` or `KILL`, and waits for its exit.
    pub fn end(&mut self, signal: &str) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = writeln!(stdin, "{signal}");
            drop(stdin);
            let _ = self.watch.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("KILL");
    }
}

/// The last 60 lines of a server's log.
pub fn log(name: &str, folder: &Path) -> String {
    let text = fs::read(folder.join(format!("{name}.log"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Different ports that were free a moment ago. Another process may take one before the server does; then the caller
/// must try again.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are held at once: a port that is given back may be given out again.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("binding a free port"));
    listeners.map(|listener| listener.local_addr().expect("the address of a bound socket").port())
}
