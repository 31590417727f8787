//! What the name of a bucket may look like.

/// Says why no bucket has this name. The rules are those of S3, and of other servers and older
/// buckets, which know capitals, `_` and long names; what else is wrong the service will say.
pub(crate) fn check_bucket_name(name: &str) -> Result<(), String> {
    // An access point is named by its ARN.
    if name.starts_with("arn:") {
        return Ok(());
    }
    if name.contains(['/', ':']) {
        return Err(format!("`{name}` is not the name of a bucket: leave `s3://` and folders out of it"));
    }
    if let Some(bad) = name.chars().find(|&it| !it.is_ascii_alphanumeric() && !".-_".contains(it)) {
        return Err(format!(
            "`{name}` is not the name of a bucket: those have a to z, 0 to 9, `.` and `-` in them, and no `{}`",
            bad.escape_debug()
        ));
    }
    match name.len() {
        0 => Err("a bucket has a name".into()),
        3..=255 => Ok(()),
        _ => Err(format!("`{name}` is not the name of a bucket: those have 3 to 63 characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_the_name_of_a_bucket_is_known_without_asking() {
        let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake";
        for name in ["lake", "my.data-lake.2026", "Old_Bucket", point] {
            assert_eq!(check_bucket_name(name), Ok(()), "{name}");
        }
        for name in ["", "ab", "B_AD bucket!", "s3://lake", "lake/folder", "lüke", &"x".repeat(256)] {
            assert!(check_bucket_name(name).is_err(), "{name}");
        }
    }
}
