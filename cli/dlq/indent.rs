//! Indents JSON for people and changes nothing else in it: digits stay as they are.

/// `json` must be valid.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim_ascii();
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '"' => length_of_text(rest),
            _ => char.len_utf8(),
        };
        let token = &rest[..length];
        rest = rest[length..].trim_ascii_start();
        match char {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                out.push(char);
                out.push_str(&rest[..1]);
                rest = rest[1..].trim_ascii_start();
            }
            '{' | '[' => {
                depth += 1;
                out.push(char);
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// How long the text is that `json` begins with, quotes included.
fn length_of_text(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.char_indices().skip(1).find(|(_, char)| {
        let is_end = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_texts_stay_as_they_are() {
        let json = r#" {"a" :1.50,"b":[ ],"c":[{"\\":"x, \"{y}\" "},12345678901234567890123],"d":{}} "#;
        let expected = r#"{
  "a": 1.50,
  "b": [],
  "c": [
    {
      "\\": "x, \"{y}\" "
    },
    12345678901234567890123
  ],
  "d": {}
}"#;
        assert_eq!(indented(json), expected);
        assert_eq!(indented("true"), "true");
    }
}
