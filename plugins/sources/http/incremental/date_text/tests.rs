//! Texts that are dates, and texts that are not.

use super::super::time_format::TimeFormat;
use super::*;

fn format(pattern: String) -> TimeFormat {
    TimeFormat::try_from(pattern).unwrap()
}

#[test]
fn text_that_is_read_is_written_in_its_form() {
    for text in [
        "2024-01-02",
        "2024-01",
        "2024/01/02",
        "2024-1-2",
        "2024/1/12",
        "2024-01-02Z",
        "2024-01-02+00:00",
        "2024-01-02T10",
        "2024-01-02T10:04",
        "2024-01-02 10:04",
        "2024-01-02 9:04",
        "2024-01-02T10:04:05Z",
        "2024-01-02t10:04:05z",
        "2024-01-02 10:04:05",
        "2024-01-02 10:04:05 UTC",
        "2024-01-02 10:04:05 GMT",
        "2024-01-02T10:04:05+0000",
        "2024-01-02T10:04:05.250+0000",
        "2024-01-02 10:04:05 +00:00",
        "2024-01-02 10:04:05+00",
        "2024-01-02T10:04:05.250",
        "2024-01-02T10:04:05,250Z",
        "2024-01-02T10:04:05.250001Z",
        "2024-01-02T10:04:05.250001002Z",
        "20240102T100405Z",
        "20240102T1004",
        "Tue, 02 Jan 2024 10:04:05 +0000",
        "Tue, 02 Jan 2024 10:04:05 GMT",
        "02 Jan 2024 10:04 UTC",
    ] {
        let time = read(text).unwrap_or_else(|| panic!("{text} is not read"));
        assert_eq!(format(pattern(text).unwrap()).write(time), text);
    }
    // A zone other than UTC is written as UTC.
    for (text, same) in [
        ("2024-01-02T12:04:05+02:00[Europe/Berlin]", "2024-01-02T10:04:05+00:00"),
        ("2024-01-02T10:04:05Z[UTC]", "2024-01-02T10:04:05Z"),
        ("2024-01-02T10:04:05.250Z[Etc/UTC]", "2024-01-02T10:04:05.250Z"),
        ("2024-01-02T10:04:05Z+0000", "2024-01-02T10:04:05Z"),
        ("2024-01-02 05:04:05 EST", "2024-01-02 10:04:05 UTC"),
        ("2024-01-02 12:04:05.250 CEST", "2024-01-02 10:04:05.250 UTC"),
        ("2024-01-02 12:04:05 GMT+0200", "2024-01-02 10:04:05 GMT+0000"),
        ("2024-01-02 12:04:05 GMT+02:00", "2024-01-02 10:04:05 GMT+00:00"),
        ("2024-01-02 12:04:05 UTC+2", "2024-01-02 10:04:05 UTC+0"),
        ("2024-01-02 12:04:05 GMT+0200 (CEST)", "2024-01-02 10:04:05 GMT+0000"),
        ("2024-01-02 12:04:05 +0200 (CEST)", "2024-01-02 10:04:05 +0000"),
        ("Tue, 02 Jan 2024 12:04:05 +0200 (CEST)", "Tue, 02 Jan 2024 10:04:05 +0000"),
        ("Tue, 02 Jan 2024 12:04:05 CEST", "Tue, 02 Jan 2024 10:04:05 +0000"),
        ("Tue, 02 Jan 2024 05:04:05 EST", "Tue, 02 Jan 2024 10:04:05 +0000"),
    ] {
        let time = read(text).unwrap_or_else(|| panic!("{text} is not read"));
        assert_eq!(format(pattern(text).unwrap()).write(time), same, "{text}");
    }
    // The day of the week is not checked, and a zone is written as UTC in its form.
    let written = |text: &str| format(pattern(text).unwrap()).write(read(text).unwrap());
    assert_eq!(written("Mon, 31 Jan 2024 18:00:00 +0200"), "Wed, 31 Jan 2024 16:00:00 +0000");
    assert_eq!(written("2024-01-01T00:00:00+02:00"), "2023-12-31T22:00:00+00:00");
    assert_eq!(written("2024-01-01T00:00:00.0000000"), "2024-01-01T00:00:00.000000");
}

#[test]
fn epoch_of_odata_is_read() {
    for text in ["/Date(1704189845250)/", "/Date(1704189845250+0000)/", "/Date(1704189845250-0500)/"] {
        assert_eq!(read(text), read("2024-01-02T10:04:05.250Z"), "{text}");
    }
    assert_eq!(read("/Date(-86400000)/"), read("1969-12-31"));
    assert!(["/Date()/", "/Date(soon)/", "/Date(1)", "Date(1)/"].iter().all(|text| read(text).is_none()));
}

#[test]
fn text_that_is_not_a_date_is_not_read() {
    for text in [
        "",
        "20240102",
        "202401",
        "2024",
        "2024-13",
        "2024-1",
        "2024/01",
        "2024-02-30",
        "2024-01-02-05",
        "2024-01-02T",
        "2024-01-02T25:00",
        "2024-01-02 10:04:05 PM",
        "2024-01-02 10:04:05.",
        "2024-01-02x",
        "20240102100405",
        "31.01.2024",
        "31 Jan 2024",
        "soon, or later",
        "2024-01-02T10:04:05ä",
        "2024-01-02T10:04:05[Europe/Berlin]",
        "2024-01-02 10:04:05 Europe/Berlin",
        "2024-01-02 10:04:05 IST",
        "2024-01-02 10:04:05 (late)",
        "2024-01-02 10:04:05 EST+1",
        "2024-01-02 EST",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn number_in_the_form_of_a_date_is_one() {
    for number in [20_240_105, 19_000_101, 202_401_051_030, 20_240_105_103_059] {
        let (time, pattern) = of_digits(number).unwrap();
        assert_eq!(format(pattern.into()).write(time), number.to_string());
    }
    for number in
        [0, -20_240_105, 20_240_132, 20_241_301, 18_991_231, 2024, 202_401, 2_024_010_510, 1_704_153_600]
    {
        assert_eq!(of_digits(number), None, "{number}");
    }
    assert_eq!(of_digits(20_240_105_246_000), None);
    assert_eq!(of_digits(1_704_153_600_000), None);
}
