//! A file of variables: one `NAME=value` a line, and values that are what they look like.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use anyhow::{Context as _, Result, anyhow};

/// Sets the variables of a file in the environment of this process.
///
/// What is wrong with a line is said by its number and the name in it alone: the
/// rest of it is most likely a secret.
pub(crate) fn set_variables(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let variables =
        parse(&bytes).map_err(|Slip { line, what }| anyhow!("{}:{line}: {what}", path.display()))?;
    // Only the library may change the environment: that is `unsafe`, and forbidden here. It gets every
    // value with everything escaped in which it would see more than text.
    let text: String =
        variables.iter().map(|(name, value)| format!("{name}=\"{}\"\n", escaped(value))).collect();
    // Its own errors repeat the line.
    dotenvy::from_read_override(text.as_bytes())
        .map_err(|_| anyhow!("{}: its variables cannot be set", path.display()))
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '"' | '\\' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// What is wrong with a line, without what it says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slip {
    line: usize,
    what: String,
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<(String, String)>, Slip> {
    let mut variables = Vec::new();
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    for (bytes, line) in bytes.split(|&byte| byte == b'\n').zip(1..) {
        let read = std::str::from_utf8(bytes).map_err(|_| "this line is not UTF-8".to_owned());
        variables.extend(read.and_then(variable).map_err(|what| Slip { line, what })?);
    }
    Ok(variables)
}

/// The variable of a line; none in an empty one and in a comment.
fn variable(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    };
    let named = line.split_once('=').map(|(name, value)| {
        let name = name.trim_end();
        let exported = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        (exported.map_or(name, str::trim_start), value.trim_start())
    });
    let Some((name, written)) = named.filter(|(name, _)| is_name(name)) else {
        return Err("this line is no `NAME=value`, no comment behind `#`, and not empty".into());
    };
    let value = value(written).map_err(|why| format!("the value of `{name}` {why}"))?;
    if value.contains('\0') {
        return Err(format!("the value of `{name}` holds a zero byte, which no variable can"));
    }
    Ok(Some((name.to_owned(), value)))
}

fn value(written: &str) -> Result<String, &'static str> {
    let mut rest = written.chars().peekable();
    match rest.peek() {
        Some('\'') => {
            rest.next();
            let value = rest.by_ref().take_while(|&c| c != '\'').collect::<String>();
            // The quote at its end was taken as well, if there was one.
            if value.len() + 1 == written.len() {
                return Err(UNCLOSED);
            }
            nothing_behind(rest).map(|()| value)
        }
        Some('"') => {
            rest.next();
            let value = in_double_quotes(&mut rest)?;
            nothing_behind(rest).map(|()| value)
        }
        Some('#') => Ok(String::new()),
        _ => {
            let comment = written.find(" #").into_iter().chain(written.find("\t#")).min();
            Ok(written[..comment.unwrap_or(written.len())].trim_end().to_owned())
        }
    }
}

const UNCLOSED: &str = "opens with a quote that is not closed; a value ends on its line, and `\\n` in \
                        double quotes is a line break";

fn in_double_quotes(rest: &mut Peekable<Chars<'_>>) -> Result<String, &'static str> {
    let mut value = String::new();
    loop {
        match rest.next().ok_or(UNCLOSED)? {
            '"' => return Ok(value),
            '\\' => match rest.next().ok_or(UNCLOSED)? {
                'n' => value.push('\n'),
                c @ ('"' | '\'' | '\\' | '$' | '`') => value.push(c),
                _ => {
                    return Err("has a `\\` in double quotes in front of something else than \
                                `\"`, `'`, `\\`, `$`, `` ` `` and `n`; in single quotes it is itself");
                }
            },
            c => value.push(c),
        }
    }
}

fn nothing_behind(rest: Peekable<Chars<'_>>) -> Result<(), &'static str> {
    let behind: String = rest.collect();
    let is_comment = behind.starts_with([' ', '\t']) && behind.trim_start().starts_with('#');
    if behind.trim().is_empty() || is_comment {
        Ok(())
    } else {
        Err(
            "goes on behind the quote at its end; a value with quotes in it goes into the other kind of quotes",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<String, String> {
        match parse(line.as_bytes()) {
            Ok(variables) => {
                Ok(variables.into_iter().map(|(name, value)| format!("{name}={value};")).collect())
            }
            Err(slip) => Err(slip.what),
        }
    }

    #[test]
    fn a_value_is_what_it_looks_like() {
        for (line, read) in [
            ("PASSWORD=pa$word1", "PASSWORD=pa$word1;"),
            ("A=${B} $(c) `d` \\n e", "A=${B} $(c) `d` \\n e;"),
            ("export A = b \r", "A=b;"),
            ("export=b", "export=b;"),
            ("A=b#c # d", "A=b#c;"),
            ("A=b\t# d", "A=b;"),
            ("A='b # $c \\n' # d", "A=b # $c \\n;"),
            (r#"A="it's \"b\" \\ \$c \` $d" # e"#, "A=it's \"b\" \\ $c ` $d;"),
            ("A=\"b\\nc\"", "A=b\nc;"),
            ("A=\nB=''\nC=\"\"\nD= # e", "A=;B=;C=;D=;"),
            ("\u{feff}A=b=c==", "A=b=c==;"),
            ("\n  # A=b\n", ""),
        ] {
            assert_eq!(one(line).as_deref(), Ok(read), "{line}");
        }
    }

    #[test]
    fn a_slip_names_line_and_variable_and_nothing_of_the_value() {
        for (line, name) in [
            ("PASSWORD='hush", Some("`PASSWORD`")),
            ("PASSWORD=\"hush", Some("`PASSWORD`")),
            ("PASSWORD=\"hush\\", Some("`PASSWORD`")),
            ("PASSWORD=\"hush\\x\"", Some("`PASSWORD`")),
            ("PASSWORD='hush'hush", Some("`PASSWORD`")),
            ("PASSWORD=hush\0", Some("`PASSWORD`")),
            ("hush", None),
            ("hush+/==", None),
            ("PASS WORD hush=1", None),
            ("=hush", None),
        ] {
            let slip = parse(format!("A=b\n{line}\n").as_bytes()).unwrap_err();
            assert_eq!(slip.line, 2);
            assert!(!slip.what.contains("hush"), "{slip:?}");
            assert!(name.is_none_or(|name| slip.what.contains(name)), "{slip:?}");
        }
        assert_eq!(parse(b"A=\xFF").unwrap_err().what, "this line is not UTF-8");
    }

    #[test]
    fn the_library_is_told_exactly_the_value() {
        for value in
            ["", " a ", "it's \"$HOME\" \\n `b`", "a\nb\r\n", "#", "\\", "$", "ä\t", "'", "a # b", "${A}$"]
        {
            let text = format!("NAME=\"{}\"\n", escaped(value));
            let read: Vec<_> = dotenvy::from_read_iter(text.as_bytes()).map(|it| it.unwrap().1).collect();
            assert_eq!(read, [value]);
        }
    }

    #[test]
    fn any_line_is_read_or_a_slip() {
        let letters = ['A', '=', '\'', '"', '\\', '#', ' ', 'ä'];
        for number in 0..letters.len().pow(5) {
            let letter = |place: u32| letters[number / letters.len().pow(place) % letters.len()];
            let line: String = (0..5).map(letter).collect();
            drop(parse(format!("A={line}").as_bytes()));
            drop(parse(line.as_bytes()));
        }
    }
}
