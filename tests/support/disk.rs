//! A disk of a few KiB in a mount namespace of its own, which can be filled to the last byte.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted disk; it is removed with its content when this is dropped.
pub struct SmallDisk {
    /// A process that keeps the mount namespace alive.
    holder: Child,
    /// The folder of the disk, as seen from outside.
    folder: PathBuf,
    /// Whether the holder has a user namespace as well, in which any user may mount.
    in_user_namespace: bool,
}

const SIZE: &str = "256k";
const PAGE: usize = 4096;

impl SmallDisk {
    /// Mounts a disk on a folder.
    pub fn mount(on: &Path) -> SmallDisk {
        let in_user_namespace = !may_mount();
        std::fs::create_dir_all(on).expect("a folder for the disk");
        // It exits when its stdin is closed, even if the tests are killed.
        let holds = format!("mount -t tmpfs -o size={SIZE} tmpfs \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(if in_user_namespace { &["--user", "--map-root-user"][..] } else { &[] })
            .args(["--mount", "sh", "-c", &holds])
            .arg(on)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starting unshare");
        let mut output = String::new();
        let stdout = holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut output).expect("reading from a pipe");
        let folder = PathBuf::from(format!("/proc/{}/root{}", holder.id(), on.display()));
        let disk = SmallDisk { holder, folder, in_user_namespace };
        let is_there = output.trim() == "mounted" && std::fs::write(disk.folder.join("probe"), "").is_ok();
        assert!(is_there, "no disk can be mounted: {output}");
        disk
    }

    /// The start of a command that sees the disk; its paths must be absolute.
    pub fn nsenter_command(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        let mut all = vec!["nsenter", "--target", &target, "--mount"];
        if self.in_user_namespace {
            all.extend(["--user", "--preserve-credentials"]);
        }
        all.into_iter().map(str::to_owned).collect()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Fills the disk except `n_pages` pages, and the rest of the last page of each file.
    pub fn fill_except(&self, n_pages: u64) {
        let mut filler = std::fs::File::create(self.folder.join("filler")).expect("a file on the disk");
        while filler.write_all(&[0; PAGE]).is_ok() {}
        let length = filler.metadata().expect("the filler").len();
        filler.set_len(length - n_pages * PAGE as u64).expect("a shorter file");
    }

    /// Frees the space again.
    pub fn free(&self) {
        std::fs::remove_file(self.folder.join("filler")).expect("the filler exists");
    }
}

/// Whether this process has `CAP_SYS_ADMIN`: root has it, except in most containers.
fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & 1 << 21 != 0)
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
