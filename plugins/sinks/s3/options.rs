//! How objects are stored: the options with the names of S3's own headers.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runner_core::{Error, OptionError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shared::fixed_text::check_without_fields;

/// An enum whose variants have S3's own names.
macro_rules! named_by_s3 {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[schemars(inline)]
        pub(super) enum $name {
            $(#[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub(super) fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }
    };
}

named_by_s3! {
    /// The storage class of an object.
    StorageClass {
        Standard = "STANDARD",
        StandardIa = "STANDARD_IA",
        OnezoneIa = "ONEZONE_IA",
        IntelligentTiering = "INTELLIGENT_TIERING",
        ReducedRedundancy = "REDUCED_REDUNDANCY",
        GlacierIr = "GLACIER_IR",
        Glacier = "GLACIER",
        DeepArchive = "DEEP_ARCHIVE",
        ExpressOnezone = "EXPRESS_ONEZONE",
        Outposts = "OUTPOSTS",
    }
}

named_by_s3! {
    /// The encryption of an object at rest.
    Encryption {
        Aes256 = "AES256",
        Kms = "aws:kms",
        KmsTwice = "aws:kms:dsse",
    }
}

named_by_s3! {
    /// A canned ACL.
    Acl {
        Private = "private",
        PublicRead = "public-read",
        PublicReadWrite = "public-read-write",
        AwsExecRead = "aws-exec-read",
        AuthenticatedRead = "authenticated-read",
        BucketOwnerRead = "bucket-owner-read",
        BucketOwnerFullControl = "bucket-owner-full-control",
        LogDeliveryWrite = "log-delivery-write",
    }
}

/// What to do instead of options that other sinks for S3 have.
pub(super) fn hints() -> Value {
    const BATCHES: &str = "this sink stores each record as one object, and does not compress it. \"Estimate the cost\" in \
                           docs/aws.md says what that costs, and names programs that write many records into one object";
    const KEY: &str =
        "`key` is the whole name of the object: `key = \"folder/day={{ .Date }}/{{ entry }}.json\"`";
    const AUTH: &str = "a role is `assume_role = \"arn:aws:iam::123456789012:role/NAME\"`; keys come from the environment \
                        or from a profile, as in every AWS tool";
    json!({
        "auth": AUTH, "role_arn": AUTH, "access_key_id": AUTH, "secret_access_key": AUTH,
        "batch": BATCHES, "compression": BATCHES, "encoding": BATCHES, "framing": BATCHES,
        "key_prefix": KEY, "prefix": KEY, "filename_time_format": KEY, "filename_append_uuid": KEY,
        "filename_extension": KEY,
    })
}

/// What becomes of a record without a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Tombstones {
    #[default]
    Reject,
    Skip,
}

impl StorageClass {
    /// Whether an object must be restored before it can be read.
    pub(super) fn is_archive(self) -> bool {
        matches!(self, StorageClass::Glacier | StorageClass::DeepArchive)
    }
}

/// The media type of objects whose names end like this, if `content_type` is not one of that format.
pub(super) fn other_content_type(ending: &str, content_type: &str) -> Option<&'static str> {
    const TYPES: [(&str, &str); 3] =
        [(".csv", "text/csv"), (".tsv", "text/tab-separated-values"), (".xml", "application/xml")];
    let ending = ending.to_ascii_lowercase();
    let (_, right) = TYPES.into_iter().find(|(name, _)| ending.ends_with(name))?;
    content_type.to_ascii_lowercase().contains("json").then_some(right)
}

/// A KMS key belongs to an encryption with KMS.
pub(super) fn check_key_id(key: Option<&str>, encryption: Option<Encryption>) -> Result<(), Error> {
    match (key, encryption) {
        (Some(_), None | Some(Encryption::Aes256)) => Err(OptionError::new(
            "ssekms_key_id",
            "a KMS key is used only with `server_side_encryption = \"aws:kms\"` (or `\"aws:kms:dsse\"`): add that, or \
             leave the key out",
        )),
        _ => Ok(()),
    }
}

/// The limits of S3 for the tags of an object (Amazon S3 user guide, "Categorizing your objects using tags").
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Error> {
    let refuse = |message: String| Err(OptionError::new("tags", message));
    if tags.len() > 10 {
        return refuse(format!("an object has at most 10 tags, not {}", tags.len()));
    }
    check_without_fields("tags", tags)?;
    for (name, value) in tags {
        let (n_name, n_value) = (name.chars().count(), value.chars().count());
        if !(1..=128).contains(&n_name) || n_value > 256 {
            return refuse(format!(
                "the name of a tag has 1 to 128 characters and its value at most 256; those of `{name}` have {n_name} and {n_value}"
            ));
        }
        if name.starts_with("aws:") {
            return refuse(format!("`{name}`: names that begin with `aws:` are reserved for AWS"));
        }
    }
    Ok(())
}

/// The tags as S3 wants them in a header: the query of a URL.
pub(super) fn tagging(tags: &BTreeMap<String, String>) -> Option<String> {
    // RFC 3986, section 2.3: the characters that need no encoding.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let pairs: Vec<String> =
        tags.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn tags_are_written_as_a_query() {
        assert_eq!(tagging(&tags(&[])), None);
        let query = tagging(&tags(&[("team", "market data"), ("ü", "a&b=c")])).unwrap();
        assert_eq!(query, "team=market%20data&%C3%BC=a%26b%3Dc");
    }

    #[test]
    fn tags_beyond_the_limits_of_s3_are_rejected() {
        check_tags(&tags(&[("team", "")])).unwrap();
        check_tags(&tags(&[("", "x")])).unwrap_err();
        check_tags(&tags(&[("aws:x", "x")])).unwrap_err();
        check_tags(&tags(&[(&"x".repeat(129), "x")])).unwrap_err();
        check_tags(&tags(&[("x", &"y".repeat(257))])).unwrap_err();
        check_tags(&(0..11).map(|n| (n.to_string(), String::new())).collect()).unwrap_err();
    }

    #[test]
    fn kms_key_without_kms_encryption_is_rejected() {
        for encryption in [None, Some(Encryption::Aes256)] {
            check_key_id(Some("alias/lake"), encryption).unwrap_err();
            check_key_id(None, encryption).unwrap();
        }
        check_key_id(Some("alias/lake"), Some(Encryption::Kms)).unwrap();
    }
}
