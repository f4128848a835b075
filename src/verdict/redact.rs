//! The part of a reply that may be shown to people: on standard error, in logs, in the summary and its JSON.
//!
//! A server's text may quote any row's user, in flight or not, and a user identifier may look like anything. So the text is not
//! searched for secrets: a word is shown only if it is one that AWS uses in its own sentences. Every other word, number and name
//! becomes `…`. The results file has the original text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use super::ReplyDetails;

/// Stands for everything that is not shown.
pub const MASK: &str = "…";

/// The words of AWS's error sentences, in lower case. A user identifier equal to one of them does not stand out among them.
const WORDS: &str = "\
    a able aborted accepted access account action actions activated active after again allow allowed allows already an \
    and another answer any are assumed at attempt attempts authorization authorized aws bad based be because been before \
    being belong belongs between body boundary but by calculated call calls can cannot canonical check client clock code \
    cognito concurrent configuration configured conflict connection consult contact contain contains could credential \
    credentials date denied deny details developer did disabled documentation does doesn't due earlier empty enabled \
    endpoint enough error exceeded exception exist exists expected expired explicit failed failure failures for forbidden \
    format found from group has have header headers http iam id identifier identities identity identity-based \
    identitypool if in include included incomplete incorrect internal into invalid is it its json key later least length \
    less limit link linked login logins long longer malformed many match matches maximum may member message method min \
    minimum missing more must name no none not now null occurred of on one only operation or organizations other \
    parameter parameters party pattern perform permission permissions permitted please policies policy pool pools \
    processing provide provided provider providers proxy quota rate reached received reduce regular refused region \
    registered rejected reply request requested requests required requires resource resource-based resources response \
    retry role root satisfy secret secretkey security see sent server service session set should sign signature signed \
    signing slow specified statement status string subscription such support supported syntax temporarily than that the \
    there this throttled time to token tokens too trusted try type unable unavailable unauthenticated unexpected unknown \
    unlink unlinked unsupported use used user users using valid validate validation value values version was we were when \
    which while will with within without wrong you your";

/// Operations that error sentences about permissions name.
const ACTIONS: &[&str] = &[
    "cognito-identity:CreateIdentityPool",
    "cognito-identity:DeleteIdentities",
    "cognito-identity:DescribeIdentity",
    "cognito-identity:DescribeIdentityPool",
    "cognito-identity:GetOpenIdTokenForDeveloperIdentity",
    "cognito-identity:ListIdentities",
    "cognito-identity:LookupDeveloperIdentity",
    "cognito-identity:MergeDeveloperIdentities",
    "cognito-identity:UnlinkDeveloperIdentity",
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:GetCallerIdentity",
];

/// Codes without the usual ending of an exception's name.
const CODES: &[&str] = &[
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeTooSkewed",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "SlowDown",
    "Throttled",
    "Throttling",
    "UnrecognizedClient",
    // Ours, for replies that have none.
    "NotCognito",
    "TruncatedAnswer",
];

impl ReplyDetails {
    /// Returns the details without anything that may name a user. Without a reply from a server the text is the SDK's own, and
    /// stays as it is.
    #[must_use]
    pub fn shown(&self) -> Self {
        if self.http_status.is_none() {
            return self.clone();
        }
        Self {
            code: self.code.as_deref().map(shown_code),
            message: self.message.as_deref().map(shown_message),
            request_id: self.request_id.as_deref().map(shown_request_id),
            ..self.clone()
        }
    }
}

/// Returns an error code as it may be shown: one that AWS's services use, or one of the same form.
#[must_use]
pub fn shown_code(code: &str) -> String {
    let ends = ["Exception", "Error", "Failure", "Fault"];
    let is_built_so = code.len() <= 64
        && code.starts_with(|first: char| first.is_ascii_uppercase())
        && code.bytes().all(|byte| byte.is_ascii_alphabetic())
        && ends.iter().any(|end| code.ends_with(end));
    if is_built_so || CODES.contains(&code) {
        code.to_owned()
    } else {
        MASK.to_owned()
    }
}

