//! Tokens: signs and literals that Trino does not have, and types that have to be written otherwise for the parser.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::locate::place;

/// The types of Trino that a cast can go to here.
const TYPES: &[&str] = &[
    "array",
    "bigint",
    "boolean",
    "date",
    "dec",
    "decimal",
    "double",
    "int",
    "integer",
    "numeric",
    "real",
    "smallint",
    "time",
    "timestamp",
    "tinyint",
    "varchar",
];
/// The types that Trino has beside them.
const OTHER_TYPES: &[&str] = &["char", "interval", "ipaddress", "json", "map", "row", "uuid", "varbinary"];

/// What Trino would not read is refused; `array(t)` becomes the `array<t>` that the parser knows.
pub(super) fn prepare(mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, String> {
    for token in &tokens {
        if let Some(reason) = refused(&token.token) {
            return Err(format!("{}{reason}", place(Some(token.span.start))));
        }
    }
    let glued = tokens
        .windows(2)
        .find(|two| matches!((&two[0].token, &two[1].token), (Token::Number(..), Token::Word(_))));
    if let Some([_, word]) = glued {
        return Err(format!(
            "{}mismatched input '{}': no name begins with a digit",
            place(Some(word.span.start)),
            word.token
        ));
    }
    let real: Vec<usize> = (0..tokens.len()).filter(|at| !is_space(&tokens[*at].token)).collect();
    order(&tokens, &real)?;
    types(&mut tokens, &real)?;
    Ok(tokens)
}

fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

fn refused(token: &Token) -> Option<String> {
    let hint = match token {
        Token::Word(_)
        | Token::Number(_, false)
        | Token::SingleQuotedString(_)
        | Token::UnicodeStringLiteral(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::Period
        | Token::SemiColon
        | Token::EOF => return None,
        Token::Char('`') => {
            return Some(
                "backquoted identifiers are not supported; use double quotes to quote identifiers".into(),
            );
        }
        Token::Arrow => {
            return Some("NOT_SUPPORTED: the offline Athena has no lambda expressions (`x -> …`)".into());
        }
        Token::RArrow => {
            return Some("NOT_SUPPORTED: the offline Athena has no named arguments (`x => …`)".into());
        }
        Token::HexStringLiteral(_) => {
            return Some("NOT_SUPPORTED: the offline Athena has no binary or hexadecimal literals".into());
        }
        Token::Placeholder(_) | Token::Question => {
            return Some(
                "NOT_SUPPORTED: the offline Athena takes no parameters: write the values into the SQL".into(),
            );
        }
        Token::DoubleColon => "write CAST(x AS type)",
        Token::DoubleEq => "write =",
        Token::Spaceship => "write IS NOT DISTINCT FROM",
        Token::Tilde | Token::TildeAsterisk | Token::ExclamationMarkTilde => "write regexp_like(x, pattern)",
        Token::DollarQuotedString(_) | Token::EscapedStringLiteral(_) | Token::NationalStringLiteral(_) => {
            "write 'text'"
        }
        Token::Colon => "Trino takes no slices of arrays in brackets",
        _ => "Trino has no such sign",
    };
    Some(format!("mismatched input '{token}': {hint}"))
}

fn is_word(token: &Token, word: Keyword) -> bool {
    matches!(token, Token::Word(it) if it.keyword == word && it.quote_style.is_none())
}

/// OFFSET stands before LIMIT in Trino.
fn order(tokens: &[TokenWithSpan], real: &[usize]) -> Result<(), String> {
    let late = real.windows(3).find(|three| {
        let at = |n: usize| &tokens[three[n]].token;
        let is_number = matches!(at(1), Token::Number(..)) || is_word(at(1), Keyword::ALL);
        is_word(at(0), Keyword::LIMIT) && is_number && is_word(at(2), Keyword::OFFSET)
    });
    match late {
        Some(three) => Err(format!(
            "{}mismatched input 'OFFSET': it stands before LIMIT",
            place(Some(tokens[three[2]].span.start))
        )),
        None => Ok(()),
    }
}

/// Looks at the type of every cast.
fn types(tokens: &mut [TokenWithSpan], real: &[usize]) -> Result<(), String> {
    // For each open parenthesis: whether it is that of a cast.
    let mut open = Vec::new();
    for n in 0..real.len() {
        let token = &tokens[real[n]].token;
        if *token == Token::LParen {
            let is_cast = n.checked_sub(1).is_some_and(|before| {
                let before = &tokens[real[before]].token;
                is_word(before, Keyword::CAST) || is_word(before, Keyword::TRY_CAST)
            });
            open.push(is_cast);
        } else if *token == Token::RParen {
            open.pop();
        } else if is_word(token, Keyword::AS) && open.last() == Some(&true) {
            one_type(tokens, &real[n + 1..])?;
        }
    }
    Ok(())
}

/// A type stands at the beginning of `real`.
fn one_type(tokens: &mut [TokenWithSpan], real: &[usize]) -> Result<(), String> {
    let Some(first) = real.first() else { return Ok(()) };
    let Token::Word(word) = &tokens[*first].token else { return Ok(()) };
    let name = word.value.to_lowercase();
    let at = place(Some(tokens[*first].span.start));
    if OTHER_TYPES.contains(&&*name) {
        return Err(format!(
            "NOT_SUPPORTED: {at}the offline Athena has no CAST to {name}, though Athena has"
        ));
    }
    if !TYPES.contains(&&*name) {
        let hint = match &*name {
            "string" | "text" => ": write varchar",
            "float" => ": write real or double",
            "datetime" => ": write timestamp",
            _ => "",
        };
        return Err(format!("TYPE_MISMATCH: {at}Unknown type: {name}{hint}"));
    }
    if name != "array" || real.get(1).is_none_or(|next| tokens[*next].token != Token::LParen) {
        return Ok(());
    }
    let mut depth = 0;
    let close = real.iter().position(|it| {
        match &tokens[*it].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => return false,
        }
        depth == 0
    });
    if let Some(close) = close {
        one_type(tokens, &real[2..close])?;
        tokens[real[1]].token = Token::Lt;
        tokens[real[close]].token = Token::Gt;
    }
    Ok(())
}
