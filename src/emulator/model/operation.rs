//! The operations and their parameters: the service model (`cognito-identity`, 2014-06-30) as a table.

use super::shape::{Member, NO_LIMIT, Pattern, Shape, StringShape};

/// An operation of the API that is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::emulator) enum Operation {
    CreateIdentityPool,
    DeleteIdentities,
    DescribeIdentity,
    DescribeIdentityPool,
    GetOpenIdTokenForDeveloperIdentity,
    ListIdentities,
    LookupDeveloperIdentity,
    MergeDeveloperIdentities,
    UnlinkDeveloperIdentity,
}

/// Operations that look up the users of an identity, the identity of a user, or the logins of an identity.
pub(in crate::emulator) const LOOKS: [&str; 2] = [
    Operation::LookupDeveloperIdentity.name(),
    Operation::DescribeIdentity.name(),
];

impl Operation {
    pub(in crate::emulator) const ALL: [Self; 9] = [
        Self::CreateIdentityPool,
        Self::DeleteIdentities,
        Self::DescribeIdentity,
        Self::DescribeIdentityPool,
        Self::GetOpenIdTokenForDeveloperIdentity,
        Self::ListIdentities,
        Self::LookupDeveloperIdentity,
        Self::MergeDeveloperIdentities,
        Self::UnlinkDeveloperIdentity,
    ];

    /// Returns the operation of this name, as in `X-Amz-Target` after the service's prefix.
    pub(in crate::emulator) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }

    pub(in crate::emulator) const fn name(self) -> &'static str {
        match self {
            Self::CreateIdentityPool => "CreateIdentityPool",
            Self::DeleteIdentities => "DeleteIdentities",
            Self::DescribeIdentity => "DescribeIdentity",
            Self::DescribeIdentityPool => "DescribeIdentityPool",
            Self::GetOpenIdTokenForDeveloperIdentity => "GetOpenIdTokenForDeveloperIdentity",
            Self::ListIdentities => "ListIdentities",
            Self::LookupDeveloperIdentity => "LookupDeveloperIdentity",
            Self::MergeDeveloperIdentities => "MergeDeveloperIdentities",
            Self::UnlinkDeveloperIdentity => "UnlinkDeveloperIdentity",
        }
    }

    /// Returns the parameters.
    pub(super) fn parameters(self) -> &'static [Member] {
        match self {
            Self::CreateIdentityPool => CREATE_IDENTITY_POOL,
            Self::DeleteIdentities => DELETE_IDENTITIES,
            Self::DescribeIdentity => DESCRIBE_IDENTITY,
            Self::DescribeIdentityPool => DESCRIBE_IDENTITY_POOL,
            Self::GetOpenIdTokenForDeveloperIdentity => GET_OPEN_ID_TOKEN_FOR_DEVELOPER_IDENTITY,
            Self::ListIdentities => LIST_IDENTITIES,
            Self::LookupDeveloperIdentity => LOOKUP_DEVELOPER_IDENTITY,
            Self::MergeDeveloperIdentities => MERGE_DEVELOPER_IDENTITIES,
            Self::UnlinkDeveloperIdentity => UNLINK_DEVELOPER_IDENTITY,
        }
    }
}

const fn required(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        shape,
        required: true,
    }
}

const fn optional(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        shape,
        required: false,
    }
}

const fn string(min: usize, max: usize) -> StringShape {
    StringShape {
        min,
        max,
        pattern: None,
        sensitive: false,
    }
}

const fn patterned(
    min: usize,
    max: usize,
    regex: &'static str,
    matches: fn(&str) -> bool,
) -> StringShape {
    StringShape {
        min,
        max,
        pattern: Some(Pattern { regex, matches }),
        sensitive: false,
    }
}

