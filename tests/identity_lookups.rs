//! Look-ups of identities and users through the AWS SDK, against the emulator on a socket.

use std::time::Duration;

use cognito_unlink::testing::aws::{AwsCalls, ClientSettings};
use cognito_unlink::testing::call::{
    Identity, IdentityLookup, LookupError, LookupErrorKind, Page, Users, UsersQuery,
};
use cognito_unlink::testing::emulator::{
    Canned, Emulator, Link, Rule, Settings, Then, Undocumented, UnknownUserAnswer, When,
};

const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
const OTHER_POOL: &str = "us-east-1:99999999-9b5e-4d7a-8c21-5e0f7d9a4b63";
const PROVIDER: &str = "login.example.com";

fn identity(n: usize) -> String {
    format!("us-east-1:00000000-0000-4000-8000-{n:012x}")
}

fn link(n: usize, user: &str) -> Link {
    Link {
        identity_id: identity(n),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: user.to_owned(),
    }
}

/// Starts an emulator with these links, and clients that call it.
fn start(links: Vec<Link>) -> (Emulator, AwsCalls) {
    let emulator = Emulator::spawn(Settings {
        links: Some(links),
        undocumented: Undocumented {
            when_unknown_user: UnknownUserAnswer::ResourceNotFound,
            ..Undocumented::default()
        },
        ..Settings::default()
    });
    let emulator = emulator.expect("an emulator");
    let settings = ClientSettings {
        timeout: Duration::from_mins(1),
        connect_timeout: Duration::from_mins(1),
        ..ClientSettings::default()
    };
    let calls = AwsCalls::rehearsal(&settings, &emulator.url()).expect("clients");
    (emulator, calls)
}

const fn page(max_results: u8) -> Page<'static> {
    Page {
        max_results,
        token: None,
    }
}

fn of_user(user: &str) -> UsersQuery<'_> {
    UsersQuery {
        identity_pool_id: POOL,
        identity_id: None,
        developer_user_identifier: Some(user),
    }
}

fn of_identity(id: &str) -> UsersQuery<'_> {
    UsersQuery {
        identity_pool_id: POOL,
        identity_id: Some(id),
        developer_user_identifier: None,
    }
}

#[tokio::test]
async fn users_and_identities_are_found_page_by_page() {
    let users = ["a", "b", "c"];
    let (_emulator, calls) = start(users.map(|user| link(1, user)).into());
    let id = identity(1);

    let found = calls.users(&of_user("b"), page(1)).await;
    let expected = Users {
        identity_id: Some(id.clone()),
        users: vec!["b".to_owned()],
        next: None,
    };
    assert_eq!(found, Ok(expected));

    let first = calls.users(&of_identity(&id), page(2)).await;
    let first = first.expect("a page");
    assert_eq!(first.users, ["a", "b"]);
    assert_eq!(first.identity_id.as_deref(), Some(&*id));
    let second = Page {
        token: first.next.as_deref(),
        ..page(2)
    };
    let second = calls.users(&of_identity(&id), second).await;
    let second = second.expect("a page");
    assert_eq!((&*second.users, second.next), (&["c".to_owned()][..], None));

    let both = UsersQuery {
        identity_id: Some(&id),
        ..of_user("c")
    };
    let found = calls.users(&both, page(60)).await.expect("a page");
    assert_eq!(found.users, ["c"]);
}

#[tokio::test]
async fn identities_are_described_and_listed_with_their_logins() {
    let (_emulator, calls) = start((1..=3).map(|n| link(n, &format!("acct-{n}"))).collect());
    let described = |n| Identity {
        id: identity(n),
        logins: vec![PROVIDER.to_owned()],
    };
    assert_eq!(calls.identity(&identity(2)).await, Ok(described(2)));

    let first = calls.identities(POOL, page(2)).await.expect("a page");
    assert_eq!(first.identities, [described(1), described(2)]);
    let second = Page {
        token: first.next.as_deref(),
        ..page(2)
    };
    let second = calls.identities(POOL, second).await.expect("a page");
    assert_eq!(second.identities, [described(3)]);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn the_longest_page_of_users_is_read() {
    let users = (10..70).map(|n| format!("{n}{}", "\u{1f600}".repeat(1022)));
    let users: Vec<String> = users.collect();
    let (_emulator, calls) = start(users.iter().map(|user| link(1, user)).collect());
    let found = calls.users(&of_identity(&identity(1)), page(60)).await;
    assert_eq!(found.expect("a page").users, users);
}

#[tokio::test]
async fn what_is_missing_or_refused_is_told_apart() {
    use LookupErrorKind::{Mismatch, Missing, NotPermitted, NothingThere, Other};
    let (emulator, calls) = start(vec![link(1, "a"), link(2, "b")]);
    let kind = |error: Option<LookupError>| error.map(|error| error.kind);
    let (one, unknown) = (identity(1), identity(9));

    let found = calls.users(&of_user("nobody"), page(1)).await;
    assert_eq!(kind(found.err()), Some(NothingThere));
    let found = calls.users(&of_identity(&unknown), page(1)).await;
    assert_eq!(kind(found.err()), Some(NothingThere));
    let found = calls.identity(&unknown).await;
    assert_eq!(kind(found.err()), Some(NothingThere));

    let others = UsersQuery {
        identity_id: Some(&one),
        ..of_user("b")
    };
    let found = calls.users(&others, page(1)).await;
    assert_eq!(kind(found.err()), Some(Mismatch));

    let elsewhere = UsersQuery {
        identity_pool_id: OTHER_POOL,
        ..of_user("a")
    };
    let found = calls.users(&elsewhere, page(1)).await;
    assert_eq!(kind(found.err()), Some(Missing));
    let found = calls.identities(OTHER_POOL, page(1)).await;
    assert_eq!(kind(found.err()), Some(Missing));

    let torn = Page {
        token: Some("no token"),
        ..page(1)
    };
    let found = calls.identities(POOL, torn).await;
    assert_eq!(kind(found.err()), Some(Other));

    for operation in [
        "LookupDeveloperIdentity",
        "DescribeIdentity",
        "ListIdentities",
    ] {
        emulator.add_rule(Rule {
            when: When::Operation(operation),
            then: Then::Answer(Canned {
                status: 400,
                headers: Vec::new(),
                body: r#"{"__type":"AccessDeniedException","message":"not authorized"}"#.to_owned(),
            }),
            times: None,
        });
    }
    let found = calls.users(&of_user("a"), page(1)).await;
    assert_eq!(kind(found.err()), Some(NotPermitted));
    let found = calls.identity(&one).await;
    assert_eq!(kind(found.err()), Some(NotPermitted));
    let found = calls.identities(POOL, page(1)).await;
    assert_eq!(kind(found.err()), Some(NotPermitted));
}
