//! The rules for bucket names.

use super::endpoint::is_aws;

/// Checks a bucket name by the rules of S3 for new buckets.
///
/// With `is_old`, when requests have the bucket in their path, the rules are those of older buckets and other
/// servers, which allow capitals, `_` and long names.
pub(crate) fn check_bucket_name(name: &str, is_old: bool) -> Result<(), String> {
    if name.starts_with("arn:") {
        return check_arn(name, is_old);
    }
    if name.is_empty() {
        return Err("the bucket name is empty".into());
    }
    if let Some((_, path)) = name.split_once("://") {
        return Err(not_a_path(name, path));
    }
    if name.contains('/') {
        return Err(not_a_path(name, name));
    }
    let advice = match Host::of(name) {
        Host::Bucket(bucket) => Some(format!("write \"{bucket}\"")),
        Host::Service => Some("write the name of the bucket alone, and the region in `region`".into()),
        Host::Other => None,
    };
    if let Some(advice) = advice {
        return Err(format!("`{name}` is not a bucket name but a host of S3: {advice}"));
    }
    let refuse = |why: String| {
        Err(format!(
            "`{name}` is not a bucket name: {why}; it has 3 to 63 characters, a to z, 0 to 9, `.` and `-`"
        ))
    };
    let is_loose = |char: char| char.is_ascii_alphanumeric() || ".-_".contains(char);
    if let Some(bad) = name.chars().find(|&char| !is_loose(char)) {
        return refuse(format!("it contains `{}`", bad.escape_debug()));
    }
    let is_strict = |char: char| is_loose(char) && !char.is_ascii_uppercase() && char != '_';
    if let Some(bad) = name.chars().find(|&char| !is_strict(char)).filter(|_| !is_old) {
        let hint = "; if the bucket exists under this name, on another server or since before 2018, set \
                    `force_path_style = true`";
        return refuse(format!("it contains `{bad}`")).map_err(|error| error + hint);
    }
    if !(3..=if is_old { 255 } else { 63 }).contains(&name.len()) {
        let n = name.len();
        return refuse(format!("it has {n} character{}", if n == 1 { "" } else { "s" }));
    }
    if name.contains("..") || !name.starts_with(is_end) || !name.ends_with(is_end) {
        return refuse("it begins or ends with `.`, `-` or `_`, or has two `.` in a row".into());
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return refuse("it is an IP address".into());
    }
    Ok(())
}

fn is_end(char: char) -> bool {
    char.is_ascii_alphanumeric()
}

/// Where the parts of a URL or a path belong.
fn not_a_path(name: &str, path: &str) -> String {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let scheme = name.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    let mut server = None;
    let (bucket, folder) = match Host::of(first) {
        Host::Bucket(bucket) => (bucket, rest),
        Host::Service => rest.split_once('/').unwrap_or((rest, "")),
        // A server of another maker has the bucket in the path.
        Host::Other if scheme.starts_with("http") => {
            server = Some(format!("{scheme}://{first}"));
            rest.split_once('/').unwrap_or((rest, ""))
        }
        Host::Other => (first, rest),
    };
    let folder = folder.trim_matches('/');
    let bucket =
        if bucket.is_empty() { "the name of the bucket".to_owned() } else { format!("\"{bucket}\"") };
    let key = if folder.is_empty() { String::new() } else { format!(", and begin `key` with \"{folder}/\"") };
    let endpoint = server.map_or_else(String::new, |url| format!(", set `endpoint = \"{url}\"`"));
    format!("`{name}` is not a bucket name but an address: write {bucket}{endpoint}{key}")
}

/// What the name of a host says.
enum Host<'a> {
    /// One of a bucket: `lake.s3.eu-west-1.amazonaws.com`.
    Bucket(&'a str),
    /// One of AWS without a bucket.
    Service,
    /// Not one of AWS.
    Other,
}

impl Host<'_> {
    fn of(host: &str) -> Host<'_> {
        let host = host.split(':').next().unwrap_or(host);
        if !is_aws(host) {
            return Host::Other;
        }
        if host.starts_with("s3.") || host.starts_with("s3-") {
            return Host::Service;
        }
        let end = [".s3.", ".s3-"].iter().filter_map(|service| host.find(service)).min();
        end.map_or(Host::Service, |end| Host::Bucket(&host[..end]))
    }
}

