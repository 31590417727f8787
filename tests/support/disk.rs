//! A disk of a few KiB, which exists only for those who enter it and can be filled to the last byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted disk; it is gone, with all that is on it, when this is dropped.
pub struct SmallDisk {
    /// Sits in a mount namespace of its own and keeps it.
    holder: Child,
    /// The folder of the disk, as seen from outside.
    folder: PathBuf,
}

const SIZE: &str = "256k";
const PAGE: usize = 4096;

impl SmallDisk {
    /// Mounts a disk on a folder; `None`, and a line that names the test, where that is not allowed.
    pub fn mount(on: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(on).expect("a folder for the disk");
        // It ends with its stdin, however the tests end.
        let holds = format!("mount -t tmpfs -o size={SIZE} tmpfs \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &holds])
            .arg(on)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut said).expect("reading from a pipe");
        let folder = PathBuf::from(format!("/proc/{}/root{}", holder.id(), on.display()));
        let disk = SmallDisk { holder, folder };
        if said.trim() == "mounted" && std::fs::write(disk.folder.join("probe"), "").is_ok() {
            return Some(disk);
        }
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Past the capture of the test harness, which hides what a passing test prints.
        let _ = writeln!(std::io::stderr(), "{test} is left out: no disk can be mounted in a user namespace");
        None
    }

    /// What a command begins with that is to see the disk; its paths must be absolute.
    pub fn entrance(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        let all = ["nsenter", "--target", &target, "--user", "--mount", "--preserve-credentials"];
        all.map(str::to_owned).into()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Leaves no room but so many pages, and the rest of the last page of each file.
    pub fn fill_but(&self, n_pages: u64) {
        let mut filler = std::fs::File::create(self.folder.join("filler")).expect("a file on the disk");
        while filler.write_all(&[0; PAGE]).is_ok() {}
        let length = filler.metadata().expect("the filler").len();
        filler.set_len(length - n_pages * PAGE as u64).expect("a shorter file");
    }

    /// Makes room again.
    pub fn free(&self) {
        std::fs::remove_file(self.folder.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
