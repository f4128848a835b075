use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const POOL: &str = "us-east-1:2";

fn link_of(identity: &str, user: &str) -> Link {
    Link {
        identity_id: identity.into(),
        identity_pool_id: POOL.into(),
        developer_provider_name: "p".into(),
        developer_user_identifier: user.into(),
    }
}

fn link(user: &str) -> Link {
    link_of("us-east-1:1", user)
}

/// Returns a model in which only these links exist.
fn model_with(links: Vec<Link>) -> Model {
    Model::new(Some(links), None, Undocumented::default())
}

/// Returns a model in which every well-formed link exists.
fn implicit_model() -> Model {
    Model::new(None, None, Undocumented::default())
}

/// Executes a request. Returns the body, or the error code.
fn execute(model: &mut Model, operation: Operation, input: &Value) -> Result<Value, &'static str> {
    let request = ApiRequest::new(operation, input.to_string().as_bytes()).expect("JSON");
    let output = model.execute(&request, "us-east-1");
    output
        .map(|output| output.body.unwrap_or_default())
        .map_err(|error| error.code)
}

fn unlink(model: &mut Model, link: &Link) -> Result<Value, &'static str> {
    let input = json!({
        "IdentityId": link.identity_id, "IdentityPoolId": link.identity_pool_id,
        "DeveloperProviderName": link.developer_provider_name,
        "DeveloperUserIdentifier": link.developer_user_identifier,
    });
    execute(model, Operation::UnlinkDeveloperIdentity, &input)
}

/// Returns the identity that a look-up by user finds.
fn identity_of(model: &mut Model, user: &str) -> Result<String, &'static str> {
    let input = json!({"IdentityPoolId": POOL, "DeveloperUserIdentifier": user});
    let answer = execute(model, Operation::LookupDeveloperIdentity, &input)?;
    assert_eq!(answer["DeveloperUserIdentifierList"], json!([user]));
    Ok(answer["IdentityId"].as_str().expect("an id").to_owned())
}

/// Returns the users that a look-up by identity finds.
fn users_of(model: &mut Model, identity: &str) -> Result<Value, &'static str> {
    let input = json!({"IdentityPoolId": POOL, "IdentityId": identity});
    let answer = execute(model, Operation::LookupDeveloperIdentity, &input)?;
    Ok(answer["DeveloperUserIdentifierList"].clone())
}

/// Looks up an identity and a user together.
fn look_up_pair(model: &mut Model, identity: &str, user: &str) -> Result<(), &'static str> {
    let input =
        json!({"IdentityPoolId": POOL, "IdentityId": identity, "DeveloperUserIdentifier": user});
    execute(model, Operation::LookupDeveloperIdentity, &input).map(|_| ())
}

/// Links a user. Returns the identity.
fn get_token(
    model: &mut Model,
    identity: Option<&str>,
    user: &str,
) -> Result<String, &'static str> {
    sign_in(model, identity, &json!({"p": user}))
}

/// Links these logins. Returns the identity.
fn sign_in(
    model: &mut Model,
    identity: Option<&str>,
    logins: &Value,
) -> Result<String, &'static str> {
    let input = json!({"IdentityPoolId": POOL, "IdentityId": identity, "Logins": logins});
    let answer = execute(model, Operation::GetOpenIdTokenForDeveloperIdentity, &input)?;
    Ok(answer["IdentityId"].as_str().expect("an id").to_owned())
}

fn merge(model: &mut Model, source: &str, destination: &str) -> Result<String, &'static str> {
    let input = json!({
        "SourceUserIdentifier": source, "DestinationUserIdentifier": destination,
        "DeveloperProviderName": "p", "IdentityPoolId": POOL,
    });
    let answer = execute(model, Operation::MergeDeveloperIdentities, &input)?;
    Ok(answer["IdentityId"].as_str().expect("an id").to_owned())
}

fn delete(model: &mut Model, identities: &[&str]) -> Value {
    let input = json!({"IdentityIdsToDelete": identities});
    execute(model, Operation::DeleteIdentities, &input).expect("an answer")["UnprocessedIdentityIds"]
        .clone()
}

fn describe(model: &mut Model, identity: &str) -> Result<Value, &'static str> {
    let input = json!({"IdentityId": identity});
    execute(model, Operation::DescribeIdentity, &input)
}

