//! The rules for bucket names.

/// Checks a bucket name. The rules are those of S3, loosened for other servers and older buckets, which allow
/// capitals, `_` and long names; the service checks the rest.
pub(crate) fn check_bucket_name(name: &str) -> Result<(), String> {
    // An access point is named by its ARN.
    if name.starts_with("arn:") {
        return Ok(());
    }
    if name.contains(['/', ':']) {
        return Err(format!("`{name}` is not a bucket name: leave out `s3://` and folders"));
    }
    if let Some(bad) = name.chars().find(|&it| !it.is_ascii_alphanumeric() && !".-_".contains(it)) {
        return Err(format!(
            "`{name}` is not a bucket name: it may contain a to z, 0 to 9, `.` and `-`, but not `{}`",
            bad.escape_debug()
        ));
    }
    match name.len() {
        0 => Err("the bucket name is empty".into()),
        3..=255 => Ok(()),
        _ => Err(format!("`{name}` is not a bucket name: it needs 3 to 63 characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_bucket_names_are_rejected() {
        let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake";
        for name in ["lake", "my.data-lake.2026", "Old_Bucket", point] {
            assert_eq!(check_bucket_name(name), Ok(()), "{name}");
        }
        for name in ["", "ab", "B_AD bucket!", "s3://lake", "lake/folder", "lüke", &"x".repeat(256)] {
            assert!(check_bucket_name(name).is_err(), "{name}");
        }
    }
}