/// Returns a request id as it may be shown: only if it is a UUID, as AWS's are.
#[must_use]
pub fn shown_request_id(id: &str) -> String {
    let is_uuid = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_uuid { id } else { MASK }.to_owned()
}

/// Returns a server's message as it may be shown, line by line.
#[must_use]
pub fn shown_message(message: &str) -> String {
    let lines: Vec<String> = message.lines().map(shown_line).collect();
    lines.join("\n")
}

fn shown_line(message: &str) -> String {
    let mut shown = String::new();
    let mut masked = false;
    for word in message.split_whitespace() {
        let word = shown_word(word);
        // One mask for consecutive words: the number of words in a name is private too.
        let is_mask = word == MASK;
        if is_mask && masked {
            continue;
        }
        masked = is_mask;
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(&word);
    }
    shown
}

/// Returns a word with its punctuation; the word itself is shown only if it is known.
fn shown_word(word: &str) -> Cow<'_, str> {
    let is_mark = |c: char| "'\"`.,:;!?()[]{}<>".contains(c);
    let inner = word.trim_matches(is_mark);
    if inner.is_empty() || inner == MASK || inner == "*" {
        return Cow::Borrowed(word);
    }
    if is_known_word(&inner.to_ascii_lowercase()) || ACTIONS.contains(&inner) {
        return Cow::Borrowed(word);
    }
    let core = shown_arn(inner).unwrap_or_else(|| MASK.to_owned());
    let (before, behind) = word.split_once(inner).unwrap_or_default();
    Cow::Owned(format!("{before}{core}{behind}"))
}

fn is_known_word(word: &str) -> bool {
    static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.split(' ').collect());
    KNOWN.contains(word)
}

/// Returns an ARN up to its resource type: account and type identify the credentials that were refused, and the name after them may
/// be a person's.
fn shown_arn(word: &str) -> Option<String> {
    let mut parts = word.splitn(6, ':');
    let mut part = || parts.next();
    let (arn, partition, service, region, account, resource) =
        (part()?, part()?, part()?, part()?, part()?, part()?);
    let partitions = [
        "aws",
        "aws-cn",
        "aws-us-gov",
        "aws-iso",
        "aws-iso-b",
        "aws-eusc",
    ];
    let is_region = match region.split('-').collect::<Vec<_>>()[..] {
        [first, ref between @ .., last] => {
            REGIONS_BEGIN.contains(&first)
                && !between.is_empty()
                && between.iter().all(|part| REGION_PARTS.contains(part))
                && matches!(last.as_bytes(), [digit] if digit.is_ascii_digit())
        }
        _ => false,
    };
    let is_account = account.is_empty()
        || account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = arn == "arn"
        && partitions.contains(&partition)
        && ["iam", "sts", "cognito-identity"].contains(&service)
        && (region.is_empty() || is_region)
        && is_account;
    let kind = resource.split('/').next().unwrap_or_default();
    let kinds = [
        "user",
        "role",
        "assumed-role",
        "federated-user",
        "root",
        "identitypool",
    ];
    if !is_known || !kinds.contains(&kind) {
        return None;
    }
    let head = &word[..word.len() - resource.len()];
    let name = if resource.contains('/') { "/…" } else { "" };
    Some(format!("{head}{kind}{name}"))
}

/// Beginnings of Regions' names.
const REGIONS_BEGIN: &[&str] = &[
    "us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx", "cn", "eusc",
];