/// Returns the logins that an identity is described with; `null` for none.
fn logins(model: &mut Model, identity: &str) -> Value {
    describe(model, identity).expect("described")["Logins"].clone()
}

/// Returns the answers of a service that does this with a link to a disabled identity.
fn when_disabled(when_disabled: DisabledLinkAnswer) -> Undocumented {
    Undocumented {
        when_disabled,
        ..Undocumented::default()
    }
}

const NOT_FOUND: &str = "ResourceNotFoundException";
const DENIED: &str = "NotAuthorizedException";
const CONFLICT: &str = "ResourceConflictException";
const INVALID: &str = "InvalidParameterException";

#[test]
fn a_link_is_removed_once() {
    for mut model in [implicit_model(), model_with(vec![link("u"), link("v")])] {
        assert!(model.is_linked(&link("u")));
        assert_eq!(unlink(&mut model, &link("u")), Ok(Value::Null));
        assert!(!model.is_linked(&link("u")) && model.is_linked(&link("v")));
        assert_eq!(unlink(&mut model, &link("u")), Err(NOT_FOUND));
        assert_eq!(identity_of(&mut model, "u"), Err(DENIED));
        assert_eq!(look_up_pair(&mut model, "us-east-1:1", "u"), Err(CONFLICT));
        assert_eq!(look_up_pair(&mut model, "us-east-1:1", "v"), Ok(()));
    }
}

#[test]
fn all_given_links_exist() {
    // The service has no user of two identities, but a file may.
    let both = ["us-east-1:1", "us-east-1:a"].map(|identity| link_of(identity, "u"));
    let mut model = model_with(both.to_vec());
    assert!(both.iter().all(|link| model.is_linked(link)));
    for (removed, kept) in [(0, 1), (1, 0)] {
        let mut model = model_with(both.to_vec());
        assert_eq!(unlink(&mut model, &both[removed]), Ok(Value::Null));
        assert_eq!(unlink(&mut model, &both[removed]), Err(NOT_FOUND));
        assert!(model.is_linked(&both[kept]));
        let found = identity_of(&mut model, "u");
        assert_eq!(found.as_ref(), Ok(&both[kept].identity_id));
        assert_eq!(
            look_up_pair(&mut model, &both[kept].identity_id, "u"),
            Ok(())
        );
    }
    assert_eq!(delete(&mut model, &["us-east-1:1"]), json!([]));
    assert_eq!(identity_of(&mut model, "u"), Ok("us-east-1:a".into()));
    assert_eq!(unlink(&mut model, &both[1]), Ok(Value::Null));
    assert_eq!(identity_of(&mut model, "u"), Err(DENIED));
}

#[test]
fn undocumented_answers_are_settings() {
    let answer = |undocumented, change: fn(&mut Link)| {
        let mut model = Model::new(Some(vec![link("u")]), None, undocumented);
        let mut link = link("u");
        change(&mut link);
        unlink(&mut model, &link)
    };
    let unlinked = |when_not_linked| {
        let undocumented = Undocumented {
            when_not_linked,
            ..Undocumented::default()
        };
        answer(undocumented, |l| l.developer_user_identifier = "v".into())
    };
    assert_eq!(unlinked(NotLinkedAnswer::Ok), Ok(Value::Null));
    assert_eq!(unlinked(NotLinkedAnswer::ResourceNotFound), Err(NOT_FOUND));
    let refused = unlinked(NotLinkedAnswer::NotAuthorized);
    assert_eq!(refused, Err("NotAuthorizedException"));

    let other = |when_other_provider| {
        let undocumented = Undocumented {
            when_other_provider,
            ..Undocumented::default()
        };
        answer(undocumented, |l| l.developer_provider_name = "q".into())
    };
    assert_eq!(other(OtherProviderAnswer::InvalidParameter), Err(INVALID));
    assert_eq!(other(OtherProviderAnswer::ResourceNotFound), Err(NOT_FOUND));
    let refused = other(OtherProviderAnswer::NotAuthorized);
    assert_eq!(refused, Err("NotAuthorizedException"));

    let undocumented = Undocumented {
        when_invalid: InvalidParameterAnswer::Validation,
        ..Undocumented::default()
    };
    let wrong: fn(&mut Link) = |l| l.identity_id = "x".into();
    assert_eq!(answer(undocumented, wrong), Err("ValidationException"));
    assert_eq!(answer(Undocumented::default(), wrong), Err(INVALID));
}

