//! Names of Regions.

/// Returns true if `region` is one label of a host name: it becomes part of one, and must not turn it into another host.
#[must_use]
pub fn is_region(region: &str) -> bool {
    (1..=63).contains(&region.len())
        && !region.starts_with('-')
        && !region.ends_with('-')
        && region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !region.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_one_label_of_a_host_name() {
        for region in ["us-east-1", "nowhere-1", "x", "1a"] {
            assert!(is_region(region), "{region}");
        }
        let long = "a".repeat(64);
        for region in ["", "-a", "a-", "12", "a.b", "a b", "file://x", "a/b", &long] {
            assert!(!is_region(region), "{region}");
        }
    }
}
