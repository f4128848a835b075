"""boto3 and the AWS CLI use the emulator as they would use Amazon Cognito.

    python tests/judges/clients.py PROGRAM

PROGRAM is the cognito-unlink executable. A line for what does not hold, and a last one that counts.
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

from judge import ACCOUNT, KEY, REGION, SECRET, Emulator, Verdict, environment

PROVIDER = "login.example.com"
HOUR = timedelta(hours=1)


class Refused(Exception):
    """The service said no, with this code."""


class Boto:
    """Calls by boto3."""

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
    """Calls by the AWS CLI, a process each."""

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
    """What one client sees, from a new pool to its last identity."""
    verdict = Verdict(call.name)
    holds = verdict.holds

    def refused(what, code, operation, **parameters):
        try:
            told = call(operation, **parameters)
        except Refused as error:
            told = str(error)
        holds(what, told, code)

    made = call(
        "CreateIdentityPool",
        IdentityPoolName="judged by a client",
        AllowUnauthenticatedIdentities=False,
        DeveloperProviderName=PROVIDER,
    )
    pool = made["IdentityPoolId"]
    holds("the pool is in the client's Region", pool.split(":")[0], REGION)
    holds("the pool is described as made", call("DescribeIdentityPool", IdentityPoolId=pool), made)

    def link(user, **identity):
        answer = call(
            "GetOpenIdTokenForDeveloperIdentity", IdentityPoolId=pool, Logins={PROVIDER: user}, **identity
        )
        holds("there is a token", bool(answer["Token"]), True)
        return answer["IdentityId"]

    first = link("user-1")
    for user in ["user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""]:
        holds("a user is linked to the identity", link(user, IdentityId=first), first)
    other = link("other")
    holds("a user that is linked keeps its identity", link("other"), other)
    refused(
        "a user is of one identity",
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
            "a token leads through its own list",
            "InvalidParameterException",
            "LookupDeveloperIdentity",
            IdentityPoolId=pool,
            IdentityId=other,
            NextToken=page["NextToken"],
        )
        token = {"NextToken": page["NextToken"]}
    holds("pages are full but for the last", lengths, [2, 2, 1])
    holds(
        "every user is on one page",
        sorted(users),
        sorted(["user-1", "user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""]),
    )
    listed = call("ListIdentities", IdentityPoolId=pool, MaxResults=60)
    holds("the identities are listed", {each["IdentityId"] for each in listed["Identities"]}, {first, other})
    described = call("DescribeIdentity", IdentityId=first)
    holds("logins are told by provider", described["Logins"], [PROVIDER])
    holds("dates are there", {"CreationDate", "LastModifiedDate"} <= described.keys(), True)
    found = call("LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="user-1")
    holds("a user is found", found["IdentityId"], first)

    def parted(user, identity=first, **changed):
        return {
            "IdentityId": identity,
            "IdentityPoolId": pool,
            "DeveloperProviderName": PROVIDER,
            "DeveloperUserIdentifier": user,
            **changed,
        }

    holds("an unlink has nothing to say", call("UnlinkDeveloperIdentity", **parted("user-1")), {})
    missing = "ResourceNotFoundException"
    refused("unlinked is unlinked", missing, "UnlinkDeveloperIdentity", **parted("user-1"))
    refused("the user is not found", missing, "LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="user-1")
    refused(
        "they are no pair",
        "ResourceConflictException",
        "LookupDeveloperIdentity",
        IdentityPoolId=pool,
        IdentityId=first,
        DeveloperUserIdentifier="user-1",
    )
    elsewhere = f"{REGION}:ffffffff-0000-4000-8000-000000000000"
    refused("no such pool", missing, "UnlinkDeveloperIdentity", **parted("user-2", IdentityPoolId=elsewhere))
    refused("no such identity", missing, "UnlinkDeveloperIdentity", **parted("user-2", elsewhere))
    invalid = "InvalidParameterException"
    refused("another provider", invalid, "UnlinkDeveloperIdentity", **parted("user-2", DeveloperProviderName="other"))
    refused("a rule of the service model", invalid, "UnlinkDeveloperIdentity", **parted("user-2", "no-id"))

    merged = call(
        "MergeDeveloperIdentities",
        SourceUserIdentifier="other",
        DestinationUserIdentifier="user-2",
        DeveloperProviderName=PROVIDER,
        IdentityPoolId=pool,
    )
    holds("the destination is kept", merged, {"IdentityId": first})
    refused("the source is gone", missing, "DescribeIdentity", IdentityId=other)
    found = call("LookupDeveloperIdentity", IdentityPoolId=pool, DeveloperUserIdentifier="other")
    holds("its user has moved", found["IdentityId"], first)

    foreign = "eu-west-1:00000000-0000-4000-8000-000000000000"
    deleted = call("DeleteIdentities", IdentityIdsToDelete=[first, foreign])
    holds(
        "what could not be deleted is told",
        deleted,
        {"UnprocessedIdentityIds": [{"IdentityId": foreign, "ErrorCode": "AccessDenied"}]},
    )
    refused("the identity is gone", missing, "DescribeIdentity", IdentityId=first)
    refused("what is not served is unknown", "UnknownOperationException", "ListIdentityPools", MaxResults=1)
    refused("unsigned as well", "UnknownOperationException", "GetId", IdentityPoolId=pool)

    told = call("GetCallerIdentity", service="sts")
    holds("the account is told", told["Account"], ACCOUNT)
    describe = {"operation": "DescribeIdentityPool", "IdentityPoolId": pool}
    signature = "InvalidSignatureException"
    refused("a wrong secret", signature, **describe, secret="wrong")
    refused("an unknown key", "UnrecognizedClientException", **describe, key="AKIDOTHER")
    refused("a clock that is late", signature, **describe, skew=-HOUR)
    refused("a clock that is early", signature, **describe, skew=HOUR)
    holds("four minutes are borne", call(**describe, skew=-HOUR / 15)["IdentityPoolId"], pool)
    refused("STS verifies too", "SignatureDoesNotMatch", "GetCallerIdentity", service="sts", secret="wrong")
    return verdict


def main():
    total = Verdict("clients")
    with Emulator(sys.argv[1]) as emulator:
        for client in [Boto, Aws]:
            verdict = judge(client(emulator.url))
            total.passed += verdict.passed
            total.failed += verdict.failed
    total.end()


if __name__ == "__main__":
    main()
