//! One row of the input: what it names, where it stands, and how it is known again.

mod room;
mod unusual;

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher13};

pub use self::room::{ROOM, Room, Taken};
pub use self::unusual::{AsIs, Kind, Trust, is_invisible};

/// The four fields of a row, in the order in which results name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `identity_id`
    IdentityId,
    /// `identity_pool_id`
    IdentityPoolId,
    /// `developer_provider_name`
    DeveloperProviderName,
    /// `developer_user_identifier`
    DeveloperUserIdentifier,
}

impl Field {
    /// All four, in order.
    pub const ALL: [Self; 4] = [
        Self::IdentityId,
        Self::IdentityPoolId,
        Self::DeveloperProviderName,
        Self::DeveloperUserIdentifier,
    ];

    /// The name of its column and key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdentityId => "identity_id",
            Self::IdentityPoolId => "identity_pool_id",
            Self::DeveloperProviderName => "developer_provider_name",
            Self::DeveloperUserIdentifier => "developer_user_identifier",
        }
    }

    /// The field that a column or key of this name means, whatever its case, `_`, `-` and spaces.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let folded = folded(name);
        Self::ALL
            .into_iter()
            .find(|field| self::folded(field.name()) == folded)
    }

    /// Holds a value against the rules of the service model for `IdentityId`, `IdentityPoolId`, `DeveloperProviderName` and
    /// `DeveloperUserIdentifier`. Of an id, the Region has to be a host label as well: the service's pattern lets `us_east_1:…` pass,
    /// for which there can be no endpoint.
    ///
    /// # Errors
    /// The first rule that it breaks. The reason never quotes the value, since it may be a person's; it names a Region that is
    /// misspelt so that it can be told for one.
    pub fn check(self, value: &str) -> Result<(), Fault> {
        let name = self.name();
        let fault = |code, rule: &str| Err(Fault::new(code, format!("{name} {rule}")));
        if value.is_empty() {
            return fault(FaultCode::MissingField, "is missing or empty");
        }
        let longest = match self {
            Field::IdentityId | Field::IdentityPoolId => 55,
            Field::DeveloperProviderName => 128,
            Field::DeveloperUserIdentifier => 1024,
        };
        // Smithy counts Unicode scalar values; bytes are never fewer, so most values need no count.
        if value.len() > longest && value.chars().count() > longest {
            return fault(
                FaultCode::TooLong,
                &format!("is longer than {longest} characters"),
            );
        }
        let well_formed = match self {
            Field::IdentityId | Field::IdentityPoolId => is_id(value.as_bytes()),
            Field::DeveloperProviderName => {
                every(value.as_bytes(), |b| is_word(b) || b == b'.' || b == b'-')
            }
            Field::DeveloperUserIdentifier => true,
        };
        match (well_formed, self) {
            (true, _) => Ok(()),
            (false, Field::DeveloperProviderName) => fault(
                FaultCode::BadValue,
                "may hold only letters, digits, '.', '_' and '-'",
            ),
            (false, _) if is_modelled_id(value.as_bytes()) => {
                fault(FaultCode::BadValue, &no_region(region_of(value)))
            }
            (false, _) => fault(FaultCode::BadValue, &format!("{}{FORM}", likely_id(value))),
        }
    }

    /// Says that a value of this field is of this kind, without the value. An invisible character is named, or nobody would find it.
    fn unusual(self, value: &str, kind: Kind, advice: &str) -> Fault {
        let mark = value
            .chars()
            .find(|&c| kind == Kind::Invisible && is_invisible(c));
        let mark = mark.map_or(String::new(), |c| format!(" (U+{:04X})", u32::from(c)));
        let reason = format!("{} {}{mark}{advice}", self.name(), kind.does());
        Fault::new(FaultCode::Unusual(kind), reason)
    }
}