/// The words that stand behind.
const REGION_PARTS: &[&str] = &[
    "gov",
    "iso",
    "isob",
    "isoe",
    "isof",
    "east",
    "west",
    "north",
    "south",
    "central",
    "northeast",
    "northwest",
    "southeast",
    "southwest",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_sentences_of_aws_stay_what_they_say() {
        for (message, shown) in [
            ("Rate exceeded", "Rate exceeded"),
            (
                "The security token included in the request is invalid.",
                "The security token included in the request is invalid.",
            ),
            (
                "IdentityPool 'us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63' not found.",
                "IdentityPool '…' not found.",
            ),
            (
                "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: \
                 cognito-identity:UnlinkDeveloperIdentity on resource: \
                 arn:aws:cognito-identity:us-east-1:123456789012:identitypool/us-east-1:3f6c2a10 \
                 because no identity-based policy allows the action",
                "User: arn:aws:iam::123456789012:user/… is not authorized to perform: \
                 cognito-identity:UnlinkDeveloperIdentity on resource: \
                 arn:aws:cognito-identity:us-east-1:123456789012:identitypool/… because no identity-based policy allows the action",
            ),
            (
                "User: arn:aws:sts::123456789012:assumed-role/Admin/alice is not authorized on resource: *",
                "User: arn:aws:sts::123456789012:assumed-role/… is not authorized on resource: *",
            ),
            (
                "Signature expired: 20261123T000000Z is now earlier than 20261123T000500Z (20261123T001000Z - 5 min.)",
                "Signature expired: … is now earlier than … (… … min.)",
            ),
        ] {
            assert_eq!(shown_message(message), shown);
        }
    }

    #[test]
    fn a_user_is_masked_wherever_it_stands() {
        for message in [
            "The user 'acct-7' is not linked",
            "The user acct-7 is not linked",
            "acct-7",
            "User=acct-7",
            "The token (acct-7): is invalid",
            "'the acct-7 of'",
            "User: arn:aws:iam::123456789012:user/acct-7 is not authorized",
            "User: arn:aws:iam:acct-7:123456789012:user/x is not authorized",
            "User: arn:aws:iam::acct-7:user/x is not authorized",
            "User: arn:acct-7:iam::123456789012:user/x is not authorized",
            "User: arn:aws:iam::123456789012:acct-7 is not authorized",
            "to perform: cognito-identity:acct-7 on resource: acct-7",
        ] {
            let shown = shown_message(message);
            assert!(!shown.contains("acct"), "{shown}");
            assert!(shown.contains(MASK), "{shown}");
        }
        assert_eq!(
            shown_message("no user Anna Maria Schmidt\nhere"),
            "no user …\n…"
        );
        assert_eq!(shown_message("user 12345 and 7"), "user … and …");
    }

    #[test]
    fn codes_and_request_ids_that_are_unlike_those_of_aws_are_masked() {
        for code in [
            "AccessDeniedException",
            "Throttling",
            "NewThingFault",
            "InternalError",
        ] {
            assert_eq!(shown_code(code), code);
        }
        for code in [
            "acct-7",
            "alice",
            "AccessDenied-acct-7",
            "Throttlingacct",
            "ann@example.comException",
            "",
        ] {
            assert_eq!(shown_code(code), MASK, "{code}");
        }
        let id = "00000000-0000-4000-8000-00000000000a";
        assert_eq!(shown_request_id(id), id);
        assert_eq!(shown_request_id("acct-7"), MASK);
    }

    #[test]
    fn a_message_of_this_program_is_not_masked() {
        let details = ReplyDetails {
            code: Some("ConnectionFailed".to_owned()),
            message: Some("tcp connect error 127.0.0.1:1".to_owned()),
            ..ReplyDetails::default()
        };
        assert_eq!(details.shown(), details);
        let answered = ReplyDetails {
            http_status: Some(400),
            ..details
        };
        assert_eq!(answered.shown().message.as_deref(), Some("… error …"));
    }

    #[test]
    fn every_word_is_one_in_lower_case() {
        for word in WORDS.split(' ') {
            assert!(!word.is_empty() && word == word.to_lowercase(), "{word:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_known_words_is_shown(message in "([a-z@.:/'-]{1,12}[ \n]?){0,8}") {
            let shown = shown_message(&message);
            prop_assert_eq!(shown_message(&shown), shown.clone());
            for word in shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '\'').filter(|word| !word.is_empty()) {
                let word = word.trim_matches('\'').to_lowercase();
                prop_assert!(word.is_empty() || is_known_word(&word), "{}", word);
            }
        }
    }
}
