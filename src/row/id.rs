//! Ids of identities and identity pools: `REGION:GUID`.

use super::bytes::{all_bytes, is_word};

/// Returns the Region that serves the pool or identity of this id.
#[must_use]
pub fn region_of(id: &str) -> &str {
    let end = id.bytes().position(|byte| byte == b':');
    &id[..end.unwrap_or(0)]
}

/// Returns whether the value is an id in a Region: `REGION:[0-9a-f-]+`, whole.
pub(super) fn is_id(value: &[u8]) -> bool {
    split_id(value).is_some_and(|(region, guid)| is_region(region) && is_guid(guid))
}

/// Describes why a value is no id, as the end of a sentence that begins with the field's name.
pub(super) fn describe_id_error(value: &str) -> String {
    if matches_model(value.as_bytes()) {
        describe_region_error(region_of(value))
    } else {
        format!(
            "{}is not of the form REGION:GUID, as in us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
            likely_mistake(value)
        )
    }
}

/// Returns whether the service model's pattern accepts the value as an id: `[\w-]+:[0-9a-f-]+`, whole.
fn matches_model(value: &[u8]) -> bool {
    let is_label = |region: &[u8]| {
        !region.is_empty() && all_bytes(region, |byte| is_word(byte) || byte == b'-')
    };
    split_id(value).is_some_and(|(region, guid)| is_label(region) && is_guid(guid))
}

/// Splits an id into its Region and GUID.
fn split_id(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = value.iter().position(|&byte| byte == b':')?;
    Some((&value[..colon], &value[colon + 1..]))
}

fn is_guid(guid: &[u8]) -> bool {
    !guid.is_empty()
        && all_bytes(
            guid,
            |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'),
        )
}

/// Returns whether this can be a label of a host name, in lower case (RFC 1123, section 2.1). The label's limit of 63 characters is
/// beyond the longest id.
fn is_region(region: &[u8]) -> bool {
    let is_inner = |byte: &u8| *byte != b'-';
    region.first().is_some_and(is_inner)
        && region.last().is_some_and(is_inner)
        && all_bytes(
            region,
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'),
        )
}

/// Recognises what was probably put in place of an id, as the beginning of a sentence; empty if nothing is recognised.
fn likely_mistake(value: &str) -> &'static str {
    let is_user_pool = value.split_once('_').is_some_and(|(region, id)| {
        is_region(region.as_bytes())
            && region.matches('-').count() >= 2
            && (5..=55).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if is_user_pool || value.contains(":userpool/") {
        "is the id of a user pool, and not of an identity pool or identity; it "
    } else if value.starts_with("arn:") {
        "is an ARN, of which only the part after the last slash is the id; it "
    } else if value.len() == 36 && is_guid(value.to_ascii_lowercase().as_bytes()) {
        "lacks the Region; it "
    } else if is_id(value.to_ascii_lowercase().as_bytes()) {
        "has capital letters; it "
    } else {
        ""
    }
}

/// Describes a Region that cannot be one. It is quoted only where it has the form of one, such as `us_east_1` or `US-EAST-1`: anything
/// else may be a person's name in the wrong column.
fn describe_region_error(region: &str) -> String {
    const RULE: &str =
        "a Region is written in lower-case letters, digits and inner hyphens, as in us-east-1";
    let normalised = region.to_ascii_lowercase().replace('_', "-");
    let mut parts = normalised.trim_matches('-').split('-');
    let is_letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_recognised = parts
        .next()
        .is_some_and(|part| part.len() == 2 && is_letters(part))
        && parts
            .next_back()
            .is_some_and(|part| matches!(part.as_bytes(), [b'0'..=b'9']))
        && parts.clone().count() > 0
        && parts.all(|part| !part.is_empty() && is_letters(part));
    if is_recognised {
        format!("names the Region {region}; {RULE}")
    } else {
        format!("does not begin with a Region; {RULE}")
    }
}