/// A column name without what does not distinguish columns: case, `_`, `-` and spaces.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// A developer user identifier linked to an identity: the parameters of one `UnlinkDeveloperIdentity`.
///
/// Values stand exactly as the input has them. In a row that was refused, what could not be read is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// `Region:GUID` of the identity.
    pub identity_id: String,
    /// `Region:GUID` of the identity pool; its prefix is the Region that is called.
    pub identity_pool_id: String,
    /// The pool's developer provider name.
    pub developer_provider_name: String,
    /// The user as the developer's own system names them. A person: it stays out of messages and logs.
    pub developer_user_identifier: String,
}

impl fmt::Debug for Link {
    /// Leaves the user identifier out, so that no log or panic message can show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("identity_id", &self.identity_id)
            .field("identity_pool_id", &self.identity_pool_id)
            .field("developer_provider_name", &self.developer_provider_name)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// The value of `field`.
    #[must_use]
    pub fn get(&self, field: Field) -> &str {
        match field {
            Field::IdentityId => &self.identity_id,
            Field::IdentityPoolId => &self.identity_pool_id,
            Field::DeveloperProviderName => &self.developer_provider_name,
            Field::DeveloperUserIdentifier => &self.developer_user_identifier,
        }
    }

    /// The value of `field`, to be set.
    pub fn get_mut(&mut self, field: Field) -> &mut String {
        match field {
            Field::IdentityId => &mut self.identity_id,
            Field::IdentityPoolId => &mut self.identity_pool_id,
            Field::DeveloperProviderName => &mut self.developer_provider_name,
            Field::DeveloperUserIdentifier => &mut self.developer_user_identifier,
        }
    }

    /// The Region that serves the pool.
    #[must_use]
    pub fn region(&self) -> &str {
        region_of(&self.identity_pool_id)
    }

    /// Holds the four values against the rules: see [`check`].
    ///
    /// # Errors
    /// The first rule that a value breaks.
    pub fn check(&self, trust: Trust) -> Result<(), Fault> {
        check(Field::ALL.map(|field| self.get(field)), trust)
    }
}

/// Holds the values of the fields, in the order of [`Field::ALL`], against the service model's own rules, and the Regions of
/// identity and pool against each other; then against what is usual.
///
/// # Errors
/// The first rule that a value breaks. The reason never quotes a value, since it may be a person's.
pub fn check(values: [&str; 4], trust: Trust) -> Result<(), Fault> {
    for (field, value) in Field::ALL.into_iter().zip(values) {
        field.check(value).map_err(|fault| {
            // Of what breaks a pattern, a kind says more than the pattern.
            let kind = trust
                .refuses(value)
                .filter(|_| fault.code == FaultCode::BadValue);
            kind.map_or(fault, |kind| field.unusual(value, kind, ""))
        })?;
    }
    // An id that is well formed is of no unusual kind.
    for field in [Field::DeveloperProviderName, Field::DeveloperUserIdentifier] {
        let value = values[field as usize];
        if let Some(kind) = trust.refuses(value) {
            let advice = format!("; mend it, or send it as it stands with --as-is {kind}");
            return Err(field.unusual(value, kind, &advice));
        }
    }
    let [identity_id, identity_pool_id, ..] = values;
    if region_of(identity_id) == region_of(identity_pool_id) {
        Ok(())
    } else {
        Err(Fault::new(
            FaultCode::RegionMismatch,
            "identity_id and identity_pool_id name different Regions",
        ))
    }
}

/// What an id looks like.
const FORM: &str =
    "is not of the form REGION:GUID, as in us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

