"""Checks the emulator's replies against botocore's service model and response parser.

    python tests/judges/shapes.py PROGRAM

PROGRAM is the cognito-unlink executable. Prints a line for each check that fails, and the numbers of checks at the end.
"""

import http.client
import json
import re
import sys
from datetime import datetime
from urllib.parse import urlparse

import botocore.session
from botocore import parsers
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials

from judge import KEY, REGION, SECRET, Emulator, Tally

MODEL = botocore.session.get_session().get_service_model("cognito-identity")
SERVED = [
    "CreateIdentityPool",
    "DeleteIdentities",
    "DescribeIdentity",
    "DescribeIdentityPool",
    "GetOpenIdTokenForDeveloperIdentity",
    "ListIdentities",
    "LookupDeveloperIdentity",
    "MergeDeveloperIdentities",
    "UnlinkDeveloperIdentity",
]
# Errors that every operation of every service may return, and no model lists.
COMMON = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}
POOL = f"{REGION}:00000000-0000-4000-8000-0000000000aa"
IDENTITY = f"{REGION}:00000000-0000-4000-8000-000000000001"
PROVIDER = "login.example.com"

# Valid parameters of each operation.
VALID = {
    "CreateIdentityPool": {
        "IdentityPoolName": "judged, by +its= shapes @.-",
        "AllowUnauthenticatedIdentities": True,
        "AllowClassicFlow": False,
        "SupportedLoginProviders": {"www.example.com": "app"},
        "DeveloperProviderName": PROVIDER,
        "OpenIdConnectProviderARNs": ["arn:aws:iam::210987654321:oidc-provider/example.com"],
        "CognitoIdentityProviders": [
            {"ProviderName": "idp/pool", "ClientId": "client_1", "ServerSideTokenCheck": True}
        ],
        "SamlProviderARNs": ["arn:aws:iam::210987654321:saml-provider/example"],
        "IdentityPoolTags": {"team": ""},
    },
    "DeleteIdentities": {"IdentityIdsToDelete": [f"{REGION}:ff", "eu-west-1:ff"]},
    "DescribeIdentity": {"IdentityId": IDENTITY},
    "DescribeIdentityPool": {"IdentityPoolId": POOL},
    "GetOpenIdTokenForDeveloperIdentity": {
        "IdentityPoolId": POOL,
        "IdentityId": IDENTITY,
        "Logins": {PROVIDER: "user"},
        "PrincipalTags": {"tag": "value"},
        "TokenDuration": 86400,
    },
    "ListIdentities": {"IdentityPoolId": POOL, "MaxResults": 1, "HideDisabled": False},
    "LookupDeveloperIdentity": {"IdentityPoolId": POOL, "IdentityId": IDENTITY, "MaxResults": 1},
    "MergeDeveloperIdentities": {
        "SourceUserIdentifier": "merged",
        "DestinationUserIdentifier": "user",
        "DeveloperProviderName": PROVIDER,
        "IdentityPoolId": POOL,
    },
    "UnlinkDeveloperIdentity": {
        "IdentityId": IDENTITY,
        "IdentityPoolId": POOL,
        "DeveloperProviderName": PROVIDER,
        "DeveloperUserIdentifier": "never linked",
    },
}

TYPES = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "long": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "timestamp": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, dict),
    "structure": lambda value: isinstance(value, dict),
}