#[test]
fn missing_pools_identities_and_links_have_their_own_messages() {
    let mut model = model_with(vec![link("u")]);
    let mut message = |change: fn(&mut Link)| {
        let mut link = link("u");
        change(&mut link);
        model.unlink(&link).expect_err("refused").message
    };
    assert_eq!(
        message(|l| l.identity_pool_id = "us-east-1:9".into()),
        "IdentityPool 'us-east-1:9' not found."
    );
    assert_eq!(
        message(|l| l.identity_id = "us-east-1:9".into()),
        "Identity 'us-east-1:9' not found."
    );
    assert!(message(|l| l.developer_provider_name = "q".into()).contains("does not support"));
    let mut execute_on = |operation, input| execute(&mut model, operation, &input);
    let pool = json!({"IdentityPoolId": "us-east-1:9", "MaxResults": 1, "Logins": {"p": "u"},
        "IdentityId": "us-east-1:1", "SourceUserIdentifier": "u",
        "DestinationUserIdentifier": "v", "DeveloperProviderName": "p"});
    for operation in [
        Operation::LookupDeveloperIdentity,
        Operation::GetOpenIdTokenForDeveloperIdentity,
        Operation::DescribeIdentityPool,
        Operation::ListIdentities,
        Operation::MergeDeveloperIdentities,
    ] {
        let name = operation.name();
        assert_eq!(
            execute_on(operation, pool.clone()),
            Err(NOT_FOUND),
            "{name}"
        );
    }
    assert_eq!(describe(&mut model, "us-east-1:9"), Err(NOT_FOUND));
    assert_eq!(users_of(&mut model, "us-east-1:9"), Err(NOT_FOUND));
    assert_eq!(
        get_token(&mut model, Some("us-east-1:9"), "u"),
        Err(NOT_FOUND)
    );
}

#[test]
fn malformed_bodies_are_refused() {
    let code = |body: &[u8]| {
        let request = ApiRequest::new(Operation::DescribeIdentity, body).map_err(|e| e.code)?;
        implicit_model()
            .execute(&request, "r")
            .map_err(|error| error.code)
    };
    for body in [&b"{"[..], b"[]", b"\"\"", br#"{"IdentityId":1}"#] {
        assert_eq!(code(body), Err("SerializationException"));
    }
    for body in [&b""[..], b"{}", br#"{"IdentityId":null}"#] {
        assert_eq!(code(body), Err(INVALID));
    }
}

#[test]
fn an_unlinked_user_can_be_linked_again() {
    for mut model in [implicit_model(), model_with(vec![link("u"), link("v")])] {
        let identity = "us-east-1:1";
        assert_eq!(unlink(&mut model, &link("u")), Ok(Value::Null));
        assert_eq!(
            get_token(&mut model, Some(identity), "u"),
            Ok(identity.into())
        );
        assert!(model.is_linked(&link("u")));
        assert_eq!(identity_of(&mut model, "u"), Ok(identity.into()));
        assert_eq!(look_up_pair(&mut model, identity, "u"), Ok(()));
        // And is of this identity only.
        let elsewhere = "us-east-1:a";
        assert!(!model.is_linked(&link_of(elsewhere, "u")));
        let refused = get_token(&mut model, Some(elsewhere), "u");
        let code = refused.expect_err("refused");
        assert!(code == "DeveloperUserAlreadyRegisteredException" || code == NOT_FOUND);
        assert_eq!(unlink(&mut model, &link("u")), Ok(Value::Null));
        assert_eq!(unlink(&mut model, &link("u")), Err(NOT_FOUND));
        // Without the identity, it gets a new one.
        let fresh = get_token(&mut model, None, "u").expect("an identity");
        assert_ne!(fresh, identity);
        assert_eq!(identity_of(&mut model, "u").as_ref(), Ok(&fresh));
        assert_eq!(users_of(&mut model, &fresh), Ok(json!(["u"])));
        assert_eq!(get_token(&mut model, None, "u"), Ok(fresh));
    }
}