/// Says what was taken for an id of an identity or an identity pool, if it is seen, as the beginning of a sentence.
fn likely_id(value: &str) -> &'static str {
    let is_user_pool = value.split_once('_').is_some_and(|(region, id)| {
        is_region(region.as_bytes())
            && region.matches('-').count() >= 2
            && (5..=55).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if is_user_pool || value.contains(":userpool/") {
        "is the id of a user pool, and not of an identity pool or identity; it "
    } else if value.starts_with("arn:") {
        "is an ARN, and only what stands behind its last slash is the id; it "
    } else if value.len() == 36 && is_guid(value.to_ascii_lowercase().as_bytes()) {
        "lacks the Region; it "
    } else if is_id(value.to_ascii_lowercase().as_bytes()) {
        "has capital letters; it "
    } else {
        ""
    }
}

/// The Region that serves a pool or identity of this id.
#[must_use]
pub fn region_of(id: &str) -> &str {
    let end = id.bytes().position(|byte| byte == b':');
    &id[..end.unwrap_or(0)]
}

/// Returns whether the value is an id in a Region: `REGION:[0-9a-f-]+`, whole.
fn is_id(value: &[u8]) -> bool {
    parted(value).is_some_and(|(region, guid)| is_region(region) && is_guid(guid))
}

/// Returns whether the service model takes the value for an id: `[\w-]+:[0-9a-f-]+`, whole.
fn is_modelled_id(value: &[u8]) -> bool {
    let is_label =
        |region: &[u8]| !region.is_empty() && every(region, |byte| is_word(byte) || byte == b'-');
    parted(value).is_some_and(|(region, guid)| is_label(region) && is_guid(guid))
}

/// The Region and the rest of an id.
fn parted(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = value.iter().position(|&b| b == b':')?;
    Some((&value[..colon], &value[colon + 1..]))
}

fn is_guid(guid: &[u8]) -> bool {
    !guid.is_empty() && every(guid, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// Returns whether this can be a part of a host's name, in lower case (RFC 1123, section 2.1). An id has no room for more than its 63
/// characters.
fn is_region(region: &[u8]) -> bool {
    let is_inner = |byte: &u8| *byte != b'-';
    region.first().is_some_and(is_inner)
        && region.last().is_some_and(is_inner)
        && every(
            region,
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'),
        )
}

/// Says that this is no Region. It is quoted only where it has the form of one, such as `us_east_1` or `US-EAST-1`: anything else
/// may be a person's name in the wrong column.
fn no_region(written: &str) -> String {
    const RULE: &str =
        "a Region is written in lower-case letters, digits and inner hyphens, as in us-east-1";
    let meant = written.to_ascii_lowercase().replace('_', "-");
    let mut parts = meant.trim_matches('-').split('-');
    let is_letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_known = parts
        .next()
        .is_some_and(|part| part.len() == 2 && is_letters(part))
        && parts
            .next_back()
            .is_some_and(|part| matches!(part.as_bytes(), [b'0'..=b'9']))
        && parts.clone().count() > 0
        && parts.all(|part| !part.is_empty() && is_letters(part));
    if is_known {
        format!("names the Region {written}; {RULE}")
    } else {
        format!("does not begin with a Region; {RULE}")
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether all bytes will do. Values are mostly sound, so that to look at several bytes at once pays more than to stop at the first
/// that is not.
fn every(bytes: &[u8], will_do: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, &byte| all & will_do(byte))
}

/// Where a row stands in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The input as the user named it; `-` is standard input.
    pub source: Arc<str>,
    /// Number of the data row in its source, from 1.
    pub row: u64,
    /// Line on which the row begins, from 1.
    pub line: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// The value of a carried column.
#[derive(Debug, Clone)]
pub enum Carried {
    /// The row has no such key, or a null.
    Absent,
    /// A string: a CSV field or a JSON string.
    Text(String),
    /// Any other JSON value, as it was written.
    Json(Box<RawValue>),
}

impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            _ => false,
        }
    }
}

/// A row that may be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it stands.
    pub position: Position,
    /// What it names. It has passed [`Link::check`].
    pub link: Link,
    /// The carried columns, in the order in which they were asked for.
    pub carried: Vec<Carried>,
}

/// A row that is never called, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidRow {
    /// Where it stands.
    pub position: Position,
    /// As much of it as could be read.
    pub link: Link,
    /// As much of them as could be read: never fewer or more than were asked for.
    pub carried: Vec<Carried>,
    /// What is wrong with it.
    pub fault: Fault,
}

impl InvalidRow {
    /// Returns whether the row is whole and could have been called where its values were taken as they stand.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        matches!(self.fault.code, FaultCode::Unusual(_))
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Recorded as `error_code`.
    pub code: FaultCode,
    /// Recorded as `error_message`: a sentence without any user identifier.
    pub reason: String,
}

impl Fault {
    /// A fault of kind `code`, told as `reason`.
    pub fn new(code: FaultCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.reason)
    }
}