def send(emulator, operation, body, signed=True):
    """Sends a body as it is. Returns the reply's status, headers and body."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AWSCognitoIdentityService.{operation}"}
    request = AWSRequest("POST", emulator.url + "/", data=body, headers=headers)
    if signed:
        SigV4Auth(Credentials(KEY, SECRET), "cognito-identity", REGION).add_auth(request)
    connection = http.client.HTTPConnection(urlparse(emulator.url).netloc, timeout=30)
    connection.request("POST", "/", body, dict(request.headers.items()))
    response = connection.getresponse()
    reply = response.status, HeadersDict(response.getheaders()), response.read()
    connection.close()
    return reply


def mismatches(shape, value, at=""):
    """Returns where the value differs from the shape."""
    if not TYPES[shape.type_name](value):
        return [f"{at} is not a {shape.type_name}: {value!r}"]
    wrong = []
    if shape.type_name == "structure":
        wrong += [f"{at}.{name} is not modelled" for name in value.keys() - shape.members.keys()]
        wrong += [f"{at}.{name} is required" for name in set(shape.required_members) - value.keys()]
        for name in value.keys() & shape.members.keys():
            wrong += mismatches(shape.members[name], value[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for nth, item in enumerate(value):
            wrong += mismatches(shape.member, item, f"{at}[{nth}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            wrong += mismatches(shape.key, key, f"{at} key") + mismatches(shape.value, item, f"{at}[{key!r}]")
    elif shape.type_name == "string":
        rules = shape.metadata
        if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
            wrong.append(f"{at} has {len(value)} characters")
        if "pattern" in rules and not re.fullmatch(rules["pattern"], value, re.ASCII):
            wrong.append(f"{at} does not match {rules['pattern']}: {value!r}")
        if getattr(shape, "enum", None) and value not in shape.enum:
            wrong.append(f"{at} is not one of {shape.enum}: {value!r}")
    return wrong


def code_of(tally, what, operation, reply):
    """Checks a reply. Returns the code of an error, or None for a success."""
    status, headers, body = reply
    request_id = headers.get("x-amzn-RequestId", "")
    tally.expect(f"{what}: request id", bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)), True)
    tally.expect(f"{what}: content type", headers.get("content-type"), "application/x-amz-json-1.1")
    shape = MODEL.operation_model(operation).output_shape if operation in SERVED else None
    received = {"status_code": status, "headers": headers, "body": body}
    parsed = parsers.create_parser("json").parse(received, shape)
    tally.expect(f"{what}: parsed request id", parsed["ResponseMetadata"].get("RequestId"), request_id)
    if status == 200:
        if shape is None:
            tally.expect(f"{what}: no output, no body", body, b"")
        else:
            tally.expect(f"{what}: shape", mismatches(shape, json.loads(body)), [])
            dates = {name: member for name, member in shape.members.items() if member.type_name == "timestamp"}
            tally.expect(f"{what}: dates", all(isinstance(parsed[name], datetime) for name in dates), True)
        return None
    error = json.loads(body)
    code = error["__type"]
    tally.expect(f"{what}: header", headers.get("x-amzn-ErrorType"), f"{code}:")
    tally.expect(f"{what}: parsed code", parsed["Error"]["Code"], code)
    tally.expect(f"{what}: parsed message", parsed["Error"]["Message"], error.get("message", ""))
    tally.expect(f"{what}: members", error.keys() <= {"__type", "message"}, True)
    if operation in SERVED:
        modelled = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
        tally.expect(f"{what}: {code} is modelled", code in modelled | COMMON, True)
    tally.expect(f"{what}: status", status, 500 if code == "InternalErrorException" else 400)
    return code


def changed(parameters, path, value):
    """Returns the parameters with another value at the path."""
    if not path:
        return value
    copy = list(parameters) if isinstance(parameters, list) else dict(parameters)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def text(shape, length):
    """Returns a text of this length that matches the shape's pattern."""
    pattern = shape.metadata.get("pattern", "")
    return "r:" + "0" * (length - 2) if ":[0-9a-f-]" in pattern and length > 2 else "0" * length


