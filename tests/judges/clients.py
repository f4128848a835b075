"""Uses the emulator through boto3 and the AWS CLI as these use Amazon Cognito.

    python tests/judges/clients.py PROGRAM

PROGRAM is the cognito-unlink executable. Prints a line for each check that fails, and the numbers of checks at the end.
"""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import boto3
import botocore.auth
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from judge import ACCOUNT, KEY, REGION, SECRET, Emulator, Tally, environment

PROVIDER = "login.example.com"
HOUR = timedelta(hours=1)
GUESTS = f"{REGION}:00000000-0000-4000-8000-0000000000bb"
GUEST = f"{REGION}:00000000-0000-4000-8000-000000000009"


class Refused(Exception):
    """An error of the service; its text is the code."""


class Boto:
    """Calls through boto3."""

    name = "boto3"

    def __init__(self, url):
        self.url = url

    def __call__(self, operation, service="cognito-identity", key=KEY, secret=SECRET, skew=None, **parameters):
        client = boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )
        clock = botocore.auth.get_current_datetime
        if skew:
            botocore.auth.get_current_datetime = lambda *given, **named: clock(*given, **named) + skew
        try:
            answer = getattr(client, xform_name(operation))(**parameters)
        except ClientError as error:
            raise Refused(error.response["Error"]["Code"]) from error
        finally:
            botocore.auth.get_current_datetime = clock
        answer.pop("ResponseMetadata")
        return answer


