//! Uses the emulator through the AWS SDK for Rust as that uses Amazon Cognito.

use aws_sdk_cognitoidentity::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::{Client, Config, Error};
use cognito_unlink::testing::emulator::{AccessKey, Emulator, Settings};

const PROVIDER: &str = "login.example.com";

fn emulator() -> Emulator {
    let key: AccessKey = "AKIDJUDGE:judge/secret+key".parse().expect("a key");
    Emulator::spawn(Settings {
        access_keys: vec![key],
        ..Settings::default()
    })
    .expect("an emulator")
}

fn client(emulator: &Emulator, key: &str, secret: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, secret, None, None, "judge"))
        .retry_config(aws_sdk_cognitoidentity::config::retry::RetryConfig::disabled())
        .endpoint_url(emulator.url());
    Client::from_conf(config.build())
}

/// Returns the error that the SDK takes the reply for, which must have a request id.
#[track_caller]
fn refusal<O: std::fmt::Debug, E>(result: Result<O, SdkError<E>>) -> Error
where
    Error: From<SdkError<E>>,
    SdkError<E>: std::fmt::Debug,
{
    let error = Error::from(result.expect_err("it is refused"));
    assert!(error.request_id().is_some(), "{error:?}");
    error
}

async fn link(client: &Client, pool: &str, identity: Option<&str>, user: &str) -> String {
    client
        .get_open_id_token_for_developer_identity()
        .identity_pool_id(pool)
        .set_identity_id(identity.map(str::to_owned))
        .logins(PROVIDER, user)
        .send()
        .await
        .expect("linked")
        .identity_id
        .expect("an identity")
}

async fn new_pool(client: &Client) -> String {
    client
        .create_identity_pool()
        .identity_pool_name("judged by a client")
        .allow_unauthenticated_identities(false)
        .developer_provider_name(PROVIDER)
        .send()
        .await
        .expect("made")
        .identity_pool_id
}

#[tokio::test]
async fn links_are_made_looked_up_paged_and_described() {
    let emulator = emulator();
    let client = client(&emulator, "AKIDJUDGE", "judge/secret+key");
    let pool = new_pool(&client).await;
    let described = client
        .describe_identity_pool()
        .identity_pool_id(&pool)
        .send();
    let described = described.await.expect("described");
    assert_eq!(described.developer_provider_name(), Some(PROVIDER));

    let identity = link(&client, &pool, None, "user-1").await;
    for user in ["user-2", "user-3", "=Ünïcode 'quoted' \"user\""] {
        assert_eq!(link(&client, &pool, Some(&identity), user).await, identity);
    }
    link(&client, &pool, None, "other").await;
    let taken = client
        .get_open_id_token_for_developer_identity()
        .identity_pool_id(&pool)
        .identity_id(&identity)
        .logins(PROVIDER, "other")
        .send();
    let error = refusal(taken.await);
    assert!(
        matches!(error, Error::DeveloperUserAlreadyRegisteredException(_)),
        "{error:?}"
    );

    let (mut users, mut next) = (Vec::new(), None);
    for length in [3, 1] {
        let page = client
            .lookup_developer_identity()
            .identity_pool_id(&pool)
            .identity_id(&identity)
            .max_results(3)
            .set_next_token(next)
            .send()
            .await
            .expect("a page");
        assert_eq!(page.developer_user_identifier_list().len(), length);
        users.extend_from_slice(page.developer_user_identifier_list());
        next = page.next_token;
    }
    assert_eq!((users.len(), next), (4, None));
    let listed = client
        .list_identities()
        .identity_pool_id(&pool)
        .max_results(60);
    let listed = listed.send().await.expect("a list");
    assert_eq!(listed.identities().len(), 2);
    let described = client.describe_identity().identity_id(&identity).send();
    let described = described.await.expect("described");
    assert_eq!(described.logins(), [PROVIDER]);
    assert!(described.creation_date().is_some() && described.last_modified_date().is_some());
}

#[tokio::test]
async fn identities_are_unlinked_merged_and_deleted() {
    let emulator = emulator();
    let client = client(&emulator, "AKIDJUDGE", "judge/secret+key");
    let pool = new_pool(&client).await;
    let identity = link(&client, &pool, None, "user-1").await;
    link(&client, &pool, Some(&identity), "user-2").await;
    let other = link(&client, &pool, None, "other").await;
    let unlink = |user: &str| {
        client
            .unlink_developer_identity()
            .identity_pool_id(&pool)
            .identity_id(&identity)
            .developer_provider_name(PROVIDER)
            .developer_user_identifier(user)
    };
    let unlinked = unlink("user-1").send().await.expect("unlinked");
    assert!(unlinked.request_id().is_some());
    let error = refusal(unlink("user-1").send().await);
    assert!(
        matches!(error, Error::ResourceNotFoundException(_)),
        "{error:?}"
    );
    let error = refusal(unlink("user-2").identity_id("no-id").send().await);
    assert!(
        matches!(error, Error::InvalidParameterException(_)),
        "{error:?}"
    );
    let look_up = |user: &str| {
        client
            .lookup_developer_identity()
            .identity_pool_id(&pool)
            .developer_user_identifier(user)
    };
    let error = refusal(look_up("user-1").send().await);
    assert!(
        matches!(error, Error::NotAuthorizedException(_)),
        "{error:?}"
    );
    let error = refusal(look_up("user-1").identity_id(&identity).send().await);
    assert!(
        matches!(error, Error::ResourceConflictException(_)),
        "{error:?}"
    );

    let merged = client
        .merge_developer_identities()
        .source_user_identifier("other")
        .destination_user_identifier("user-2")
        .developer_provider_name(PROVIDER)
        .identity_pool_id(&pool)
        .send()
        .await
        .expect("merged");
    assert_eq!(merged.identity_id(), Some(&*identity));
    let disabled = client.describe_identity().identity_id(&other).send();
    assert_eq!(disabled.await.expect("described").logins(), ["DISABLED"]);
    let deleted = client.delete_identities();
    let deleted = deleted.identity_ids_to_delete(&identity).send();
    let deleted = deleted.await.expect("deleted");
    assert!(deleted.unprocessed_identity_ids().is_empty());
    let gone = client.describe_identity().identity_id(&identity).send();
    assert!(matches!(
        refusal(gone.await),
        Error::ResourceNotFoundException(_)
    ));
}

#[tokio::test]
async fn wrong_signatures_and_operations_that_are_not_served_are_refused() {
    let emulator = emulator();
    let pool = "us-east-1:00000000-0000-4000-8000-0000000000aa";
    for (key, secret, expected) in [
        ("AKIDJUDGE", "wrong", "InvalidSignatureException"),
        (
            "AKIDOTHER",
            "judge/secret+key",
            "UnrecognizedClientException",
        ),
    ] {
        let client = client(&emulator, key, secret);
        let described = client
            .describe_identity_pool()
            .identity_pool_id(pool)
            .send();
        assert_eq!(refusal(described.await).code(), Some(expected));
    }
    let client = client(&emulator, "AKIDJUDGE", "judge/secret+key");
    let unknown = Some("UnknownOperationException");
    let unsigned = client.get_id().identity_pool_id(pool).send().await;
    assert_eq!(refusal(unsigned).code(), unknown);
    let signed = client.list_identity_pools().max_results(1).send().await;
    assert_eq!(refusal(signed).code(), unknown);
}