def variations(shape, value, path=()):
    """Yields paths, a value for each, and the error expected with it: None, a constraint, or SerializationException."""
    other_type = {"string": 1, "boolean": "true", "integer": "1", "long": "1", "list": {}, "map": [], "structure": []}
    if path:
        yield path, other_type[shape.type_name], "SerializationException"
    rules = shape.metadata
    most, least = rules.get("max"), rules.get("min")
    if shape.type_name == "structure":
        for name in value:
            yield from variations(shape.members[name], value[name], (*path, name))
        for name in shape.required_members:
            yield (*path, name), None, "Member must not be null"
    elif shape.type_name == "list":
        yield from variations(shape.member, value[0], (*path, 0))
        if most:
            yield path, value[:1] * most, None
            yield path, value[:1] * (most + 1), f"Member must have length less than or equal to {most}"
        if least:
            yield path, [], f"Member must have length greater than or equal to {least}"
    elif shape.type_name == "map":
        name = next(iter(value))
        yield from variations(shape.value, value[name], (*path, name))
        if most:
            many = {name: value[name], **{f"{n}": value[name] for n in range(most)}}
            yield path, many, f"Member must have length less than or equal to {most}"
        longest = shape.key.metadata["max"]
        for key in ["", "k" * (longest + 1)]:
            yield path, {**value, key: value[name]}, "Map keys must satisfy constraint: ["
    elif shape.type_name == "string":
        if most:
            yield path, text(shape, most), None
            yield path, text(shape, most + 1), f"Member must have length less than or equal to {most}"
        if least:
            yield path, "", f"Member must have length greater than or equal to {least}"
        if "pattern" in rules:
            for wrong in ["!", "é"]:
                yield path, wrong, f"Member must satisfy regular expression pattern: {rules['pattern']}"
    elif shape.type_name in ("integer", "long"):
        yield path, most, None
        yield path, least, None
        yield path, most + 1, f"Member must have value less than or equal to {most}"
        yield path, least - 1, f"Member must have value greater than or equal to {least}"


def judge_parameters(tally, emulator):
    """Checks every rule of the service model at its limits."""
    for operation in SERVED:
        shape = MODEL.operation_model(operation).input_shape
        valid = VALID[operation]
        tally.expect(f"{operation}: all parameters are tried", shape.members.keys() - valid.keys() <= {
            "NextToken", "DeveloperUserIdentifier",
        }, True)
        for path, value, expected in variations(shape, valid):
            reply = send(emulator, operation, json.dumps(changed(valid, path, value)))
            what = f"{operation} with {'.'.join(map(str, path))} = {value!r:.60}"
            code = code_of(tally, what, operation, reply)
            message = json.loads(reply[2] or b"{}").get("message", "")
            if expected is None:
                tally.expect(f"{what}: valid", "validation error" in message or code == "SerializationException", False)
            elif expected == "SerializationException":
                tally.expect(f"{what}: wrong type", code, expected)
            else:
                tally.expect(f"{what}: code", code, "InvalidParameterException")
                tally.expect(f"{what}: {expected} in {message!r:.200}", expected in message, True)


