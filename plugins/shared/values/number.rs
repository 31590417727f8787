//! Numbers as people write them, written digit by digit as JSON wants them.

use super::Misfit;

/// Whole numbers of so many digits fit into 64 bits, whatever the digits are.
const SAFE_DIGITS: usize = 18;

/// The parts of a decimal number.
struct Parts<'a> {
    is_negative: bool,
    /// Without leading zeros; empty for a number below 1.
    whole: &'a [u8],
    /// The digits after the decimal point; `None` without a point.
    fraction: Option<&'a [u8]>,
    /// With its `e` and its sign; may be empty.
    exponent: &'a [u8],
}

/// Takes a number apart: an optional sign, digits, an optional fraction and exponent.
fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (whole, mut rest) = digits(unsigned);
    let mut fraction = None;
    if let [b'.', after @ ..] = rest {
        let (digits, after) = digits(after);
        (fraction, rest) = (Some(digits), after);
    }
    if whole.is_empty() && fraction.is_none_or(<[u8]>::is_empty) {
        return None;
    }
    let exponent = rest;
    match rest {
        [] => {}
        [b'e' | b'E', power @ ..] => {
            let power = power.strip_prefix(b"-").or(power.strip_prefix(b"+")).unwrap_or(power);
            let (digits, rest) = digits(power);
            if digits.is_empty() || !rest.is_empty() {
                return None;
            }
        }
        _ => return None,
    }
    let n_zeros = whole.iter().take_while(|&&digit| digit == b'0').count();
    Some(Parts { is_negative, whole: &whole[n_zeros..], fraction, exponent })
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// Appends a whole number of 64 bits; a fraction of zeros is left out.
pub(super) fn write_integer(text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let number = parts(text).ok_or(Misfit::Integer)?;
    let is_whole = number.fraction.is_none_or(|digits| digits.iter().all(|&digit| digit == b'0'));
    if !is_whole || !number.exponent.is_empty() {
        return Err(Misfit::Integer);
    }
    let start = out.len();
    if number.is_negative && !number.whole.is_empty() {
        out.push(b'-');
    }
    out.extend_from_slice(if number.whole.is_empty() { b"0" } else { number.whole });
    let is_long = number.whole.len() > SAFE_DIGITS
        && !std::str::from_utf8(&out[start..]).is_ok_and(|text| text.parse::<i64>().is_ok());
    if is_long {
        out.truncate(start);
        return Err(Misfit::LongInteger);
    }
    Ok(())
}

/// Appends a number as JSON writes it: all digits stay, `.5` becomes `0.5` and `5.` becomes `5.0`.
pub(super) fn write_float(text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let number = parts(text).ok_or(Misfit::Float)?;
    let may_be_huge = number.exponent.len() > 2 || number.whole.len() > 300;
    if may_be_huge && !std::str::from_utf8(text).is_ok_and(|it| it.parse::<f64>().is_ok_and(f64::is_finite)) {
        return Err(Misfit::HugeFloat);
    }
    if number.is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(if number.whole.is_empty() { b"0" } else { number.whole });
    if let Some(fraction) = number.fraction {
        out.push(b'.');
        out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
    }
    out.extend_from_slice(number.exponent);
    Ok(())
}

/// Whether a JSON number has a decimal point or an exponent.
pub(crate) fn has_point(number: &[u8]) -> bool {
    number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}
