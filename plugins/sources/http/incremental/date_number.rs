//! Dates that are written as numbers, such as 20240105.

use super::cursor_value::{Nanos, SECOND};
use super::date_text::date_of;

/// The point in time of a number in the form year, month, day, with hour, minute and second if it
/// has so many digits; and the strftime pattern of its form. Epochs of this size are hardly met: those of
/// 8 digits are in August 1970.
pub(crate) fn date(number: i128) -> Option<(Nanos, &'static str)> {
    let (pattern, number) = match number {
        19_000_101..=20_991_231 => ("%Y%m%d", number * 1_000_000),
        190_001_010_000..=209_912_312_359 => ("%Y%m%d%H%M", number * 100),
        19_000_101_000_000..=20_991_231_235_959 => ("%Y%m%d%H%M%S", number),
        _ => return None,
    };
    let number = u64::try_from(number).ok()?;
    let part = |unit: u64, size: u64| (number / unit % size) as u32;
    let date = date_of(part(10_000_000_000, 10_000), part(100_000_000, 100), part(1_000_000, 100))?;
    let (hour, minute, second) = (part(10_000, 100), part(100, 100), part(1, 100));
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then(|| (date + Nanos::from(hour * 3600 + minute * 60 + second) * SECOND, pattern))
}

#[cfg(test)]
mod tests {
    use super::super::time_format::TimeFormat;
    use super::*;

    #[test]
    fn number_in_the_form_of_a_date_is_one() {
        for number in [20_240_105, 19_000_101, 202_401_051_030, 20_240_105_103_059] {
            let (time, pattern) = date(number).unwrap();
            assert_eq!(TimeFormat::Strftime(pattern.into()).write(time), number.to_string());
        }
        for number in
            [0, -20_240_105, 20_240_132, 20_241_301, 18_991_231, 2024, 202_401, 2_024_010_510, 1_704_153_600]
        {
            assert_eq!(date(number), None, "{number}");
        }
        assert_eq!(date(20_240_105_246_000), None);
        assert_eq!(date(1_704_153_600_000), None);
    }
}