/// The kinds of [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// A field is absent or empty, and no option fills it.
    MissingField,
    /// A field is longer than the service model allows.
    TooLong,
    /// A field breaks the service model's pattern.
    BadValue,
    /// Identity and pool are of different Regions.
    RegionMismatch,
    /// A field says something else than the option that would fill it.
    Conflict,
    /// A CSV row with more or fewer fields than the header.
    FieldCount,
    /// A quote that stands or ends inside a field (RFC 4180, section 2, rules 5 to 7).
    BadQuote,
    /// A quoted field that is never closed.
    OpenQuote,
    /// A line that is not a JSON object.
    BadJson,
    /// A JSON object that names a field twice.
    DuplicateField,
    /// A JSON value that is neither a string nor an integer.
    NotAString,
    /// Bytes that are not UTF-8 (or, in UTF-16, not a character).
    BadUtf8,
    /// A record longer than the bound.
    RecordTooLong,
    /// A last line without a line end, where it may be half of another.
    Torn,
    /// A value of this kind, which something else than the user's own system seems to have written.
    Unusual(Kind),
}

impl FaultCode {
    /// As it stands in the results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "MissingField",
            Self::TooLong => "TooLong",
            Self::BadValue => "BadValue",
            Self::RegionMismatch => "RegionMismatch",
            Self::Conflict => "Conflict",
            Self::FieldCount => "FieldCount",
            Self::BadQuote => "BadQuote",
            Self::OpenQuote => "OpenQuote",
            Self::BadJson => "BadJson",
            Self::DuplicateField => "DuplicateField",
            Self::NotAString => "NotAString",
            Self::BadUtf8 => "BadUtf8",
            Self::RecordTooLong => "RecordTooLong",
            Self::Torn => "Torn",
            Self::Unusual(_) => "Unusual",
        }
    }
}

/// What a row is known by from one run to the next: its four fields, never its number.
///
/// A keyed 128-bit hash: that two of ten million rows agree by chance is less likely than 1 in 10^24, and nobody can
/// construct two that do without the key, which never leaves the results' side file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub u128);

/// Makes [`RowKey`]s.
#[derive(Debug, Clone, Copy)]
pub struct Keyer(SipHasher13);

