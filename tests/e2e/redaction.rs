//! Passwords in URLs and identifiers of users are never printed.

use std::process::Command;

use cognito_unlink::testing::emulator::{Canned, Then, When};

use crate::sandbox::{ClosedPort, Sandbox, people, rule, start};

#[test]
fn a_password_in_an_endpoint_is_refused_and_never_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let with_password = sandbox.emulator.url().replace("//", "//operator:hunter2@");
    let config = format!("[default]\nendpoint_url = {with_password}\n");
    sandbox.write("aws-config", config);
    let single = [
        "unlink-developer-identity",
        "--identity-id=us-east-1:1",
        "--identity-pool-id=us-east-1:1",
        "--developer-provider-name=p",
        "--developer-user-identifier=u",
        "--region=us-east-1",
    ];
    for (args, code) in [
        (&["run", "people.csv"][..], 2),
        (&["run", "people.csv", "--dry-run"], 2),
        (&["plan", "people.csv"], 2),
        (&["plan", "people.csv", "--online"], 2),
        (&single, 255),
    ] {
        let refused = |command: &mut Command| {
            let ran = start(command).wait().expect_exit(code);
            ran.assert_contains("user name or password in its URL");
            let all = ran.all();
            assert!(!all.contains("hunter2"), "{all}");
        };
        let option = [args, &["--endpoint-url", &with_password]].concat();
        refused(sandbox.command().args(&option));
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY"] {
            refused(sandbox.command().env(variable, &with_password).args(args));
        }
        refused(
            sandbox
                .command()
                .env("AWS_CONFIG_FILE", sandbox.path("aws-config"))
                .args(args),
        );
    }
    let mut other = sandbox.command();
    other.args([
        "run",
        "people.csv",
        "--endpoint-url",
        "ftp://operator:hunter2@h",
    ]);
    let ran = start(&mut other).wait().expect_exit(2);
    ran.assert_contains("user name or password in its URL");
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn the_password_of_a_proxy_is_used_and_never_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let closed = ClosedPort::new();
    for url in [sandbox.emulator.url(), closed.url().to_owned()] {
        let proxy = url.replace("//", "//operator:hunter2@");
        for endpoint in ["http://cognito.example", "https://cognito.example"] {
            let mut command = sandbox.command();
            command.args([
                "run",
                "people.csv",
                "--yes",
                "-vv",
                "--endpoint-url",
                endpoint,
            ]);
            command.args(["--give-up-after", "1s", "--max-attempts", "1"]);
            command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
            let ran = start(&mut command).wait();
            for text in [&ran.stdout, &ran.stderr] {
                assert!(
                    !text.contains("hunter2") && !text.contains("operator"),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 1, "through the proxy");
}

#[test]
fn users_of_other_rows_are_redacted_from_messages() {
    let quoting = "User: arn:aws:iam::123456789012:user/acct-2 is not authorized to perform: \
                   cognito-identity:UnlinkDeveloperIdentity on resource: acct-3, for acct-2's link of 'acct-4'";
    let code = "AccessDeniedException";
    for about in ["UnlinkDeveloperIdentity", "DescribeIdentityPool"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(4));
        sandbox.emulator.add_rule(rule(
            When::Operation(about),
            Then::Answer(Canned {
                status: 400,
                headers: vec![("x-amzn-requestid".into(), "acct-2".into())],
                body: serde_json::json!({"__type": code, "message": quoting}).to_string(),
            }),
        ));
        for results in ["a.csv", "b.csv"] {
            let args = ["people.csv", "-vv", "--results", results];
            let json = if results == "b.csv" {
                &["--json"][..]
            } else {
                &[]
            };
            let ran = sandbox.run(&[&args, json].concat());
            let all = ran.all();
            assert!(all.contains(code), "{all}");
            assert!(
                all.contains("arn:aws:iam::123456789012:user/… is not authorized to perform: cognito-identity:UnlinkDeveloperIdentity"),
                "{all}"
            );
            for other in 1..=4 {
                assert!(!all.contains(&format!("acct-{other}")), "{all}");
            }
        }
    }
}