def judge_replies(tally, program):
    """Checks a success of every operation, and every error that it may return."""

    def check(emulator, operation, parameters, expected, what=""):
        reply = send(emulator, operation, json.dumps(parameters))
        code = code_of(tally, f"{operation} {what}", operation, reply)
        tally.expect(f"{operation} {what}: outcome", code, expected)
        return json.loads(reply[2] or b"{}")

    valid = VALID
    missing, conflict, invalid = "ResourceNotFoundException", "ResourceConflictException", "InvalidParameterException"
    with Emulator(program) as emulator:
        for user in ["user", "second", "third"]:
            token = {**valid["GetOpenIdTokenForDeveloperIdentity"], "Logins": {PROVIDER: user}}
            check(emulator, "GetOpenIdTokenForDeveloperIdentity", token, None)
        alone = {"IdentityPoolId": POOL, "Logins": {PROVIDER: "merged"}}
        fresh = check(emulator, "GetOpenIdTokenForDeveloperIdentity", alone, None, "without an identity")["IdentityId"]
        for operation in ["ListIdentities", "LookupDeveloperIdentity"]:
            page = check(emulator, operation, valid[operation], None, "first page")
            tally.expect(f"{operation}: there is more", "NextToken" in page, True)
            more = {**valid[operation], "NextToken": page["NextToken"]}
            check(emulator, operation, more, None, "next page")
            check(emulator, operation, {**more, "NextToken": page["NextToken"][:-2]}, invalid, "with half a token")
        registered = {**alone, "IdentityId": IDENTITY}
        check(emulator, "GetOpenIdTokenForDeveloperIdentity", registered, "DeveloperUserAlreadyRegisteredException")
        pair = {"IdentityPoolId": POOL, "IdentityId": IDENTITY, "DeveloperUserIdentifier": "merged"}
        check(emulator, "LookupDeveloperIdentity", pair, conflict)
        check(emulator, "LookupDeveloperIdentity", {"IdentityPoolId": POOL}, invalid, "without identity and user")
        check(emulator, "MergeDeveloperIdentities", valid["MergeDeveloperIdentities"], None)
        check(emulator, "MergeDeveloperIdentities", valid["MergeDeveloperIdentities"], invalid, "again")
        disabled = check(emulator, "DescribeIdentity", {"IdentityId": fresh}, None, "of a merged identity")
        tally.expect("a merged identity is disabled", disabled["Logins"], ["DISABLED"])
        linked = {**valid["UnlinkDeveloperIdentity"], "DeveloperUserIdentifier": "user"}
        check(emulator, "UnlinkDeveloperIdentity", linked, None)
        check(emulator, "UnlinkDeveloperIdentity", linked, missing, "again")
        check(emulator, "UnlinkDeveloperIdentity", {**linked, "DeveloperProviderName": "q"}, invalid, "of another provider")
        check(emulator, "MergeDeveloperIdentities", valid["MergeDeveloperIdentities"], missing, "of an unknown user")
        for operation in ["CreateIdentityPool", "DeleteIdentities", "DescribeIdentity", "DescribeIdentityPool"]:
            check(emulator, operation, valid[operation], None)
        deleted = check(emulator, "DeleteIdentities", {"IdentityIdsToDelete": [IDENTITY]}, None)
        tally.expect("every identity is deleted", deleted, {"UnprocessedIdentityIds": []})
        check(emulator, "LookupDeveloperIdentity", valid["LookupDeveloperIdentity"], missing, "of a deleted identity")
        check(emulator, "GetOpenIdTokenForDeveloperIdentity", valid["GetOpenIdTokenForDeveloperIdentity"], missing, "to a deleted identity")

        for operation in ["ListIdentityPools", "GetId", "NoSuchOperation", ""]:
            for signed in [True, False]:
                reply = send(emulator, operation, "{}", signed)
                code = code_of(tally, f"{operation!r}", operation, reply)
                tally.expect(f"{operation!r} is unknown", code, "UnknownOperationException")
        for operation in SERVED:
            reply = send(emulator, operation, json.dumps(valid[operation]), signed=False)
            code = code_of(tally, f"{operation} unsigned", operation, reply)
            tally.expect(f"{operation} unsigned", code, "MissingAuthenticationTokenException")
            for body in ["{", "[]", "1", '{"IdentityPoolId":}', "\u00ff"]:
                reply = send(emulator, operation, body.encode("latin-1"))
                code = code_of(tally, f"{operation} of {body!r}", operation, reply)
                tally.expect(f"{operation} of {body!r}", code, "SerializationException")
        name = {"IdentityPoolName": "n", "AllowUnauthenticatedIdentities": False}
        codes = [json.loads(send(emulator, "CreateIdentityPool", json.dumps(name))[2]).get("__type") for _ in range(1000)]
        tally.expect("an account has a thousand pools", (codes[:990], codes[-1]), ([None] * 990, "LimitExceededException"))
        check(emulator, "CreateIdentityPool", name, "LimitExceededException")

    with Emulator(program, "--quota", "0.001", "--burst", "1") as emulator:
        for operation in SERVED:
            send(emulator, operation, json.dumps(valid[operation]))
            check(emulator, operation, valid[operation], "TooManyRequestsException", "above the quota")
    with Emulator(program, "--when-not-linked", "not-authorized") as emulator:
        check(emulator, "UnlinkDeveloperIdentity", linked, None)
        check(emulator, "UnlinkDeveloperIdentity", linked, "NotAuthorizedException", "again")
    judge_undocumented(tally, program, check)
    for kind, code in [
        ("internal-error", "InternalErrorException"),
        ("access-denied", "AccessDeniedException"),
        ("expired-token", "ExpiredTokenException"),
        ("bad-signature", "InvalidSignatureException"),
        ("throttle", "TooManyRequestsException"),
    ]:
        with Emulator(program, "--fault", f"{kind}=100%") as emulator:
            check(emulator, "UnlinkDeveloperIdentity", linked, code, f"with {kind}")