impl Keyer {
    /// A keyer under `key`. Keys made under different `key`s cannot be compared.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&key))
    }

    /// The key of `link`.
    #[must_use]
    pub fn key(&self, link: &Link) -> RowKey {
        self.key_of(Field::ALL.map(|field| link.get(field).as_bytes()))
    }

    /// The key of a row whose fields are these, in the order of [`Field::ALL`].
    #[must_use]
    pub fn key_of(&self, fields: [&[u8]; 4]) -> RowKey {
        let mut hasher = self.0;
        for field in fields {
            // The length first: ("ab", "c") and ("a", "bc") are different rows.
            hasher.write_u64(field.len() as u64);
            hasher.write(field);
        }
        RowKey(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            identity_id: "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".into(),
            identity_pool_id: "us-east-1:11111111-2222-3333-4444-555555555555".into(),
            developer_provider_name: "login.example.com".into(),
            developer_user_identifier: "u-1".into(),
        }
    }

    fn fault(change: impl FnOnce(&mut Link)) -> FaultCode {
        let mut link = link();
        change(&mut link);
        link.check(Trust::ALL).expect_err("the rule is broken").code
    }

    #[test]
    fn the_service_models_rules() {
        assert_eq!(link().check(Trust::ALL), Ok(()));
        assert_eq!(fault(|l| l.identity_id.clear()), FaultCode::MissingField);
        assert_eq!(
            fault(|l| l.identity_id = "us-east-1:ABC".into()),
            FaultCode::BadValue
        );
        assert_eq!(
            fault(|l| l.identity_id = "us-east-1:0f\n".into()),
            FaultCode::BadValue
        );
        assert_eq!(
            fault(|l| l.identity_pool_id = ":0f".into()),
            FaultCode::BadValue
        );
        for id in ["a:b:c", "us east:0f", "us-east-1:", "us-east-1"] {
            let changed = fault(|l| l.identity_pool_id = id.into());
            assert_eq!(changed, FaultCode::BadValue, "{id}");
        }
        assert_eq!(
            fault(|l| l.identity_pool_id = format!("us-east-1:{}", "0".repeat(46))),
            FaultCode::TooLong
        );
        for provider in ["a b", "a/b", "a:b", "\u{e9}"] {
            let changed = fault(|l| l.developer_provider_name = provider.into());
            assert_eq!(changed, FaultCode::BadValue, "{provider}");
        }
        assert_eq!(
            fault(|l| l.developer_provider_name = "a".repeat(129)),
            FaultCode::TooLong
        );
        assert_eq!(
            fault(|l| l.developer_user_identifier = "é".repeat(1025)),
            FaultCode::TooLong
        );
        assert_eq!(
            fault(|l| l.identity_id = "eu-west-1:0f".into()),
            FaultCode::RegionMismatch
        );
    }

    #[test]
    fn a_region_is_a_lower_case_host_label() {
        const GUID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        for field in [Field::IdentityId, Field::IdentityPoolId] {
            for region in [
                "us-east-1",
                "mx-central-1",
                "r",
                "us-gov-west-1",
                "1",
                "a--b",
            ] {
                assert_eq!(field.check(&format!("{region}:{GUID}")), Ok(()), "{region}");
            }
            for (region, quoted) in [
                ("us_east_1", true),
                ("US-EAST-1", true),
                ("us-east-1-", true),
                ("-us-gov-west_1", true),
                ("-", false),
                ("_", false),
                ("us-", false),
                ("Us", false),
                ("us--east-1_", false),
                // It may be anybody's name.
                ("alice_smith", false),
                ("Alice", false),
                ("al-Smith", false),
                ("Al-1", false),
                ("al-alice1-A", false),
            ] {
                let fault = field.check(&format!("{region}:{GUID}")).expect_err(region);
                assert_eq!(fault.code, FaultCode::BadValue, "{region}");
                assert!(fault.reason.starts_with(field.name()), "{fault}");
                let said = format!(" names the Region {region}; ");
                assert_eq!(fault.reason.contains(&said), quoted, "{region}: {fault}");
                assert!(fault.reason.contains("Region"), "{fault}");
            }
        }
    }

    #[test]
    fn lengths_are_characters_and_not_bytes() {
        let mut link = link();
        link.developer_user_identifier = "\u{1f600}".repeat(1024);
        assert_eq!(link.check(Trust::ALL), Ok(()));
        link.identity_pool_id = format!("us-east-1:{}", "0".repeat(45));
        assert_eq!(link.check(Trust::ALL), Ok(()));
    }

    #[test]
    fn a_key_knows_where_a_field_ends() {
        let keyer = Keyer::new([7; 16]);
        let a = keyer.key_of([b"ab", b"c", b"", b""]);
        let b = keyer.key_of([b"a", b"bc", b"", b""]);
        assert_ne!(a, b);
        assert_eq!(
            keyer.key(&link()),
            keyer.key_of(
                Field::ALL
                    .map(|f| link().get(f).to_owned())
                    .each_ref()
                    .map(String::as_bytes)
            )
        );
        assert_ne!(keyer.key(&link()), Keyer::new([8; 16]).key(&link()));
    }

    #[test]
    fn rows_that_differ_in_one_field_have_different_keys() {
        let keyer = Keyer::new([7; 16]);
        for field in Field::ALL {
            let mut other = link();
            other.get_mut(field).push('0');
            assert_ne!(keyer.key(&other), keyer.key(&link()), "{}", field.name());
        }
    }

    #[test]
    fn names_match_whatever_their_case_and_separators() {
        for name in ["IdentityId", "identity-id", "IDENTITY ID", "identity_id"] {
            assert_eq!(Field::named(name), Some(Field::IdentityId), "{name}");
        }
        assert_eq!(Field::named("identity"), None);
    }

    #[test]
    fn a_link_is_never_shown_with_its_user() {
        assert!(!format!("{:?}", link()).contains("u-1"));
    }
}