#[test]
fn a_disabled_identity_is_refused_or_revived() {
    for (answer, linked) in [
        (DisabledLinkAnswer::Refused, Err(DENIED)),
        (DisabledLinkAnswer::Revived, Ok("us-east-1:1".into())),
    ] {
        let ways: [fn(&mut Model) -> bool; 2] = [
            |model| unlink(model, &link("u")).is_ok(),
            |model| merge(model, "u", "v").is_ok(),
        ];
        for disable in ways {
            let links = vec![link("u"), link_of("us-east-1:a", "v")];
            let mut model = Model::new(Some(links), None, when_disabled(answer));
            assert!(disable(&mut model));
            assert_eq!(users_of(&mut model, "us-east-1:1"), Err(DENIED));
            assert_eq!(look_up_pair(&mut model, "us-east-1:1", "u"), Err(CONFLICT));
            let relinked = get_token(&mut model, Some("us-east-1:1"), "fresh");
            assert_eq!(relinked, linked);
            let login = if linked.is_ok() { "p" } else { "DISABLED" };
            assert_eq!(logins(&mut model, "us-east-1:1"), json!([login]));
            assert_eq!(identity_of(&mut model, "fresh"), linked);
        }
    }
}

#[test]
fn look_ups_that_find_nothing_are_answered_by_the_settings() {
    let look_ups = |when_unknown_user, when_disabled_lookup| {
        let undocumented = Undocumented {
            when_unknown_user,
            when_disabled_lookup,
            ..Undocumented::default()
        };
        let mut model = Model::new(Some(vec![link("u")]), None, undocumented);
        assert_eq!(unlink(&mut model, &link("u")), Ok(Value::Null));
        let user = json!({"IdentityPoolId": POOL, "DeveloperUserIdentifier": "u"});
        let identity = json!({"IdentityPoolId": POOL, "IdentityId": "us-east-1:1"});
        [user, identity]
            .map(|input| execute(&mut model, Operation::LookupDeveloperIdentity, &input))
    };
    let of_user = |answer| look_ups(answer, DisabledLookupAnswer::Empty)[0].clone();
    assert_eq!(of_user(UnknownUserAnswer::NotAuthorized), Err(DENIED));
    assert_eq!(of_user(UnknownUserAnswer::ResourceNotFound), Err(NOT_FOUND));
    let nothing = json!({"DeveloperUserIdentifierList": []});
    assert_eq!(of_user(UnknownUserAnswer::Empty), Ok(nothing));
    let of_identity = |answer| look_ups(UnknownUserAnswer::Empty, answer)[1].clone();
    assert_eq!(
        of_identity(DisabledLookupAnswer::NotAuthorized),
        Err(DENIED)
    );
    let no_users = json!({"IdentityId": "us-east-1:1", "DeveloperUserIdentifierList": []});
    assert_eq!(of_identity(DisabledLookupAnswer::Empty), Ok(no_users));
}

#[test]
fn an_identity_with_public_logins_is_linked_by_one_of_them() {
    // An implicit pool accepts every public provider.
    let mut model = implicit_model();
    let with_public = |user: &str, token: &str| json!({"p": user, "www.example.com": token});
    let identity = "us-east-1:9".to_owned();
    let named = Some(&*identity);
    model.add_guest(&"us-east-1:2=us-east-1:9".parse().expect("a guest"));
    let linked = sign_in(&mut model, named, &with_public("u", "t"));
    assert_eq!(linked.as_ref(), Ok(&identity));
    assert_eq!(
        sign_in(&mut model, named, &json!({"p": "u"})).as_ref(),
        Ok(&identity)
    );
    let link = link_of(&identity, "u");
    assert_eq!(unlink(&mut model, &link), Ok(Value::Null));
    assert_eq!(logins(&mut model, &identity), json!(["www.example.com"]));
    for refused in [
        json!({"p": "u"}),
        with_public("u", "another"),
        json!({"p": "v"}),
    ] {
        assert_eq!(
            sign_in(&mut model, named, &refused),
            Err(DENIED),
            "{refused}"
        );
    }
    assert!(!model.is_linked(&link));
    let linked = sign_in(&mut model, named, &with_public("u", "t"));
    assert_eq!(linked.as_ref(), Ok(&identity));
    assert!(model.is_linked(&link));
    assert_eq!(
        logins(&mut model, &identity),
        json!(["p", "www.example.com"])
    );
}

