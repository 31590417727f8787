//! A temporary folder and the binary that runs in it.

use std::ffi::OsStr;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long tests wait for what usually takes a few seconds.
pub const SOON: Duration = Duration::from_secs(120);

/// A temporary folder with pipeline files, and the environment variables of their runs.
pub struct TestEnv {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// The exit status and output of a finished run.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A run in the background; it is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: PipeReader,
    stderr: PipeReader,
}

/// The bytes that a pipe has delivered, and the thread that reads it.
struct PipeReader {
    text: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl TestEnv {
    pub fn new() -> Self {
        TestEnv { folder: tempfile::tempdir().expect("a temporary folder"), variables: Vec::new() }
    }

    /// Sets a variable for every run.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("creating the folder");
        std::fs::write(&path, content).expect("writing a file");
        path
    }

    pub fn read(&self, name: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The lines of a file; empty if the file does not exist.
    pub fn lines(&self, name: impl AsRef<Path>) -> Vec<String> {
        self.read(name).lines().map(str::to_owned).collect()
    }

    /// The JSON values of a file that has one per line.
    pub fn json_lines(&self, name: impl AsRef<Path>) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The binary, in the folder, with only the variables that are set here.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Command {
        self.command_via(&[], arguments)
    }

    /// The same through another program, which gets the binary and its arguments.
    fn command_via<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        wrapper: &[String],
        arguments: I,
    ) -> Command {
        // Set to test a binary that was built with other features.
        let binary = std::env::var_os("RUNNER_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_runner").into());
        let mut command_line = wrapper.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(command_line.next().expect("the binary"));
        command
            .args(command_line)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("RUNNER_DATA_DIR", self.path("state"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary until it exits.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Outcome {
        self.start(arguments).wait(Duration::from_mins(5))
    }

    /// Starts the binary in the background.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Running {
        self.start_via(&[], arguments)
    }

    /// The same through another program, such as one that enters a namespace.
    pub fn start_via<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        wrapper: &[String],
        arguments: I,
    ) -> Running {
        Running::start(&mut self.command_via(wrapper, arguments))
    }

    /// Starts the binary in the background. It reads what is written to the pipe.
    pub fn start_with_stdin<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        arguments: I,
    ) -> (Running, ChildStdin) {
        let mut running = Running::start(self.command(arguments).stdin(Stdio::piped()));
        let stdin = running.child.stdin.take().expect("piped");
        (running, stdin)
    }
}

impl PipeReader {
    fn listen(mut pipe: impl Read + Send + 'static) -> PipeReader {
        let text = Arc::new(Mutex::new(Vec::new()));
        let bytes_read = Arc::clone(&text);
        let listener = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut bytes) {
                bytes_read.lock().expect("the lock is not poisoned").extend_from_slice(&bytes[..n]);
            }
        });
        PipeReader { text, listener: Some(listener) }
    }

    fn text_so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("the lock is not poisoned")).into_owned()
    }

    /// The whole output, after the process has exited.
    fn all(&mut self) -> String {
        self.listener.take().expect("once").join().expect("reading the pipe");
        self.text_so_far()
    }
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting the binary");
        let stdout = PipeReader::listen(child.stdout.take().expect("piped"));
        let stderr = PipeReader::listen(child.stderr.take().expect("piped"));
        Running { child, stdout, stderr }
    }

    /// Sends a signal; a process that has exited is not an error.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("signalling the binary: {error}"),
        }
    }

    /// Sends SIGTERM; fails the test unless the run then exits with 0.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        self.signal(Signal::SIGTERM);
        let outcome = self.wait(Duration::from_mins(5));
        outcome.assert_code(0);
        outcome
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The resident memory.
    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Whether stderr contains `part` by now.
    pub fn has_logged(&self, part: &str) -> bool {
        self.stderr.text_so_far().contains(part)
    }

    /// Whether the process has exited.
    pub fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("looking at the binary").is_some()
    }

    /// Waits for the exit; a run that takes longer is killed and fails the test.
    pub fn wait(mut self, at_most: Duration) -> Outcome {
        let deadline = Instant::now() + at_most;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waiting for the binary") {
                break status;
            }
            if Instant::now() > deadline {
                drop(self.child.kill());
                panic!("the run has not exited after {at_most:?}; stderr:\n{}", self.stderr.all());
            }
            pause(Duration::from_millis(5));
        };
        Outcome { status, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("stderr of a run that was still active:\n{}", self.stderr.text_so_far());
        }
    }
}

impl Outcome {
    /// The exit code; fails the test if a signal ended the run.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("no exit code but {}: {}", self.status, self.stderr))
    }

    /// Fails the test, with the whole output, unless the run exited with `code`.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless stderr contains every one of `parts`.
    #[track_caller]
    pub fn assert_says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

/// Waits until `condition` holds; fails the test after `at_most`.
#[track_caller]
pub fn wait_until(what: &str, at_most: Duration, mut condition: impl FnMut() -> bool) {
    wait_until_ok(at_most, || condition().then_some(()).ok_or_else(|| what.to_owned()));
}

/// Like [`wait_until`] with a condition that says what has not happened yet.
pub fn wait_until_ok(at_most: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + at_most;
    while let Err(what) = condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {at_most:?}");
        pause(Duration::from_millis(10));
    }
}

/// The pause between two checks of a condition.
#[expect(clippy::disallowed_methods, reason = "a child process does not notify its parent of changes")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Numbers as the lines of a file or the bodies of records.
pub fn numbers(range: Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A number that an environment variable sets.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// The size of a test: the value of its variable, else `long` if `RUNNER_LONG` is set, else `short`.
pub fn amount(variable: &str, short: u64, long: u64) -> u64 {
    number(variable).unwrap_or(if std::env::var_os("RUNNER_LONG").is_some() { long } else { short })
}

/// The report that `--report FILE` has written.
pub fn report(path: impl AsRef<Path>) -> Value {
    let text = std::fs::read_to_string(path.as_ref()).expect("the report");
    serde_json::from_str(&text).expect("the report is JSON")
}
