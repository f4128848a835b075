//! The operations and what they take: the service model (`cognito-identity`, 2014-06-30) as a table.

use super::shape::{ANY, Member, Pattern, Shape, Text};

/// An operation that is served.
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

    /// As `X-Amz-Target` names it, behind the service's prefix.
    pub(in crate::emulator) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }

    pub(in crate::emulator) fn name(self) -> &'static str {
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

    /// Its parameters.
    pub(super) fn takes(self) -> &'static [Member] {
        match self {
            Self::CreateIdentityPool => CREATE_IDENTITY_POOL,
            Self::DeleteIdentities => const { &[needs("IdentityIdsToDelete", &IDENTITY_IDS)] },
            Self::DescribeIdentity => const { &[needs("IdentityId", &IDENTITY_ID)] },
            Self::DescribeIdentityPool => const { &[needs("IdentityPoolId", &IDENTITY_POOL_ID)] },
            Self::GetOpenIdTokenForDeveloperIdentity => {
                const {
                    &[
                        needs("IdentityPoolId", &IDENTITY_POOL_ID),
                        takes("IdentityId", &IDENTITY_ID),
                        needs("Logins", &LOGINS),
                        takes("PrincipalTags", &PRINCIPAL_TAGS),
                        takes("TokenDuration", &TOKEN_DURATION),
                    ]
                }
            }
            Self::ListIdentities => {
                const {
                    &[
                        needs("IdentityPoolId", &IDENTITY_POOL_ID),
                        needs("MaxResults", &QUERY_LIMIT),
                        takes("NextToken", &PAGINATION_KEY),
                        takes("HideDisabled", &Shape::Flag),
                    ]
                }
            }
            Self::LookupDeveloperIdentity => {
                const {
                    &[
                        needs("IdentityPoolId", &IDENTITY_POOL_ID),
                        takes("IdentityId", &IDENTITY_ID),
                        takes("DeveloperUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
                        takes("MaxResults", &QUERY_LIMIT),
                        takes("NextToken", &PAGINATION_KEY),
                    ]
                }
            }
            Self::MergeDeveloperIdentities => {
                const {
                    &[
                        needs("SourceUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
                        needs("DestinationUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
                        needs("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
                        needs("IdentityPoolId", &IDENTITY_POOL_ID),
                    ]
                }
            }
            Self::UnlinkDeveloperIdentity => {
                const {
                    &[
                        needs("IdentityId", &IDENTITY_ID),
                        needs("IdentityPoolId", &IDENTITY_POOL_ID),
                        needs("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
                        needs("DeveloperUserIdentifier", &DEVELOPER_USER_IDENTIFIER),
                    ]
                }
            }
        }
    }
}

const fn needs(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        shape,
        required: true,
    }
}

const fn takes(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        shape,
        required: false,
    }
}

const fn text(min: usize, max: usize) -> Text {
    Text {
        min,
        max,
        pattern: None,
        sensitive: false,
    }
}

const fn patterned(min: usize, max: usize, text: &'static str, matches: fn(&str) -> bool) -> Text {
    Text {
        min,
        max,
        pattern: Some(Pattern { text, matches }),
        sensitive: false,
    }
}

const CREATE_IDENTITY_POOL: &[Member] = &[
    needs("IdentityPoolName", &IDENTITY_POOL_NAME),
    needs("AllowUnauthenticatedIdentities", &Shape::Flag),
    takes("AllowClassicFlow", &Shape::Flag),
    takes("SupportedLoginProviders", &IDENTITY_PROVIDERS),
    takes("DeveloperProviderName", &DEVELOPER_PROVIDER_NAME),
    takes("OpenIdConnectProviderARNs", &ARNS),
    takes("CognitoIdentityProviders", &COGNITO_IDENTITY_PROVIDERS),
    takes("SamlProviderARNs", &ARNS),
    takes("IdentityPoolTags", &TAGS),
];

const ID: &str = r"[\w-]+:[0-9a-f-]+";
static IDENTITY_ID: Shape = Shape::Text(patterned(1, 55, ID, is_id));
static IDENTITY_POOL_ID: Shape = Shape::Text(patterned(1, 55, ID, is_id));
static DEVELOPER_PROVIDER_NAME: Shape = Shape::Text(patterned(1, 128, r"[\w._-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | '-'))
}));
static DEVELOPER_USER_IDENTIFIER: Shape = Shape::Text(text(1, 1024));
static IDENTITY_IDS: Shape = Shape::List {
    of: &IDENTITY_ID,
    min: 1,
    max: 60,
};
static QUERY_LIMIT: Shape = Shape::Whole { min: 1, max: 60 };
static PAGINATION_KEY: Shape = Shape::Text(patterned(1, 65_535, r"[\S]+", |text| {
    all(text, |c| !is_space(c))
}));
static IDENTITY_PROVIDER_NAME: Text = text(1, 128);
static IDENTITY_PROVIDER_TOKEN: Text = Text {
    sensitive: true,
    ..text(1, 50_000)
};
static LOGINS: Shape = Shape::Map {
    key: &IDENTITY_PROVIDER_NAME,
    value: &IDENTITY_PROVIDER_TOKEN,
    max: 10,
};
static PRINCIPAL_TAG_ID: Text = text(1, 128);
static PRINCIPAL_TAG_VALUE: Text = text(1, 256);
static PRINCIPAL_TAGS: Shape = Shape::Map {
    key: &PRINCIPAL_TAG_ID,
    value: &PRINCIPAL_TAG_VALUE,
    max: 50,
};
static TOKEN_DURATION: Shape = Shape::Whole {
    min: 1,
    max: 86_400,
};
static IDENTITY_POOL_NAME: Shape = Shape::Text(patterned(1, 128, r"[\w\s+=,.@-]+", |text| {
    all(text, |c| {
        is_word(c) || is_space(c) || matches!(c, '+' | '=' | ',' | '.' | '@' | '-')
    })
}));
static IDENTITY_PROVIDER_ID: Text = patterned(1, 128, r"[\w.;_/-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | ';' | '/' | '-'))
});
static IDENTITY_PROVIDERS: Shape = Shape::Map {
    key: &IDENTITY_PROVIDER_NAME,
    value: &IDENTITY_PROVIDER_ID,
    max: 10,
};
static ARN: Shape = Shape::Text(text(20, 2048));
static ARNS: Shape = Shape::List {
    of: &ARN,
    min: 0,
    max: ANY,
};
static COGNITO_IDENTITY_PROVIDERS: Shape = Shape::List {
    of: &Shape::Structure(&[
        takes("ProviderName", &COGNITO_PROVIDER_NAME),
        takes("ClientId", &COGNITO_CLIENT_ID),
        takes("ServerSideTokenCheck", &Shape::Flag),
    ]),
    min: 0,
    max: ANY,
};
static COGNITO_PROVIDER_NAME: Shape = Shape::Text(patterned(1, 128, r"[\w._:/-]+", |text| {
    all(text, |c| is_word(c) || matches!(c, '.' | ':' | '/' | '-'))
}));
static COGNITO_CLIENT_ID: Shape =
    Shape::Text(patterned(1, 128, r"[\w_]+", |text| all(text, is_word)));
static TAG_KEY: Text = text(1, 128);
static TAG_VALUE: Text = text(0, 256);
static TAGS: Shape = Shape::Map {
    key: &TAG_KEY,
    value: &TAG_VALUE,
    max: ANY,
};

/// `\w`, in ASCII as Java has it.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `\s`, in ASCII as Java has it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn all(text: &str, class: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(class)
}

fn is_id(id: &str) -> bool {
    id.split_once(':').is_some_and(|(region, rest)| {
        all(region, |c| is_word(c) || c == '-')
            && all(rest, |c| matches!(c, '0'..='9' | 'a'..='f' | '-'))
    })
}