def judge_undocumented(tally, program, check):
    """Checks the answers that depend on options: to an unknown user, and about a disabled identity."""
    pool = {"IdentityPoolId": POOL}
    linked = {**pool, "IdentityId": IDENTITY, "Logins": {PROVIDER: "user"}}
    unlink = {**VALID["UnlinkDeveloperIdentity"], "DeveloperUserIdentifier": "user"}
    denied, missing = "NotAuthorizedException", "ResourceNotFoundException"
    for options, unknown, looked_up, relinked in [
        ([], denied, denied, None),
        (["--when-unknown-user", "resource-not-found", "--when-disabled-lookup", "empty"], missing, None, None),
        (["--when-unknown-user", "empty", "--when-disabled", "refused"], None, denied, denied),
    ]:
        with Emulator(program, "--guest", f"{POOL}={IDENTITY}", *options) as emulator:
            what = " ".join(options) or "by default"
            check(emulator, "GetOpenIdTokenForDeveloperIdentity", linked, None, what)
            check(emulator, "UnlinkDeveloperIdentity", unlink, None, what)
            of_user = {**pool, "DeveloperUserIdentifier": "user"}
            check(emulator, "LookupDeveloperIdentity", of_user, unknown, f"of an unknown user {what}")
            of_identity = {**pool, "IdentityId": IDENTITY}
            check(emulator, "LookupDeveloperIdentity", of_identity, looked_up, f"of a disabled identity {what}")
            check(emulator, "GetOpenIdTokenForDeveloperIdentity", linked, relinked, f"of a disabled identity {what}")
            described = check(emulator, "DescribeIdentity", {"IdentityId": IDENTITY}, None, what)
            tally.expect(f"logins {what}", described["Logins"], ["DISABLED"] if relinked else [PROVIDER])
    public = {PROVIDER: "user", "www.example.com": "token"}
    with Emulator(program, "--guest", f"{POOL}={IDENTITY}") as emulator:
        guest = check(emulator, "ListIdentities", VALID["ListIdentities"], None, "of guests")["Identities"][0]
        tally.expect("a guest has no logins", (guest["IdentityId"], "Logins" in guest), (IDENTITY, False))
        check(emulator, "GetOpenIdTokenForDeveloperIdentity", {**linked, "Logins": public}, None)
        check(emulator, "UnlinkDeveloperIdentity", unlink, None)
        check(emulator, "GetOpenIdTokenForDeveloperIdentity", linked, denied, "without a public login")
        check(emulator, "GetOpenIdTokenForDeveloperIdentity", {**linked, "Logins": public}, None, "with a public login")


def main():
    program, tally = sys.argv[1], Tally("shapes")
    with Emulator(program) as emulator:
        judge_parameters(tally, emulator)
    judge_replies(tally, program)
    tally.end()


if __name__ == "__main__":
    main()
