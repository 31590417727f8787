//! Indents JSON and changes nothing else: unlike `serde_json::to_string_pretty`, it keeps the digits of numbers.

/// `json` must be valid.
pub(super) fn indent_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim_ascii();
    while let Some(char) = rest.chars().next() {
        let length = match char {
            '"' => string_length(rest),
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

/// The length of the string at the start of `json`, quotes included.
fn string_length(json: &str) -> usize {
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
    fn indent_json_keeps_numbers_and_strings() {
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
        assert_eq!(indent_json(json), expected);
        assert_eq!(indent_json("true"), "true");
    }
}