const CREATE_IDENTITY_POOL: &[Member] = &[
    required("IdentityPoolName", &IDENTITY_POOL_NAME),
    required("AllowUnauthenticatedIdentities", &Shape::Boolean),
    optional("AllowClassicFlow", &Shape::Boolean),
    optional("SupportedLoginProviders", &IDENTITY_PROVIDERS),
    optional("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
    optional("OpenIdConnectProviderARNs", &ARNS),
    optional("CognitoIdentityProviders", &COGNITO_IDENTITY_PROVIDERS),
    optional("SamlProviderARNs", &ARNS),
    optional("IdentityPoolTags", &TAGS),
];
const DELETE_IDENTITIES: &[Member] = &[required("IdentityIdsToDelete", &IDENTITY_IDS)];
const DESCRIBE_IDENTITY: &[Member] = &[required("IdentityId", &IDENTITY_ID)];
const DESCRIBE_IDENTITY_POOL: &[Member] = &[required("IdentityPoolId", &IDENTITY_POOL_ID)];
const GET_OPEN_ID_TOKEN_FOR_DEVELOPER_IDENTITY: &[Member] = &[
    required("IdentityPoolId", &IDENTITY_POOL_ID),
    optional("IdentityId", &IDENTITY_ID),
    required("Logins", &LOGINS),
    optional("PrincipalTags", &PRINCIPAL_TAGS),
    optional("TokenDuration", &TOKEN_DURATION),
];
const LIST_IDENTITIES: &[Member] = &[
    required("IdentityPoolId", &IDENTITY_POOL_ID),
    required("MaxResults", &QUERY_LIMIT),
    optional("NextToken", &PAGINATION_KEY),
    optional("HideDisabled", &Shape::Boolean),
];
const LOOKUP_DEVELOPER_IDENTITY: &[Member] = &[
    required("IdentityPoolId", &IDENTITY_POOL_ID),
    optional("IdentityId", &IDENTITY_ID),
    optional("DeveloperUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
    optional("MaxResults", &QUERY_LIMIT),
    optional("NextToken", &PAGINATION_KEY),
];
const MERGE_DEVELOPER_IDENTITIES: &[Member] = &[
    required("SourceUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
    required("DestinationUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
    required("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
    required("IdentityPoolId", &IDENTITY_POOL_ID),
];
const UNLINK_DEVELOPER_IDENTITY: &[Member] = &[
    required("IdentityId", &IDENTITY_ID),
    required("IdentityPoolId", &IDENTITY_POOL_ID),
    required("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
    required("DeveloperUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
];

const ID_REGEX: &str = r"[\w-]+:[0-9a-f-]+";
static IDENTITY_ID: Shape = Shape::String(patterned(1, 55, ID_REGEX, is_id));
static IDENTITY_POOL_ID: Shape = Shape::String(patterned(1, 55, ID_REGEX, is_id));
static DEVELOPER_PROVIDER_NAME: Shape = Shape::String(patterned(1, 128, r"[\w._-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | '-'))
}));
static DEVELOPER_USER_IDENTIFIER: Shape = Shape::String(string(1, 1024));
static IDENTITY_IDS: Shape = Shape::List {
    of: &IDENTITY_ID,
    min: 1,
    max: 60,
};
static QUERY_LIMIT: Shape = Shape::Integer { min: 1, max: 60 };
static PAGINATION_KEY: Shape = Shape::String(patterned(1, 65_535, r"[\S]+", |text| {
    all(text, |c| !is_space(c))
}));
static IDENTITY_PROVIDER_NAME: StringShape = string(1, 128);
static IDENTITY_PROVIDER_TOKEN: StringShape = StringShape {
    sensitive: true,
    ..string(1, 50_000)
};
static LOGINS: Shape = Shape::Map {
    key: &IDENTITY_PROVIDER_NAME,
    value: &IDENTITY_PROVIDER_TOKEN,
    max: 10,
};
static PRINCIPAL_TAG_ID: StringShape = string(1, 128);
static PRINCIPAL_TAG_VALUE: StringShape = string(1, 256);
static PRINCIPAL_TAGS: Shape = Shape::Map {
    key: &PRINCIPAL_TAG_ID,
    value: &PRINCIPAL_TAG_VALUE,
    max: 50,
};
static TOKEN_DURATION: Shape = Shape::Integer {
    min: 1,
    max: 86_400,
};
static IDENTITY_POOL_NAME: Shape = Shape::String(patterned(1, 128, r"[\w\s+=,.@-]+", |text| {
    all(text, |c| {
        is_word(c) || is_space(c) || matches!(c, '+' | '=' | ',' | '.' | '@' | '-')
    })
}));
static IDENTITY_PROVIDER_ID: StringShape = patterned(1, 128, r"[\w.;_/-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | ';' | '/' | '-'))
});
static IDENTITY_PROVIDERS: Shape = Shape::Map {
    key: &IDENTITY_PROVIDER_NAME,
    value: &IDENTITY_PROVIDER_ID,
    max: 10,
};
static ARN: Shape = Shape::String(string(20, 2048));
static ARNS: Shape = Shape::List {
    of: &ARN,
    min: 0,
    max: NO_LIMIT,
};
static COGNITO_IDENTITY_PROVIDERS: Shape = Shape::List {
    of: &Shape::Structure(&[
        optional("ProviderName", &COGNITO_PROVIDER_NAME),
        optional("ClientId", &COGNITO_CLIENT_ID),
        optional("ServerSideTokenCheck", &Shape::Boolean),
    ]),
    min: 0,
    max: NO_LIMIT,
};
static COGNITO_PROVIDER_NAME: Shape = Shape::String(patterned(1, 128, r"[\w._:/-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | ':' | '/' | '-'))
}));
static COGNITO_CLIENT_ID: Shape =
    Shape::String(patterned(1, 128, r"[\w_]+", |text| all(text, is_word)));
static TAG_KEY: StringShape = string(1, 128);
static TAG_VALUE: StringShape = string(0, 256);
static TAGS: Shape = Shape::Map {
    key: &TAG_KEY,
    value: &TAG_VALUE,
    max: NO_LIMIT,
};

/// Matches `\w`: ASCII only, as in Java.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Matches `\s`: ASCII only, as in Java.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// Matches one or more characters of a class.
fn all(text: &str, class: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(class)
}

/// Matches `[\w-]+:[0-9a-f-]+`.
fn is_id(id: &str) -> bool {
    id.split_once(':').is_some_and(|(region, rest)| {
        all(region, |c| is_word(c) || c == '-')
            && all(rest, |c| matches!(c, '0'..='9' | 'a'..='f' | '-'))
    })
}
