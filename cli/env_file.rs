//! `--env-file`: sets variables from lines of `NAME=value`, in which `$` is literal.
//!
//! `dotenvy` reads the lines and sets the variables. It expands `$NAME`, does not accept spaces in an unquoted
//! value, and takes `\` for an escape in single quotes, so each line is rewritten first. Its errors repeat the
//! line, which may hold a secret, so they are not shown.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

/// Which value a variable has that the environment sets too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// That of the environment.
    Environment,
    /// That of the file.
    #[cfg(feature = "local")]
    File,
}

/// Sets the variables of a file in the environment of this process.
pub(crate) fn set_variables(path: &Path, precedence: Precedence) -> Result<()> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("reading {shown}"))?;
    let lines = rewrite(&bytes).map_err(|(line, problem)| anyhow!("{shown}:{line}: {problem}"))?;
    // Setting a variable is `unsafe`, which this package forbids; `dotenvy` does it.
    let set = match precedence {
        Precedence::Environment => dotenvy::from_read(lines.as_bytes()),
        #[cfg(feature = "local")]
        Precedence::File => dotenvy::from_read_override(lines.as_bytes()),
    };
    set.map_err(|_| anyhow!("{shown}: setting its variables failed"))
}

/// The lines for `dotenvy`; or the number of the first invalid line, and what is wrong with it.
pub(crate) fn rewrite(bytes: &[u8]) -> Result<String, (usize, String)> {
    let mut lines = String::new();
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    for (bytes, number) in bytes.split(|&byte| byte == b'\n').zip(1..) {
        let line = std::str::from_utf8(bytes)
            .map_err(|_| (number, "this line is not valid UTF-8: save the file as UTF-8".to_owned()))?;
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            lines += &assignment(line).map_err(|problem| (number, problem))?;
            lines.push('\n');
        }
    }
    Ok(lines)
}

fn assignment(line: &str) -> Result<String, String> {
    let read = |line: &str| dotenvy::from_read_iter(line.as_bytes()).next()?.ok();
    let named = line.split_once('=').and_then(|(name, value)| {
        let (variable, _) = read(&format!("{name}="))?;
        Some((name, variable, value.trim_start()))
    });
    let (name, variable, value) = named.ok_or("expected `NAME=value` or a `#` comment")?;
    let quoted = double_quoted(value).map(|value| format!("{name}={value}"));
    let is_valid = |line: &String| read(line).is_some_and(|(_, value)| !value.contains('\0'));
    quoted.filter(is_valid).ok_or_else(|| {
        format!(
            "the value of `{variable}` has a quote that is not closed, text after its closing quote, a zero byte, \
             or in double quotes a `\\` that is not followed by one of \" ' \\ $ ` n"
        )
    })
}

/// A value in double quotes, with `$` escaped; `None` if it is in single quotes that do not end it.
fn double_quoted(value: &str) -> Option<String> {
    if value.starts_with('"') {
        return Some(with_literal_dollars(value));
    }
    let text = if let Some(rest) = value.strip_prefix('\'') {
        let (text, rest) = rest.split_once('\'')?;
        if rest.starts_with('#') || !without_comment(rest).is_empty() {
            return None;
        }
        text
    } else {
        without_comment(value)
    };
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$")))
}

/// A value up to ` #`, which begins a comment.
fn without_comment(value: &str) -> &str {
    let starts_comment = |at: &usize| *at == 0 || value[..*at].ends_with([' ', '\t']);
    let end = value.match_indices('#').map(|(at, _)| at).find(starts_comment);
    value[..end.unwrap_or(value.len())].trim_end()
}

/// A value in double quotes with `$` escaped, and `` \` ``, which `dotenvy` does not know, as a backtick.
fn with_literal_dollars(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("\\$"),
            '\\' => match chars.next() {
                Some('`') => out.push('`'),
                next => out.extend(['\\'].into_iter().chain(next)),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(line: &str) -> String {
        let lines = rewrite(line.as_bytes()).unwrap_or_else(|(_, problem)| panic!("{line}: {problem}"));
        let read = dotenvy::from_read_iter(lines.as_bytes()).map(|variable| variable.unwrap());
        read.map(|(name, value)| format!("{name}={value};")).collect()
    }

    #[test]
    fn values_are_literal() {
        for (line, expected) in [
            ("PASSWORD=pa$word1", "PASSWORD=pa$word1;"),
            ("A=${B} $(c) `d` \\n e", "A=${B} $(c) `d` \\n e;"),
            ("export A = b \r", "A=b;"),
            ("export=b", "export=b;"),
            ("A=b#c # d", "A=b#c;"),
            ("A=b\t# d", "A=b;"),
            ("A=it's \"b\"", "A=it's \"b\";"),
            ("A='b # $c \\n' # it's d", "A=b # $c \\n;"),
            ("A='b\\'", "A=b\\;"),
            (r#"A="it's \"b\" \\ \$c \` $d" # e"#, "A=it's \"b\" \\ $c ` $d;"),
            ("A=\"b\\nc\"", "A=b\nc;"),
            ("A=\nB=''\nC=\"\"\nD= # e", "A=;B=;C=;D=;"),
            ("\u{feff}A=b=c==", "A=b=c==;"),
            ("\n  # A=b\n", ""),
        ] {
            assert_eq!(variables(line), expected, "{line}");
        }
    }

    #[test]
    fn invalid_line_is_reported_with_its_variable_and_without_its_value() {
        for (line, name) in [
            ("PASSWORD='hush", Some("`PASSWORD`")),
            ("PASSWORD=\"hush", Some("`PASSWORD`")),
            ("PASSWORD=\"hush\\", Some("`PASSWORD`")),
            ("PASSWORD=\"hush\\x\"", Some("`PASSWORD`")),
            ("PASSWORD='hush'hush", Some("`PASSWORD`")),
            ("PASSWORD='hush'#hush", Some("`PASSWORD`")),
            ("PASSWORD=hush\0", Some("`PASSWORD`")),
            ("hush", None),
            ("hush+/==", None),
            ("PASS WORD hush=1", None),
            ("=hush", None),
        ] {
            let (number, problem) = rewrite(format!("A=b\n{line}\n").as_bytes()).unwrap_err();
            assert_eq!(number, 2);
            assert!(!problem.contains("hush"), "{problem}");
            assert!(name.is_none_or(|name| problem.contains(name)), "{problem}");
        }
        assert_eq!(rewrite(b"A=\xFF").unwrap_err().1, "this line is not valid UTF-8: save the file as UTF-8");
    }

    #[test]
    fn any_line_is_read_or_an_error() {
        let letters = ['A', '=', '\'', '"', '\\', '#', ' ', 'ä'];
        for number in 0..letters.len().pow(5) {
            let letter = |place: u32| letters[number / letters.len().pow(place) % letters.len()];
            let line: String = (0..5).map(letter).collect();
            for line in [format!("A={line}"), line] {
                if let Ok(lines) = rewrite(line.as_bytes()) {
                    assert!(
                        dotenvy::from_read_iter(lines.as_bytes()).all(|variable| variable.is_ok()),
                        "{line}"
                    );
                }
            }
        }
    }
}