/// Checks that an ARN in place of a bucket name can be written to: access points of one region can.
fn check_arn(arn: &str, is_path_style: bool) -> Result<(), String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let &["arn", partition, service, region, account, resource] = &*parts else {
        return Err(format!("`{arn}` is not an ARN: that of an access point is {ACCESS_POINT}"));
    };
    let _ = partition;
    if service == "s3" && account.is_empty() {
        let bucket = resource.split('/').next().unwrap_or(resource);
        if bucket.is_empty() {
            return Err(format!("`{arn}` is an ARN without a name: write the name of the bucket"));
        }
        return Err(format!("`{arn}` is the ARN of a bucket: write its name, \"{bucket}\""));
    }
    if resource.rsplit('.').next() == Some("mrap") {
        return Err(format!(
            "`{arn}` is a multi-region access point, whose signatures (SigV4A) this program cannot make: write the \
             name of a bucket behind it, or the ARN of an access point of one region"
        ));
    }
    if !matches!(service, "s3" | "s3-outposts") {
        return Err(format!(
            "`{arn}` belongs to `{service}`, which takes no objects: write the name of a bucket, or {ACCESS_POINT}"
        ));
    }
    let point = resource.split(['/', ':']).collect::<Vec<_>>();
    let is_point = match (service, &*point) {
        ("s3", ["accesspoint", name]) => !name.is_empty(),
        ("s3-outposts", ["outpost", id, "accesspoint", name]) => !id.is_empty() && !name.is_empty(),
        _ => false,
    };
    if !is_point || region.is_empty() || account.len() != 12 {
        return Err(format!("`{arn}` is not the ARN of an access point: it is written {ACCESS_POINT}"));
    }
    if is_path_style {
        return Err(arn_needs_aws(arn));
    }
    Ok(())
}

const ACCESS_POINT: &str = "\"arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME\"";

/// Why an access point cannot be used with another server than AWS.
pub(crate) fn arn_needs_aws(arn: &str) -> String {
    format!(
        "`{arn}` is an access point, which only AWS has, under a host name of its own: write the name of a bucket, or \
         leave out `endpoint` (AWS_ENDPOINT_URL) and `force_path_style`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake";

    #[test]
    fn bucket_name_follows_the_rules_of_s3() {
        for name in ["lake", "my.data-lake.2026", "lake--usw2-az1--x-s3", POINT] {
            assert_eq!(check_bucket_name(name, false), Ok(()), "{name}");
        }
        let long = "x".repeat(64);
        for name in
            ["", "ab", "B_AD bucket!", " lake", "lüke", "-lake", "lake-", "a..b", "10.0.0.1", &long, "lake\n"]
        {
            assert!(check_bucket_name(name, false).is_err(), "{name}");
        }
    }

    #[test]
    fn name_of_an_old_bucket_needs_path_style() {
        for name in ["Old_Bucket", "LAKE"] {
            let error = check_bucket_name(name, false).unwrap_err();
            assert!(error.contains("a to z") && error.contains("force_path_style"), "{error}");
            assert_eq!(check_bucket_name(name, true), Ok(()), "{name}");
        }
    }

    #[test]
    fn address_says_where_its_parts_belong() {
        for (name, bucket, key) in [
            ("s3://lake", "write \"lake\"", ""),
            ("s3://lake/", "write \"lake\"", ""),
            ("s3://lake/raw/x/", "write \"lake\"", "begin `key` with \"raw/x/\""),
            ("lake/raw", "write \"lake\"", "begin `key` with \"raw/\""),
            ("https://lake.s3.eu-west-1.amazonaws.com/raw", "write \"lake\"", "begin `key` with \"raw/\""),
            ("https://s3.eu-west-1.amazonaws.com/lake/raw", "write \"lake\"", "begin `key` with \"raw/\""),
            ("S3a://lake/raw", "write \"lake\"", "begin `key` with \"raw/\""),
            ("http://127.0.0.1:9000/lake/raw", "write \"lake\"", "`endpoint = \"http://127.0.0.1:9000\"`"),
            ("http://minio:9000", "write the name of the bucket", "`endpoint = \"http://minio:9000\"`"),
            ("lake.s3.amazonaws.com", "a host of S3: write \"lake\"", ""),
            ("my.lake.s3-eu-west-1.amazonaws.com", "write \"my.lake\"", ""),
            ("lake.s3-website.eu-west-1.amazonaws.com", "write \"lake\"", ""),
            ("s3.eu-west-1.amazonaws.com", "the name of the bucket alone", "`region`"),
            ("lake.s3.amazonaws.com/raw", "write \"lake\"", "begin `key` with \"raw/\""),
        ] {
            for is_old in [false, true] {
                let error = check_bucket_name(name, is_old).unwrap_err();
                assert!(error.contains(bucket) && error.contains(key), "{error}");
            }
        }
        assert!(check_bucket_name("x", false).unwrap_err().contains("it has 1 character;"));
    }

    #[test]
    fn arn_that_cannot_work_is_rejected() {
        for (arn, reason) in [
            ("arn:aws:s3:::lake", "write its name, \"lake\""),
            ("arn:aws:s3:::lake/raw/*", "write its name, \"lake\""),
            ("arn:aws:s3:::", "an ARN without a name"),
            ("arn:aws:iam::123456789012:role/lake", "takes no objects"),
            ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "SigV4A"),
            ("arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/x", "takes no objects"),
            ("arn:aws:s3:eu-west-1:123456789012:bucket/x", "is not the ARN of an access point"),
            ("arn:aws:s3:eu-west-1", "is not an ARN"),
        ] {
            let error = check_bucket_name(arn, false).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(check_bucket_name(POINT, true).unwrap_err().contains("only AWS has"));
    }
}
