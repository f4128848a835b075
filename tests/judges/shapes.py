"""Holds whatever the emulator answers against botocore's service model and response parser.

    python tests/judges/shapes.py PROGRAM

PROGRAM is the cognito-unlink executable. A line for what does not hold, and a last one that counts.
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

from judge import KEY, REGION, SECRET, Emulator, Verdict

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
# Errors of every operation of every service: they are in no model.
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

# What each operation is asked with when nothing is to be wrong.
GOOD = {
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


def ask(emulator, operation, body, signed=True):
    """Sends a body as it is; gives status, headers and body."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AWSCognitoIdentityService.{operation}"}
    request = AWSRequest("POST", emulator.url + "/", data=body, headers=headers)
    if signed:
        SigV4Auth(Credentials(KEY, SECRET), "cognito-identity", REGION).add_auth(request)
    connection = http.client.HTTPConnection(urlparse(emulator.url).netloc, timeout=30)
    connection.request("POST", "/", body, dict(request.headers.items()))
    answer = connection.getresponse()
    told = answer.status, HeadersDict(answer.getheaders()), answer.read()
    connection.close()
    return told


def misfits(shape, value, at=""):
    """Where the value is not of the shape."""
    if not TYPES[shape.type_name](value):
        return [f"{at} is no {shape.type_name}: {value!r}"]
    wrong = []
    if shape.type_name == "structure":
        wrong += [f"{at}.{name} is not modelled" for name in value.keys() - shape.members.keys()]
        wrong += [f"{at}.{name} is required" for name in set(shape.required_members) - value.keys()]
        for name in value.keys() & shape.members.keys():
            wrong += misfits(shape.members[name], value[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for nth, item in enumerate(value):
            wrong += misfits(shape.member, item, f"{at}[{nth}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            wrong += misfits(shape.key, key, f"{at} key") + misfits(shape.value, item, f"{at}[{key!r}]")
    elif shape.type_name == "string":
        rules = shape.metadata
        if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
            wrong.append(f"{at} has {len(value)} characters")
        if "pattern" in rules and not re.fullmatch(rules["pattern"], value, re.ASCII):
            wrong.append(f"{at} does not match {rules['pattern']}: {value!r}")
        if getattr(shape, "enum", None) and value not in shape.enum:
            wrong.append(f"{at} is none of {shape.enum}: {value!r}")
    return wrong


def code_of(verdict, what, operation, told):
    """Judges an answer, success or error; gives the error's code, or nothing."""
    status, headers, body = told
    request_id = headers.get("x-amzn-RequestId", "")
    verdict.holds(f"{what}: request id", bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)), True)
    verdict.holds(f"{what}: content type", headers.get("content-type"), "application/x-amz-json-1.1")
    shape = MODEL.operation_model(operation).output_shape if operation in SERVED else None
    received = {"status_code": status, "headers": headers, "body": body}
    parsed = parsers.create_parser("json").parse(received, shape)
    verdict.holds(f"{what}: parsed request id", parsed["ResponseMetadata"].get("RequestId"), request_id)
    if status == 200:
        if shape is None:
            verdict.holds(f"{what}: no output, no body", body, b"")
        else:
            verdict.holds(f"{what}: shape", misfits(shape, json.loads(body)), [])
            dates = {name: member for name, member in shape.members.items() if member.type_name == "timestamp"}
            verdict.holds(f"{what}: dates", all(isinstance(parsed[name], datetime) for name in dates), True)
        return None
    error = json.loads(body)
    code = error["__type"]
    verdict.holds(f"{what}: header", headers.get("x-amzn-ErrorType"), f"{code}:")
    verdict.holds(f"{what}: parsed code", parsed["Error"]["Code"], code)
    verdict.holds(f"{what}: parsed message", parsed["Error"]["Message"], error.get("message", ""))
    verdict.holds(f"{what}: members", error.keys() <= {"__type", "message"}, True)
    if operation in SERVED:
        modelled = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
        verdict.holds(f"{what}: {code} is modelled", code in modelled | COMMON, True)
    verdict.holds(f"{what}: status", status, 500 if code == "InternalErrorException" else 400)
    return code


def changed(parameters, path, value):
    """The parameters with another value at the path."""
    if not path:
        return value
    copy = list(parameters) if isinstance(parameters, list) else dict(parameters)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def text(shape, length):
    """A text of this length that the shape's pattern takes."""
    pattern = shape.metadata.get("pattern", "")
    return "r:" + "0" * (length - 2) if ":[0-9a-f-]" in pattern and length > 2 else "0" * length


def variations(shape, value, path=()):
    """Paths to values, what to put there, and what is then to be said: nothing, a constraint, or that it is no such type."""
    no_type = {"string": 1, "boolean": "true", "integer": "1", "long": "1", "list": {}, "map": [], "structure": []}
    if path:
        yield path, no_type[shape.type_name], "SerializationException"
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


def judge_parameters(verdict, emulator):
    """Every rule of the service model, at its edges."""
    for operation in SERVED:
        shape = MODEL.operation_model(operation).input_shape
        good = GOOD[operation]
        verdict.holds(f"{operation}: all of its parameters are tried", shape.members.keys() - good.keys() <= {
            "NextToken", "DeveloperUserIdentifier",
        }, True)
        for path, value, expected in variations(shape, good):
            told = ask(emulator, operation, json.dumps(changed(good, path, value)))
            what = f"{operation} with {'.'.join(map(str, path))} = {value!r:.60}"
            code = code_of(verdict, what, operation, told)
            message = json.loads(told[2] or b"{}").get("message", "")
            if expected is None:
                verdict.holds(f"{what}: within its rule", "validation error" in message or code == "SerializationException", False)
            elif expected == "SerializationException":
                verdict.holds(f"{what}: another type", code, expected)
            else:
                verdict.holds(f"{what}: code", code, "InvalidParameterException")
                verdict.holds(f"{what}: {expected} in {message!r:.200}", expected in message, True)


def judge_answers(verdict, program):
    """A success of every operation, and every error that it may give."""

    def tell(emulator, operation, parameters, expected, what=""):
        told = ask(emulator, operation, json.dumps(parameters))
        code = code_of(verdict, f"{operation} {what}", operation, told)
        verdict.holds(f"{operation} {what}: outcome", code, expected)
        return json.loads(told[2] or b"{}")

    good = GOOD
    missing, conflict, invalid = "ResourceNotFoundException", "ResourceConflictException", "InvalidParameterException"
    with Emulator(program) as emulator:
        for user in ["user", "second", "third"]:
            token = {**good["GetOpenIdTokenForDeveloperIdentity"], "Logins": {PROVIDER: user}}
            tell(emulator, "GetOpenIdTokenForDeveloperIdentity", token, None)
        alone = {"IdentityPoolId": POOL, "Logins": {PROVIDER: "merged"}}
        fresh = tell(emulator, "GetOpenIdTokenForDeveloperIdentity", alone, None, "without an identity")["IdentityId"]
        for operation in ["ListIdentities", "LookupDeveloperIdentity"]:
            page = tell(emulator, operation, good[operation], None, "first page")
            verdict.holds(f"{operation}: there is more", "NextToken" in page, True)
            more = {**good[operation], "NextToken": page["NextToken"]}
            tell(emulator, operation, more, None, "next page")
            tell(emulator, operation, {**more, "NextToken": page["NextToken"][:-2]}, invalid, "with half a token")
        registered = {**alone, "IdentityId": IDENTITY}
        tell(emulator, "GetOpenIdTokenForDeveloperIdentity", registered, "DeveloperUserAlreadyRegisteredException")
        pair = {"IdentityPoolId": POOL, "IdentityId": IDENTITY, "DeveloperUserIdentifier": "merged"}
        tell(emulator, "LookupDeveloperIdentity", pair, conflict)
        tell(emulator, "LookupDeveloperIdentity", {"IdentityPoolId": POOL}, invalid, "of nothing")
        tell(emulator, "MergeDeveloperIdentities", good["MergeDeveloperIdentities"], None)
        tell(emulator, "MergeDeveloperIdentities", good["MergeDeveloperIdentities"], invalid, "again")
        tell(emulator, "DescribeIdentity", {"IdentityId": fresh}, missing, "of what was merged")
        linked = {**good["UnlinkDeveloperIdentity"], "DeveloperUserIdentifier": "user"}
        tell(emulator, "UnlinkDeveloperIdentity", linked, None)
        tell(emulator, "UnlinkDeveloperIdentity", linked, missing, "again")
        tell(emulator, "UnlinkDeveloperIdentity", {**linked, "DeveloperProviderName": "q"}, invalid, "of another provider")
        tell(emulator, "MergeDeveloperIdentities", good["MergeDeveloperIdentities"], missing, "of nobody")
        for operation in ["CreateIdentityPool", "DeleteIdentities", "DescribeIdentity", "DescribeIdentityPool"]:
            tell(emulator, operation, good[operation], None)
        deleted = tell(emulator, "DeleteIdentities", {"IdentityIdsToDelete": [IDENTITY]}, None)
        verdict.holds("all is deleted", deleted, {"UnprocessedIdentityIds": []})
        tell(emulator, "LookupDeveloperIdentity", good["LookupDeveloperIdentity"], missing, "of what was deleted")
        tell(emulator, "GetOpenIdTokenForDeveloperIdentity", good["GetOpenIdTokenForDeveloperIdentity"], missing, "to what was deleted")

        for operation in ["ListIdentityPools", "GetId", "NoSuchThing", ""]:
            for signed in [True, False]:
                told = ask(emulator, operation, "{}", signed)
                code = code_of(verdict, f"{operation!r}", operation, told)
                verdict.holds(f"{operation!r} is unknown", code, "UnknownOperationException")
        for operation in SERVED:
            told = ask(emulator, operation, json.dumps(good[operation]), signed=False)
            code = code_of(verdict, f"{operation} unsigned", operation, told)
            verdict.holds(f"{operation} unsigned", code, "MissingAuthenticationTokenException")
            for body in ["{", "[]", "1", '{"IdentityPoolId":}', "\u00ff"]:
                told = ask(emulator, operation, body.encode("latin-1"))
                code = code_of(verdict, f"{operation} of {body!r}", operation, told)
                verdict.holds(f"{operation} of {body!r}", code, "SerializationException")
        name = {"IdentityPoolName": "n", "AllowUnauthenticatedIdentities": False}
        codes = [json.loads(ask(emulator, "CreateIdentityPool", json.dumps(name))[2]).get("__type") for _ in range(1000)]
        verdict.holds("an account has a thousand pools", (codes[:990], codes[-1]), ([None] * 990, "LimitExceededException"))
        tell(emulator, "CreateIdentityPool", name, "LimitExceededException")

    with Emulator(program, "--quota", "0.001", "--burst", "1") as emulator:
        for operation in SERVED:
            ask(emulator, operation, json.dumps(good[operation]))
            tell(emulator, operation, good[operation], "TooManyRequestsException", "above the quota")
    with Emulator(program, "--when-not-linked", "not-authorized") as emulator:
        tell(emulator, "UnlinkDeveloperIdentity", linked, None)
        tell(emulator, "UnlinkDeveloperIdentity", linked, "NotAuthorizedException", "again")
    for kind, code in [
        ("internal-error", "InternalErrorException"),
        ("access-denied", "AccessDeniedException"),
        ("expired-token", "ExpiredTokenException"),
        ("bad-signature", "InvalidSignatureException"),
        ("throttle", "TooManyRequestsException"),
    ]:
        with Emulator(program, "--fault", f"{kind}=100%") as emulator:
            tell(emulator, "UnlinkDeveloperIdentity", linked, code, f"with {kind}")


def main():
    program, verdict = sys.argv[1], Verdict("shapes")
    with Emulator(program) as emulator:
        judge_parameters(verdict, emulator)
    judge_answers(verdict, program)
    verdict.end()


if __name__ == "__main__":
    main()