#[test]
fn guests_are_described_without_logins() {
    for mut model in [implicit_model(), model_with(vec![link("u")])] {
        let guest = "us-east-1:2=us-east-1:9".parse().expect("a guest");
        model.add_guest(&guest);
        let listed = json!({"IdentityPoolId": POOL, "MaxResults": 60, "HideDisabled": true});
        let listed = execute(&mut model, Operation::ListIdentities, &listed).expect("a list");
        let described = describe(&mut model, "us-east-1:9").expect("described");
        assert_eq!(described.get("Logins"), None);
        let identities = listed["Identities"].as_array().expect("a list");
        assert!(identities.contains(&described), "{identities:?}");
        assert_eq!(users_of(&mut model, "us-east-1:9"), Ok(json!([])));
        assert_eq!(
            get_token(&mut model, Some("us-east-1:9"), "v"),
            Ok("us-east-1:9".into())
        );
        assert_eq!(logins(&mut model, "us-east-1:9"), json!(["p"]));
    }
    for wrong in [
        "us-east-1:2",
        "us-east-1:2=",
        "=us-east-1:9",
        "us-east-1:2=x",
    ] {
        assert!(wrong.parse::<Guest>().is_err(), "{wrong}");
    }
}

#[test]
fn a_user_linked_elsewhere_is_already_registered() {
    let mut model = model_with(vec![link("u"), link_of("us-east-1:a", "v")]);
    assert_eq!(
        get_token(&mut model, Some("us-east-1:1"), "v"),
        Err("DeveloperUserAlreadyRegisteredException")
    );
}

#[test]
fn pages_end_and_tokens_are_for_one_list() {
    let mut model = model_with(["u", "v", "w"].map(link).into());
    let mut page = |more: Value| {
        let mut input = json!({"IdentityPoolId": POOL, "IdentityId": "us-east-1:1"});
        let parameters = input.as_object_mut().expect("an object");
        parameters.extend(more.as_object().expect("an object").clone());
        execute(&mut model, Operation::LookupDeveloperIdentity, &input)
    };
    let first = page(json!({"MaxResults": 2})).expect("a page");
    assert_eq!(first["DeveloperUserIdentifierList"], json!(["u", "v"]));
    let next = json!({"MaxResults": 2, "NextToken": first["NextToken"]});
    let second = page(next).expect("a page");
    assert_eq!(second["DeveloperUserIdentifierList"], json!(["w"]));
    assert_eq!(second.get("NextToken"), None);
    assert_eq!(page(json!({})).expect("a page").get("NextToken"), None);
    let found = page(json!({"DeveloperUserIdentifier": "w"})).expect("found");
    assert_eq!(found["DeveloperUserIdentifierList"], json!(["w"]));
    assert_eq!(found.get("NextToken"), None);
    for wrong in [json!({"NextToken": "page-1"}), json!({"MaxResults": 61})] {
        assert_eq!(page(wrong), Err(INVALID));
    }
    // A token is good for its own list only.
    let input = json!({
        "IdentityPoolId": POOL, "MaxResults": 2, "NextToken": first["NextToken"],
    });
    let other = execute(&mut model, Operation::ListIdentities, &input);
    assert_eq!(other, Err(INVALID));
}

#[test]
fn look_ups_and_lists_page_to_the_end() {
    let users: Vec<String> = (0..125).map(|n| format!("u{n:03}")).collect();
    let mut links: Vec<Link> = users.iter().map(|user| link(user)).collect();
    links.extend((10..135).map(|n| link_of(&format!("us-east-1:{n}"), &n.to_string())));
    let mut model = model_with(links);
    let mut page_lengths = |operation, items: &str, mut input: Value| {
        let (mut lengths, mut all) = (Vec::new(), Vec::new());
        loop {
            let page = execute(&mut model, operation, &input).expect("a page");
            let page_items = page[items].as_array().expect("a list");
            lengths.push(page_items.len());
            all.extend_from_slice(page_items);
            match page.get("NextToken") {
                Some(next) => input["NextToken"] = next.clone(),
                None => return (lengths, all),
            }
        }
    };
    let by_identity = json!({"IdentityPoolId": POOL, "IdentityId": "us-east-1:1"});
    let (operation, list) = (
        Operation::LookupDeveloperIdentity,
        "DeveloperUserIdentifierList",
    );
    let mut sixty = by_identity.clone();
    sixty["MaxResults"] = 60.into();
    let (lengths, found) = page_lengths(operation, list, sixty);
    assert_eq!(
        (lengths, found),
        (
            vec![60, 60, 5],
            users.into_iter().map(Value::from).collect()
        )
    );
    // Without a number, a page has ten.
    let (lengths, _) = page_lengths(operation, list, by_identity);
    assert_eq!(lengths, [[10; 12].as_slice(), &[5]].concat());
    let input = json!({"IdentityPoolId": POOL, "MaxResults": 60});
    let (lengths, _) = page_lengths(Operation::ListIdentities, "Identities", input);
    assert_eq!(lengths, [60, 60, 6]);
}

