//! The file of `--report`: replaced as a whole when the run has ended, and readable by its owner only.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use runner_core::create_private_file;

/// Where a report will be written.
pub(crate) struct ReportFile(Target);

enum Target {
    Stdout,
    /// A file next to the report, which takes its place.
    Replacement {
        file: File,
        path: PathBuf,
        report: PathBuf,
    },
    /// A pipe or a device, or a file in a folder that cannot be written to.
    InPlace(File),
}

impl ReportFile {
    /// Opens the file, so that a path that cannot be written is noticed before anything runs. An earlier report stays
    /// until `write`.
    pub(crate) fn open(report: &Path) -> Result<ReportFile> {
        if report == Path::new("-") {
            return Ok(ReportFile(Target::Stdout));
        }
        ensure!(
            report.extension().is_none_or(|extension| extension != "toml"),
            "--report {}: this is the name of a pipeline file, which the report would replace; name another file, as in \
             `--report report.json`",
            report.display()
        );
        // Where the path is a link, its target is replaced.
        let report = report.canonicalize().unwrap_or_else(|_| report.to_owned());
        let is_replaceable = report.metadata().map_or(true, |metadata| metadata.is_file());
        let path = replacement(&report);
        let target = match create_private_file(&path) {
            Ok(file) if is_replaceable => Target::Replacement { file, path, report },
            created => {
                if created.is_ok() {
                    let _ = std::fs::remove_file(&path);
                }
                let file = OpenOptions::new()
                    .write(true)
                    .open(&report)
                    .with_context(|| format!("--report {}: the file cannot be written", report.display()))?;
                Target::InPlace(file)
            }
        };
        Ok(ReportFile(target))
    }

    /// Writes the report.
    pub(crate) fn write(mut self, text: &[u8]) -> Result<()> {
        let written = match &mut self.0 {
            Target::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(text).and_then(|()| stdout.flush())
            }
            Target::InPlace(file) => overwrite(file, text),
            Target::Replacement { file, path, report } => {
                let replace = file.write_all(text).and_then(|()| file.sync_all());
                replace.and_then(|()| std::fs::rename(&*path, &*report)).or_else(|error| {
                    // A file that is mounted into a container cannot be replaced.
                    let mut file = OpenOptions::new().write(true).open(&*report).map_err(|_| error)?;
                    overwrite(&mut file, text)
                })
            }
        };
        written.context("writing the report")
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if let Target::Replacement { path, .. } = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn overwrite(file: &mut File, text: &[u8]) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text)
}

/// The name is fixed, so that a crash leaves at most one such file.
fn replacement(report: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(report.file_name().unwrap_or_default());
    name.push(".new");
    report.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn earlier_report_stays_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, "old").unwrap();
        drop(ReportFile::open(&path).unwrap());
        let report = ReportFile::open(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        report.write(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn device_and_missing_folder_are_distinguished() {
        ReportFile::open(Path::new("/dev/null")).unwrap().write(b"{}").unwrap();
        let error = ReportFile::open(Path::new("/nowhere/report.json")).err().unwrap();
        assert!(format!("{error:#}").contains("--report /nowhere/report.json"), "{error:#}");
    }
}
