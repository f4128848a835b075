use super::*;

fn link(user: &str) -> Link {
    Link {
        identity_id: "us-east-1:1".into(),
        identity_pool_id: "us-east-1:2".into(),
        developer_provider_name: "p".into(),
        developer_user_identifier: user.into(),
    }
}

fn input(link: Link) -> UnlinkInput {
    UnlinkInput {
        identity_id: Some(link.identity_id),
        identity_pool_id: Some(link.identity_pool_id),
        developer_provider_name: Some(link.developer_provider_name),
        developer_user_identifier: Some(link.developer_user_identifier),
    }
}

fn code(model: &mut Model, link: Link) -> Option<&'static str> {
    model.unlink(input(link)).err().map(|error| error.code)
}

#[test]
fn a_link_is_removed_once() {
    for links in [None, Some(vec![link("u"), link("v")])] {
        let mut model = Model::new(links, None, NotLinked::default());
        assert!(model.is_linked(&link("u")));
        assert_eq!(model.unlink(input(link("u"))), Ok(true));
        assert!(!model.is_linked(&link("u")) && model.is_linked(&link("v")));
        assert_eq!(
            code(&mut model, link("u")),
            Some("ResourceNotFoundException")
        );
    }
}

#[test]
fn the_answer_to_what_is_not_linked_is_a_setting() {
    let answer = |when| {
        let mut model = Model::new(Some(vec![link("u")]), None, when);
        model.unlink(input(link("v"))).map_err(|error| error.code)
    };
    assert_eq!(answer(NotLinked::Ok), Ok(false));
    assert_eq!(
        answer(NotLinked::NotAuthorized),
        Err("NotAuthorizedException")
    );
    assert_eq!(
        answer(NotLinked::ResourceNotFound),
        Err("ResourceNotFoundException")
    );
}

#[test]
fn what_is_not_there_is_told_apart() {
    let mut model = Model::new(Some(vec![link("u")]), None, NotLinked::default());
    let mut message = |change: fn(&mut Link)| {
        let mut link = link("u");
        change(&mut link);
        model.unlink(input(link)).expect_err("refused").message
    };
    assert!(message(|l| l.identity_pool_id = "us-east-1:9".into()).starts_with("IdentityPool '"));
    assert!(message(|l| l.identity_id = "us-east-1:9".into()).starts_with("Identity '"));
    assert!(message(|l| l.developer_provider_name = "q".into()).contains("does not support"));
}

#[test]
fn parameters_are_held_against_the_service_model() {
    let mut model = Model::new(None, None, NotLinked::default());
    for change in [
        (|l| l.identity_id = String::new()) as fn(&mut Link),
        |l| l.identity_id = "us-east-1:G".into(),
        |l| l.identity_pool_id = format!("us-east-1:{}", "0".repeat(60)),
        |l| l.developer_provider_name = "a b".into(),
        |l| l.developer_user_identifier = "u".repeat(1025),
    ] {
        let mut wrong = link("u");
        change(&mut wrong);
        assert_eq!(code(&mut model, wrong), Some("InvalidParameterException"));
    }
    let error = model.unlink(UnlinkInput::default()).expect_err("refused");
    assert!(error.message.contains("not be null"), "{}", error.message);
}

#[test]
fn linking_again_and_looking_up() {
    let mut model = Model::new(Some(vec![link("u"), link("v")]), None, NotLinked::default());
    assert_eq!(model.unlink(input(link("u"))), Ok(true));
    let body = br#"{"IdentityPoolId":"us-east-1:2","IdentityId":"us-east-1:1","Logins":{"p":"u"}}"#;
    model
        .answer("GetOpenIdTokenForDeveloperIdentity", body)
        .expect("linked");
    assert!(model.is_linked(&link("u")));

    let mut page = |token: &str| {
        let body = format!(
            r#"{{"IdentityPoolId":"us-east-1:2","IdentityId":"us-east-1:1","MaxResults":1{token}}}"#
        );
        model
            .answer("LookupDeveloperIdentity", body.as_bytes())
            .expect("found")
    };
    let first = page("");
    assert_eq!(first["DeveloperUserIdentifierList"], json!(["u"]));
    let second = page(&format!(r#","NextToken":{}"#, first["NextToken"]));
    assert_eq!(second["DeveloperUserIdentifierList"], json!(["v"]));
    assert_eq!(second.get("NextToken"), None);
    let beyond = page(r#","NextToken":"page-18446744073709551615""#);
    assert_eq!(beyond["DeveloperUserIdentifierList"], json!([]));
    assert_eq!(beyond.get("NextToken"), None);
}

#[test]
fn pools_and_identities_are_described() {
    let mut model = Model::new(Some(vec![link("u")]), None, NotLinked::default());
    let pool = model.answer(
        "DescribeIdentityPool",
        br#"{"IdentityPoolId":"us-east-1:2"}"#,
    );
    assert_eq!(
        pool.expect("described")["DeveloperProviderName"],
        json!("p")
    );
    let identity = model.answer("DescribeIdentity", br#"{"IdentityId":"us-east-1:1"}"#);
    assert_eq!(identity.expect("described")["Logins"], json!(["p"]));
    assert!(matches!(
        model.answer("ListThings", b"{}"),
        Err(Refused::Unknown)
    ));
    assert!(matches!(
        model.answer("DescribeIdentity", b"{"),
        Err(Refused::Malformed(_))
    ));
}