#[test]
fn identities_are_listed_described_and_deleted() {
    let mut model = model_with(vec![link("u"), link_of("us-east-1:a", "v")]);
    let described = describe(&mut model, "us-east-1:1").expect("described");
    assert_eq!(described["Logins"], json!(["p"]));
    let listed = |model: &mut Model, hide: bool| -> Vec<String> {
        let input = json!({"IdentityPoolId": POOL, "MaxResults": 60, "HideDisabled": hide});
        let answer = execute(model, Operation::ListIdentities, &input).expect("a list");
        let ids = answer["Identities"].as_array().expect("a list");
        ids.iter()
            .map(|id| id["IdentityId"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(listed(&mut model, false), ["us-east-1:1", "us-east-1:a"]);
    model.set_time(1.8e9);
    assert_eq!(unlink(&mut model, &link("u")), Ok(Value::Null));
    let described = describe(&mut model, "us-east-1:1").expect("described");
    assert_eq!(described["Logins"], json!(["DISABLED"]));
    let dates = [&described["CreationDate"], &described["LastModifiedDate"]];
    assert_eq!(dates, [&json!(1.7e9), &json!(1.8e9)]);
    assert_eq!(listed(&mut model, false), ["us-east-1:1", "us-east-1:a"]);
    assert_eq!(listed(&mut model, true), ["us-east-1:a"]);

    let unprocessed = delete(&mut model, &["us-east-1:a", "eu-west-1:1", "us-east-1:f"]);
    assert_eq!(
        unprocessed,
        json!([{"IdentityId": "eu-west-1:1", "ErrorCode": "AccessDenied"}])
    );
    assert_eq!(listed(&mut model, false), ["us-east-1:1"]);
    assert_eq!(describe(&mut model, "us-east-1:a"), Err(NOT_FOUND));
    assert_eq!(identity_of(&mut model, "v"), Err(DENIED));
}

#[test]
fn implicit_identities_do_not_exist_once_deleted() {
    let mut model = implicit_model();
    let identity = identity_of(&mut model, "u").expect("an identity");
    assert_eq!(identity_of(&mut model, "u").as_ref(), Ok(&identity));
    assert!(describe(&mut model, &identity).is_ok());
    assert!(model.is_linked(&link_of(&identity, "u")));
    assert_eq!(delete(&mut model, &[&identity]), json!([]));
    assert!(!model.is_linked(&link_of(&identity, "u")));
    assert_eq!(describe(&mut model, &identity), Err(NOT_FOUND));
    assert_eq!(identity_of(&mut model, "u"), Err(DENIED));
    assert_eq!(unlink(&mut model, &link_of(&identity, "u")), Err(NOT_FOUND));
    assert_eq!(get_token(&mut model, Some(&identity), "u"), Err(NOT_FOUND));
    let fresh = get_token(&mut model, None, "u").expect("a new one");
    assert_ne!(fresh, identity);
}

#[test]
fn merged_users_share_the_destination() {
    let links = vec![link("u"), link("u2"), link_of("us-east-1:a", "v")];
    let mut model = model_with(links);
    assert_eq!(merge(&mut model, "u", "v"), Ok("us-east-1:a".into()));
    for user in ["u", "u2", "v"] {
        assert_eq!(identity_of(&mut model, user), Ok("us-east-1:a".into()));
    }
    assert_eq!(logins(&mut model, "us-east-1:1"), json!(["DISABLED"]));
    assert_eq!(merge(&mut model, "u", "v"), Err(INVALID));
    assert_eq!(merge(&mut model, "u", "unlinked"), Err(NOT_FOUND));

    let mut model = implicit_model();
    let (source, kept) = (identity_of(&mut model, "u"), identity_of(&mut model, "v"));
    let (source, kept) = (source.expect("an identity"), kept.expect("an identity"));
    assert_eq!(merge(&mut model, "u", "v").as_ref(), Ok(&kept));
    assert_eq!(users_of(&mut model, &kept), Ok(json!(["u", "v"])));
    assert_eq!(logins(&mut model, &source), json!(["DISABLED"]));
    assert!(!model.is_linked(&link_of(&source, "u")) && model.is_linked(&link_of(&kept, "u")));
}

#[test]
fn an_identity_has_twenty_logins_at_most() {
    let many = |identity: &str, users: std::ops::Range<usize>| {
        let identity = identity.to_owned();
        users.map(move |n| link_of(&identity, &n.to_string()))
    };
    let merged = |n| {
        let links = many("us-east-1:1", 0..10).chain(many("us-east-1:a", 10..n));
        merge(&mut model_with(links.collect()), "0", "10")
    };
    assert!(merged(20).is_ok());
    assert_eq!(merged(21), Err(INVALID));
}

#[test]
fn public_logins_are_those_of_the_pool() {
    let mut model = model_with(Vec::new());
    let input = json!({
        "IdentityPoolName": "people", "AllowUnauthenticatedIdentities": true,
        "DeveloperProviderName": "p", "SupportedLoginProviders": {"www.example.com": "app"},
        "AllowClassicFlow": null,
    });
    let created = execute(&mut model, Operation::CreateIdentityPool, &input).expect("created");
    let pool = created["IdentityPoolId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(pool.starts_with("us-east-1:"), "{pool}");
    let described = execute(
        &mut model,
        Operation::DescribeIdentityPool,
        &json!({"IdentityPoolId": pool}),
    );
    assert_eq!(described, Ok(created.clone()));
    assert_eq!(
        created["SupportedLoginProviders"],
        input["SupportedLoginProviders"]
    );
    assert_eq!(created.get("AllowClassicFlow"), None);

    let mut sign_in = |logins: Value| {
        let input = json!({"IdentityPoolId": pool, "Logins": logins});
        execute(
            &mut model,
            Operation::GetOpenIdTokenForDeveloperIdentity,
            &input,
        )
    };
    assert_eq!(sign_in(json!({"q": "u"})), Err(INVALID));
    assert_eq!(sign_in(json!({})), Err(INVALID));
    assert_eq!(
        sign_in(json!({"p": "u", "other.example.com": "t"})),
        Err(INVALID)
    );
    assert_eq!(sign_in(json!({"p": "u".repeat(1025)})), Err(INVALID));
    let one = sign_in(json!({"p": "u", "www.example.com": "t1"})).expect("an identity");
    sign_in(json!({"p": "v", "www.example.com": "t2"})).expect("an identity");
    let id = one["IdentityId"].as_str().expect("an id");
    let described = describe(&mut model, id).expect("described");
    assert_eq!(described["Logins"], json!(["p", "www.example.com"]));
    // The same public provider, as two different users.
    let input = json!({
        "SourceUserIdentifier": "u", "DestinationUserIdentifier": "v",
        "DeveloperProviderName": "p", "IdentityPoolId": pool,
    });
    let merged = execute(&mut model, Operation::MergeDeveloperIdentities, &input);
    assert_eq!(merged, Err(CONFLICT));
}

#[test]
fn a_created_pool_has_no_implicit_links() {
    let mut model = implicit_model();
    let input = json!({
        "IdentityPoolName": "p", "AllowUnauthenticatedIdentities": false,
        "DeveloperProviderName": "p",
    });
    let created = execute(&mut model, Operation::CreateIdentityPool, &input).expect("created");
    let mut link = link("u");
    link.identity_pool_id = created["IdentityPoolId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(!model.is_linked(&link));
    assert_eq!(model.unlink(&link).expect_err("refused").code, NOT_FOUND);
}

#[test]
fn pools_in_a_region_are_limited() {
    let mut model = implicit_model();
    let input = json!({"IdentityPoolName": "p", "AllowUnauthenticatedIdentities": false});
    for _ in 0..1000 {
        execute(&mut model, Operation::CreateIdentityPool, &input).expect("created");
    }
    let more = execute(&mut model, Operation::CreateIdentityPool, &input);
    assert_eq!(more, Err("LimitExceededException"));
}

#[test]
fn generated_ids_are_uuids_of_version_4() {
    let mut model = implicit_model();
    let mut ids = vec![get_token(&mut model, None, "u").expect("an identity")];
    ids.extend((0..100).map(|n| identity_of(&mut model, &n.to_string()).expect("an identity")));
    for id in ids {
        let uuid = id.strip_prefix("us-east-1:").expect("the pool's Region");
        let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&uuid[14..15], "4", "{id}");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert!(describe(&mut model, &id).is_ok());
    }
}

/// A step of a random test on a few users and identities.
#[derive(Debug, Clone)]
enum Step {
    Unlink(usize, usize),
    Token(Option<usize>, usize),
    Merge(usize, usize),
    Delete(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3_usize, 0..4_usize).prop_map(|(identity, user)| Step::Unlink(identity, user)),
        (proptest::option::of(0..3_usize), 0..4_usize).prop_map(|(i, u)| Step::Token(i, u)),
        (0..4_usize, 0..4_usize).prop_map(|(source, destination)| Step::Merge(source, destination)),
        (0..3_usize).prop_map(Step::Delete),
    ];
    proptest::collection::vec(step, 0..30)
}

const USERS: [&str; 4] = ["t", "u", "v", "w"];

/// Executes a step and checks its effect. Adds a new identity to `identities`.
fn check_step(
    model: &mut Model,
    identities: &mut Vec<String>,
    step: &Step,
) -> Result<(), TestCaseError> {
    match *step {
        Step::Unlink(identity, user) => {
            let link = link_of(&identities[identity], USERS[user]);
            let was_linked = model.is_linked(&link);
            prop_assert_eq!(unlink(model, &link).is_ok(), was_linked);
            prop_assert!(!model.is_linked(&link));
            if was_linked {
                prop_assert_eq!(identity_of(model, USERS[user]), Err(DENIED));
            }
        }
        Step::Token(identity, user) => {
            let requested = identity.map(|identity| identities[identity].clone());
            if let Ok(id) = get_token(model, requested.as_deref(), USERS[user]) {
                prop_assert!(requested.is_none_or(|requested| requested == id));
                prop_assert!(model.is_linked(&link_of(&id, USERS[user])));
                prop_assert_eq!(identity_of(model, USERS[user]), Ok(id.clone()));
                if !identities.contains(&id) {
                    identities.push(id);
                }
            }
        }
        Step::Merge(source, destination) => {
            let before = identity_of(model, USERS[source]);
            let kept = identity_of(model, USERS[destination]);
            if let Ok(id) = merge(model, USERS[source], USERS[destination]) {
                prop_assert_eq!(kept.clone(), Ok(id.clone()));
                prop_assert_eq!(identity_of(model, USERS[source]), Ok(id.clone()));
                prop_assert_eq!(
                    logins(model, &before.expect("was found")),
                    json!(["DISABLED"])
                );
            }
        }
        Step::Delete(identity) => {
            let id = identities[identity].clone();
            prop_assert_eq!(delete(model, &[&id]), json!([]));
            prop_assert_eq!(describe(model, &id), Err(NOT_FOUND));
            for user in USERS {
                prop_assert!(!model.is_linked(&link_of(&id, user)));
            }
        }
    }
    Ok(())
}

/// Checks that all ways to look up a link agree.
fn check_look_ups(model: &mut Model, identities: &[String]) -> Result<(), TestCaseError> {
    for user in USERS {
        if let Ok(id) = identity_of(model, user) {
            prop_assert!(model.is_linked(&link_of(&id, user)));
            prop_assert_eq!(look_up_pair(model, &id, user), Ok(()));
        }
    }
    for id in identities {
        let listed = users_of(model, id);
        let is_accessible =
            describe(model, id).is_ok_and(|described| described["Logins"] != json!(["DISABLED"]));
        prop_assert_eq!(listed.is_ok(), is_accessible);
        for user in listed.unwrap_or_default().as_array().into_iter().flatten() {
            let user = user.as_str().expect("a user");
            prop_assert_eq!(identity_of(model, user), Ok(id.clone()));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn look_ups_agree_after_any_steps(steps in steps(), is_implicit: bool, is_revived: bool) {
        let mut identities: Vec<String> =
            ["us-east-1:0", "us-east-1:1", "us-east-1:2"].map(str::to_owned).into();
        let links = vec![link_of(&identities[0], "t"), link_of(&identities[1], "u")];
        let answer = if is_revived { DisabledLinkAnswer::Revived } else { DisabledLinkAnswer::Refused };
        let mut model = Model::new((!is_implicit).then_some(links), None, when_disabled(answer));
        for step in steps {
            check_step(&mut model, &mut identities, &step)?;
            check_look_ups(&mut model, &identities)?;
        }
    }
}