class Aws:
    """Calls through the AWS CLI, in a process each."""

    name = "aws"
    SKEWED = (
        "import sys, datetime, botocore.auth as auth; now = auth.get_current_datetime\n"
        "auth.get_current_datetime = lambda *a, **k: now(*a, **k) + datetime.timedelta(seconds={})\n"
        "from awscli.clidriver import main; sys.exit(main())"
    )

    def __init__(self, url):
        self.url = url

    def __call__(self, operation, service="cognito-identity", key=KEY, secret=SECRET, skew=None, **parameters):
        command = [str(Path(sys.executable).with_name("aws"))]
        if skew:
            command = [sys.executable, "-c", self.SKEWED.format(skew.total_seconds())]
        command += [service, xform_name(operation, "-"), "--endpoint-url", self.url, "--output", "json"]
        if parameters:
            command += ["--cli-input-json", json.dumps(parameters)]
        ran = subprocess.run(command, env=environment(key, secret), capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return json.loads(ran.stdout or "{}")
        code = re.search(r"An error occurred \((\w+)\)", ran.stderr)
        raise Refused(code[1] if code else ran.stderr)


def judge(call):
    """Checks one client, from the creation of a pool to the deletion of its last identity."""
    tally = Tally(call.name)
    expect = tally.expect

    def refused(what, code, operation, **parameters):
        try:
            actual = call(operation, **parameters)
        except Refused as error:
            actual = str(error)
        expect(what, actual, code)

    created = call(
        "CreateIdentityPool",
        IdentityPoolName="judged by a client",
        AllowUnauthenticatedIdentities=False,
        DeveloperProviderName=PROVIDER,
    )
    pool = created["IdentityPoolId"]
    expect("the pool is in the client's Region", pool.split(":")[0], REGION)
    expect("a pool is described as it was created", call("DescribeIdentityPool", IdentityPoolId=pool), created)

    def link(user, **identity):
        answer = call(
            "GetOpenIdTokenForDeveloperIdentity", IdentityPoolId=pool, Logins={PROVIDER: user}, **identity
        )
        expect("there is a token", bool(answer["Token"]), True)
        return answer["IdentityId"]

    first = link("user-1")
    for user in ["user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""]:
        expect("a user is linked to the identity", link(user, IdentityId=first), first)
    other = link("other")
    expect("a user that is linked keeps its identity", link("other"), other)
    refused(
        "a user cannot be linked to a second identity",
        "DeveloperUserAlreadyRegisteredException",
        "GetOpenIdTokenForDeveloperIdentity",
        IdentityPoolId=pool,
        IdentityId=first,
        Logins={PROVIDER: "other"},
    )

    users, token, lengths = [], {}, []
    while True:
        page = call("LookupDeveloperIdentity", IdentityPoolId=pool, IdentityId=first, MaxResults=2, **token)
        users += page["DeveloperUserIdentifierList"]
        lengths.append(len(page["DeveloperUserIdentifierList"]))
        if "NextToken" not in page:
            break
        refused(
            "a token is valid for its own list only",
            "InvalidParameterException",
            "LookupDeveloperIdentity",
            IdentityPoolId=pool,
            IdentityId=other,
            NextToken=page["NextToken"],
        )
        token = {"NextToken": page["NextToken"]}
    expect("all pages but the last are full", lengths, [2, 2, 1])
    expect(
        "every user is on one page",
        sorted(users),
        sorted(["user-1", "user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""]),
    )
    listed = call("ListIdentities", IdentityPoolId=pool, MaxResults=60)
    expect("the identities are listed", {each["IdentityId"] for each in listed["Identities"]}, {first, other})
    described = call("DescribeIdentity", IdentityId=first)
    expect("logins are listed by provider", described["Logins"], [PROVIDER])
    expect("dates are returned", {"CreationDate", "LastModifiedDate"} <= described.keys(), True)
    found = call("LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="user-1")
    expect("a user is found", found["IdentityId"], first)

    def link_of(user, identity=first, **changed):
        return {
            "IdentityId": identity,
            "IdentityPoolId": pool,
            "DeveloperProviderName": PROVIDER,
            "DeveloperUserIdentifier": user,
            **changed,
        }

    expect("an unlink returns an empty output", call("UnlinkDeveloperIdentity", **link_of("user-1")), {})
    missing = "ResourceNotFoundException"
    refused("a second unlink finds no link", missing, "UnlinkDeveloperIdentity", **link_of("user-1"))
    denied = "NotAuthorizedException"
    refused("an unlinked user is not found", denied, "LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="user-1")
    refused(
        "the user is not linked to the identity",
        "ResourceConflictException",
        "LookupDeveloperIdentity",
        IdentityPoolId=pool,
        IdentityId=first,
        DeveloperUserIdentifier="user-1",
    )
    elsewhere = f"{REGION}:ffffffff-0000-4000-8000-000000000000"
    refused("an unknown pool", missing, "UnlinkDeveloperIdentity", **link_of("user-2", IdentityPoolId=elsewhere))
    refused("an unknown identity", missing, "UnlinkDeveloperIdentity", **link_of("user-2", elsewhere))
    invalid = "InvalidParameterException"
    refused("another provider than the pool's", invalid, "UnlinkDeveloperIdentity", **link_of("user-2", DeveloperProviderName="other"))
    refused("a value that breaks the service model", invalid, "UnlinkDeveloperIdentity", **link_of("user-2", "no-id"))

    merged = call(
        "MergeDeveloperIdentities",
        SourceUserIdentifier="other",
        DestinationUserIdentifier="user-2",
        DeveloperProviderName=PROVIDER,
        IdentityPoolId=pool,
    )
    expect("a merge keeps the destination's identity", merged, {"IdentityId": first})
    expect("a merge disables the source's identity", call("DescribeIdentity", IdentityId=other)["Logins"], ["DISABLED"])
    refused("a disabled identity is not looked up", denied, "LookupDeveloperIdentity", IdentityPoolId=pool, IdentityId=other)
    disabled = {"IdentityPoolId": pool, "IdentityId": other, "Logins": {PROVIDER: "user-1"}}
    refused("a disabled identity is not linked", denied, "GetOpenIdTokenForDeveloperIdentity", **disabled)
    guest = next(each for each in call("ListIdentities", IdentityPoolId=GUESTS, MaxResults=60)["Identities"])
    expect("a guest has no logins", (guest["IdentityId"], "Logins" in guest), (GUEST, False))
    found = call("LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="other")
    expect("a merge moves the source's user", found["IdentityId"], first)

    foreign = "eu-west-1:00000000-0000-4000-8000-000000000000"
    deleted = call("DeleteIdentities", IdentityIdsToDelete=[first, foreign])
    expect(
        "identities that cannot be deleted are returned",
        deleted,
        {"UnprocessedIdentityIds": [{"IdentityId": foreign, "ErrorCode": "AccessDenied"}]},
    )
    refused("a deleted identity is not found", missing, "DescribeIdentity", IdentityId=first)
    refused("an operation that is not served is unknown", "UnknownOperationException", "ListIdentityPools", MaxResults=1)
    refused("an unsigned operation that is not served is unknown", "UnknownOperationException", "GetId", IdentityPoolId=pool)

    caller = call("GetCallerIdentity", service="sts")
    expect("the account is returned", caller["Account"], ACCOUNT)
    describe = {"operation": "DescribeIdentityPool", "IdentityPoolId": pool}
    signature = "InvalidSignatureException"
    refused("a wrong secret", signature, **describe, secret="wrong")
    refused("an unknown key", "UnrecognizedClientException", **describe, key="AKIDOTHER")
    refused("a clock that is an hour late", signature, **describe, skew=-HOUR)
    refused("a clock that is an hour early", signature, **describe, skew=HOUR)
    expect("a clock that is four minutes late is accepted", call(**describe, skew=-HOUR / 15)["IdentityPoolId"], pool)
    refused("STS verifies signatures too", "SignatureDoesNotMatch", "GetCallerIdentity", service="sts", secret="wrong")
    return tally


def main():
    total = Tally("clients")
    with Emulator(sys.argv[1], "--guest", f"{GUESTS}={GUEST}", "--when-disabled", "refused") as emulator:
        for client in [Boto, Aws]:
            tally = judge(client(emulator.url))
            total.passed += tally.passed
            total.failed += tally.failed
    total.end()


if __name__ == "__main__":
    main()
