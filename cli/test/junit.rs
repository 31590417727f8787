//! Prints the outcome of tests as `JUnit` XML, for CI.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::{Tested, TestedFile};
use crate::exit::is_stdout_open;

/// One test suite for each file.
pub(super) fn print(files: &[TestedFile]) -> anyhow::Result<()> {
    let mut xml = String::new();
    write_report(&mut xml, files)?;
    let mut out = io::stdout().lock();
    is_stdout_open(out.write_all(xml.as_bytes()).and_then(|()| out.flush())).map(drop)
}

fn write_report(xml: &mut String, files: &[TestedFile]) -> std::fmt::Result {
    let tests = || files.iter().flat_map(|file| &file.tests);
    let n_invalid = files.iter().filter(|file| file.is_invalid).count();
    writeln!(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(xml, "<testsuites name=\"runner test\"{}>", totals(tests(), n_invalid))?;
    for TestedFile { path, tests, is_invalid } in files {
        let path = escaped(path);
        writeln!(xml, "  <testsuite name=\"{path}\"{}>", totals(tests.iter(), usize::from(*is_invalid)))?;
        if *is_invalid {
            writeln!(xml, "    <testcase name=\"the file is valid\" classname=\"{path}\" time=\"0.000\">")?;
            writeln!(
                xml,
                "      <error message=\"the file is invalid: see the errors on stderr\"/>\n    </testcase>"
            )?;
        }
        for test in tests {
            let (name, seconds) = (escaped(&test.name), test.time.as_secs_f64());
            write!(xml, "    <testcase name=\"{name}\" classname=\"{path}\" time=\"{seconds:.3}\"")?;
            if test.failures.is_empty() {
                writeln!(xml, "/>")?;
                continue;
            }
            let text = anstream::adapter::strip_str(&test.failures.join("\n")).to_string();
            let message = escaped(text.lines().next().unwrap_or_default());
            let text = escaped(&text);
            writeln!(xml, ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>")?;
        }
        writeln!(xml, "  </testsuite>")?;
    }
    writeln!(xml, "</testsuites>")
}

/// The attributes of a suite.
fn totals<'a>(tests: impl Iterator<Item = &'a Tested>, n_invalid: usize) -> String {
    let (mut n, mut n_failed, mut seconds) = (n_invalid, 0, 0.0);
    for test in tests {
        n += 1;
        n_failed += usize::from(!test.failures.is_empty());
        seconds += test.time.as_secs_f64();
    }
    format!(" tests=\"{n}\" failures=\"{n_failed}\" errors=\"{n_invalid}\" time=\"{seconds:.3}\"")
}

/// Text for XML; characters that XML 1.0 cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(char),
            control if control.is_control() => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn report_escapes_what_xml_does_not_allow() {
        let failed = vec!["a < \"b\" & \u{1b}[31mc\u{1b}[0m\u{fffe}".to_owned()];
        let tests = vec![
            Tested { name: "one".into(), failures: Vec::new(), time: Duration::from_millis(1500) },
            Tested { name: "t<o".into(), failures: failed, time: Duration::ZERO },
        ];
        let mut xml = String::new();
        let valid = TestedFile { path: "p.toml".into(), tests, is_invalid: false };
        let invalid = TestedFile { path: "q.toml".into(), tests: Vec::new(), is_invalid: true };
        write_report(&mut xml, &[valid, invalid]).unwrap();
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"runner test\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"1.500\">
  <testsuite name=\"p.toml\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"1.500\">
    <testcase name=\"one\" classname=\"p.toml\" time=\"1.500\"/>
    <testcase name=\"t&lt;o\" classname=\"p.toml\" time=\"0.000\">
      <failure message=\"a &lt; &quot;b&quot; &amp; c\u{fffd}\">a &lt; &quot;b&quot; &amp; c\u{fffd}</failure>
    </testcase>
  </testsuite>
  <testsuite name=\"q.toml\" tests=\"1\" failures=\"0\" errors=\"1\" time=\"0.000\">
    <testcase name=\"the file is valid\" classname=\"q.toml\" time=\"0.000\">
      <error message=\"the file is invalid: see the errors on stderr\"/>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(xml, expected);
    }
}
