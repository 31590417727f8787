//! The published jars of Apache Kafka, fetched once through Maven.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The jars of one Kafka version, in a folder of the target directory.
#[derive(Clone, Debug)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// Fetches the jars of one version unless they are in the folder already.
    ///
    /// Several test processes may call this at once: one of them fetches, the
    /// others wait for its lock. Later calls need no network.
    pub fn fetch(version: &str) -> Jars {
        Jars::fetch_artifact("kafka_2.13", version, &cache().join(version))
    }

    /// Fetches the command line tools, which are not part of the server.
    pub fn fetch_tools(version: &str) -> Jars {
        Jars::fetch_artifact("kafka-tools", version, &cache().join(format!("{version}-tools")))
    }

    fn fetch_artifact(artifact: &str, version: &str, folder: &Path) -> Jars {
        fs::create_dir_all(folder).expect("creating the folder for the jars");
        let jars = Jars { folder: folder.join("libs") };
        let lock = File::create(folder.join("lock")).expect("creating the lock file");
        lock.lock().expect("waiting for the lock of the jars");
        if !jars.folder.exists() {
            let fetched = folder.join("libs.partial");
            run_maven(folder, &pom(artifact, version), &fetched);
            fs::rename(&fetched, &jars.folder).expect("moving the jars into place");
        }
        jars
    }

    /// A `java` command with the jars on its class path; `-cp` expands the star.
    pub fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.arg("-cp").arg(self.folder.join("*"));
        java
    }
}

/// `target/kafka`, next to the folder of the profile.
fn cache() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_runner"));
    let target = binary.ancestors().nth(2).expect("the binary is in target/PROFILE");
    target.join("kafka")
}

/// With `slf4j-simple` the server logs to stderr why it does not start.
fn pom(artifact: &str, version: &str) -> String {
    format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>runner.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
      <exclusions>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>
        <exclusion><groupId>ch.qos.logback</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"#
    )
}

fn run_maven(folder: &Path, pom: &str, into: &Path) {
    let file = folder.join("pom.xml");
    fs::write(&file, pom).expect("writing the pom");
    let output = Command::new("mvn")
        .args(["-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(&file)
        .arg(format!("-DoutputDirectory={}", into.display()))
        .stdin(Stdio::null())
        .output()
        .expect("starting Maven");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "Maven could not fetch the jars of Kafka:\n{stdout}");
}
