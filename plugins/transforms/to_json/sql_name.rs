//! Names that Athena takes without quotes: ASCII letters, digits and `_`, a letter first, and no
//! reserved word.

/// What Athena reserves, in DDL or in SELECT, in the order of the alphabet (Amazon Athena user
/// guide, "Escape reserved keywords in queries").
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "alter", "and", "array", "as", "authorization", "auto", "between", "bigint", "binary",
    "boolean", "both", "by", "case", "cashe", "cast", "char", "column", "commit", "conf", "constraint",
    "create", "cross", "cube", "current", "current_catalog", "current_date", "current_path",
    "current_role", "current_schema", "current_time", "current_timestamp", "current_user", "cursor",
    "database", "date", "dayofweek", "deallocate", "decimal", "delete", "describe", "distinct", "div",
    "double", "drop", "else", "end", "escape", "except", "exchange", "execute", "exists", "extended",
    "external", "extract", "false", "fetch", "first", "float", "floor", "following", "for", "foreign",
    "from", "full", "function", "grant", "group", "grouping", "having", "if", "import", "in", "inner",
    "insert", "int", "integer", "intersect", "interval", "into", "is", "join", "json_array",
    "json_exists", "json_object", "json_query", "json_table", "json_value", "last", "lateral", "left",
    "less", "like", "listagg", "local", "localtime", "localtimestamp", "macro", "map", "more",
    "natural", "none", "normalize", "not", "null", "numeric", "of", "on", "only", "or", "order", "out",
    "outer", "over", "partialscan", "partition", "percent", "preceding", "precision", "prepare",
    "preserve", "primary", "procedure", "range", "reads", "recursive", "reduce", "references", "regexp",
    "revoke", "right", "rlike", "rollback", "rollup", "row", "rows", "select", "set", "skip",
    "smallint", "start", "table", "tablesample", "then", "time", "timestamp", "to", "transform",
    "trigger", "trim", "true", "truncate", "uescape", "unbounded", "unescape", "union", "uniquejoin",
    "unnest", "update", "user", "using", "utc_timestamp", "values", "varchar", "views", "when", "where",
    "window", "with",
];

/// What an empty name becomes.
const NAMELESS: &str = "field";

/// A name in snake case that SQL takes without quotes.
///
/// Words of lower-case letters and digits are joined by `_`. A word begins after any character
/// that is neither, at a capital after a small letter or a digit (`closeUSD`), and at the last
/// capital before a small letter (`USDClose`). Letters of other scripts become ASCII. A name that
/// begins with a digit gets `n_` before it, and a reserved word `_` after it. A name without letters
/// and digits becomes the codes of its characters.
pub(super) fn sql_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut characters = name.chars().peekable();
    let mut before = None;
    while let Some(character) = characters.next() {
        if !character.is_alphanumeric() {
            // A mark that belongs to the letter before it ends no word.
            if !is_mark(character) {
                before = None;
            }
            continue;
        }
        let begins = character.is_uppercase()
            && match before {
                Some('A') => characters.peek().is_some_and(|next| next.is_lowercase()),
                before => before.is_some(),
            };
        if !out.is_empty() && (begins || before.is_none()) {
            out.push('_');
        }
        push_ascii(character, &mut out);
        before = Some(if character.is_uppercase() { 'A' } else { 'a' });
    }
    if out.is_empty() {
        name.chars().for_each(|character| push_code(character, &mut out));
    }
    if out.is_empty() {
        out.push_str(NAMELESS);
    }
    if out.starts_with(|first: char| first.is_ascii_digit()) {
        out.insert_str(0, "n_");
    }
    if RESERVED.binary_search(&&*out).is_ok() {
        out.push('_');
    }
    out
}

/// A combining accent, as in an `é` of two characters.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

/// Appends a letter or a digit in small ASCII letters and digits.
fn push_ascii(character: char, out: &mut String) {
    if character.is_ascii() {
        out.push(character.to_ascii_lowercase());
        return;
    }
    for small in character.to_lowercase() {
        if small.is_ascii_alphanumeric() {
            out.push(small);
        } else if let Some(ascii) = ascii_of(small) {
            out.push_str(ascii);
        } else if small.is_alphanumeric() {
            // Different for every letter, so that two names do not become one.
            push_code(small, out);
        }
    }
}

fn push_code(character: char, out: &mut String) {
    out.push_str(&format!("u{:x}", u32::from(character)));
}

/// The ASCII letters for a small Latin or Greek letter.
fn ascii_of(small: char) -> Option<&'static str> {
    Some(match small {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ª' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'º' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'α' | 'ά' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' | 'έ' => "epsilon",
        'ζ' => "zeta",
        'η' | 'ή' => "eta",
        'θ' => "theta",
        'ι' | 'ί' => "iota",
        'κ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'ξ' => "xi",
        'ο' | 'ό' => "omicron",
        'π' => "pi",
        'ρ' => "rho",
        'σ' | 'ς' => "sigma",
        'τ' => "tau",
        'υ' | 'ύ' => "upsilon",
        'φ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' | 'ώ' => "omega",
        '²' => "2",
        '³' => "3",
        '¹' => "1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_joined_by_underscores() {
        for (name, expected) in [
            ("Index", "index"),
            ("Adj Close", "adj_close"),
            ("CloseUSD", "close_usd"),
            ("USDClose", "usd_close"),
            ("Close2USD", "close2_usd"),
            ("  Volume (in USD) ", "volume_in_usd"),
            ("already_snake_case", "already_snake_case"),
            ("SHOUTED_NAME", "shouted_name"),
        ] {
            assert_eq!(sql_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn name_that_sql_would_quote_is_changed() {
        for (name, expected) in [
            ("1. open", "n_1_open"),
            ("52WeekHigh", "n_52_week_high"),
            ("52W H", "n_52_w_h"),
            ("Select", "select_"),
            ("order", "order_"),
            ("Date", "date_"),
            ("currentDate", "current_date_"),
            ("%", "u25"),
            ("🙂", "u1f642"),
            ("", "field"),
            ("_", "u5f"),
            ("_private", "private"),
            ("Größe", "grosse"),
            ("Cafe\u{301} Bar", "cafe_bar"),
            ("Δ %", "delta"),
            ("İstanbul", "istanbul"),
            ("日付", "u65e5u4ed8"),
            ("m²", "m2"),
            ("x-y.z", "x_y_z"),
        ] {
            assert_eq!(sql_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn reserved_words_are_in_order() {
        assert!(RESERVED.is_sorted());
    }

    proptest! {
        #[test]
        fn every_name_is_taken_without_quotes_and_stays(name in "\\PC{0,12}|[A-Za-z0-9_ ]{0,8}|[a-z]{2,4}") {
            let sql = sql_name(&name);
            prop_assert!(sql.starts_with(|first: char| first.is_ascii_lowercase()), "{}", sql);
            prop_assert!(sql.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_'), "{}", sql);
            prop_assert!(!RESERVED.contains(&&*sql), "{}", sql);
            prop_assert_eq!(sql_name(&sql), sql);
        }
    }
}
