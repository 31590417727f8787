//! The names that rotation and compression give to files.

/// The ends that programs add to the names of files that they compress.
const COMPRESSED: [&str; 2] = [".gz", ".zst"];

/// A name without the end that says how the file is compressed.
pub(crate) fn uncompressed(name: &str) -> &str {
    COMPRESSED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// Whether a name says that the file is compressed.
pub(crate) fn is_compressed(name: &str) -> bool {
    uncompressed(name).len() < name.len()
}

/// Whether rotation gives such a `name` to a file that was called `original`: `k.csv.1`, `k.csv-20240131`, `k.1.csv`,
/// `k-2024-01-31.csv` or `k.csv.old`, perhaps compressed.
pub(crate) fn is_rotated(original: &str, name: &str) -> bool {
    let (original, name) = (uncompressed(original), uncompressed(name));
    let within = || {
        let (stem, extension) = original.rsplit_once('.')?;
        name.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.')
    };
    name.strip_prefix(original).or_else(within).is_some_and(is_marker)
}

/// Whether `name` is what `before` is called after another rotation: `k.csv.2.gz` after `k.csv.1`.
pub(crate) fn is_rotated_again(before: &str, name: &str) -> bool {
    let numbered = |name: &str| {
        let (original, number) = uncompressed(name).rsplit_once('.')?;
        Some((original.to_owned(), number.parse::<u16>().ok()?))
    };
    let (Some(before), Some(now)) = (numbered(before), numbered(name)) else { return false };
    before.0 == now.0 && before.1 < now.1
}

/// A number or a time, after a separator.
fn is_marker(text: &str) -> bool {
    let Some(marker) = text.strip_prefix(['.', '-', '_']) else { return false };
    let is_part = |char: char| char.is_ascii_digit() || matches!(char, '.' | '-' | '_' | ':' | 'T' | 'Z');
    marker == "old" || marker.starts_with(|first: char| first.is_ascii_digit()) && marker.chars().all(is_part)
}

/// Whether editors and copying programs give such names to what a file was before they wrote it anew.
pub(crate) fn is_backup(name: &str) -> bool {
    [".bak", ".orig", "~"].iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_name_has_a_number_or_a_time() {
        for name in [
            "k.csv.1",
            "k.csv.12.gz",
            "k.csv-20240131",
            "k.csv-20240131.zst",
            "k.1.csv",
            "k-2024-01-31.csv.gz",
            "k.csv.2024-01-31T10:00:00Z",
            "k.csv.old",
        ] {
            assert!(is_rotated("k.csv", name), "{name}");
        }
        for name in [
            "k.csv",
            "k.csv.gz",
            "k2.csv",
            "k.csv.tmp",
            "k.csv.bak",
            "k.csv~",
            "k.csv1",
            "kk.csv.1",
            "k.csv.sha1",
        ] {
            assert!(!is_rotated("k.csv", name), "{name}");
        }
        assert!(is_rotated_again("k.csv.1", "k.csv.2.gz"));
        for name in ["k.csv.1", "k.csv.9", "kk.csv.11", "k.csv.20240131", "k.csv"] {
            assert!(!is_rotated_again("k.csv.9.gz", name), "{name}");
        }
        assert!(is_rotated("log", "log.1") && !is_rotated("log", "log"));
        assert!(is_backup("k.csv~") && is_backup("k.csv.orig") && !is_backup("k.csv.1"));
    }
}
