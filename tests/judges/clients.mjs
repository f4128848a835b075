// Uses the emulator through the AWS SDK for JavaScript as that uses Amazon Cognito.
//
//     node tests/judges/clients.mjs PROGRAM
//
// PROGRAM is the cognito-unlink executable. The SDK is taken from the current directory's node_modules. Prints a line for
// each check that fails, and the numbers of checks at the end.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";

const sdk = createRequire(`${process.cwd()}/`)("@aws-sdk/client-cognito-identity");

const KEY = "AKIDJUDGE";
const SECRET = "judge/secret+key";
const REGION = "us-east-1";
const PROVIDER = "login.example.com";
const HOUR = 3_600_000;

let passed = 0;
let failed = 0;

function expect(what, actual, expected) {
  if (isDeepStrictEqual(actual, expected)) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`javascript: ${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

const emulator = spawn(process.argv[2], ["emulator", "--access-key", `${KEY}:${SECRET}`], {
  stdio: ["ignore", "pipe", "ignore"],
});
const [url] = await new Promise((resolve) => createInterface(emulator.stdout).once("line", (line) => resolve([line])));

function client(more = {}) {
  return new sdk.CognitoIdentityClient({
    endpoint: url,
    region: REGION,
    credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
    maxAttempts: 1,
    ...more,
  });
}

const ordinary = client();

async function call(operation, parameters, through = ordinary) {
  const { $metadata, ...answer } = await through.send(new sdk[`${operation}Command`](parameters));
  expect(`${operation} has a request id`, /^[0-9a-f-]{36}$/.test($metadata.requestId), true);
  return answer;
}

async function refused(what, code, operation, parameters, through = ordinary) {
  let actual;
  try {
    actual = await call(operation, parameters, through);
  } catch (error) {
    actual = error.name;
  }
  expect(what, actual, code);
}

async function judge() {
  const created = await call("CreateIdentityPool", {
    IdentityPoolName: "judged by a client",
    AllowUnauthenticatedIdentities: false,
    DeveloperProviderName: PROVIDER,
  });
  const pool = created.IdentityPoolId;
  expect("a pool is described as it was created", await call("DescribeIdentityPool", { IdentityPoolId: pool }), created);

  const link = async (user, identity) => {
    const parameters = { IdentityPoolId: pool, IdentityId: identity, Logins: { [PROVIDER]: user } };
    return (await call("GetOpenIdTokenForDeveloperIdentity", parameters)).IdentityId;
  };
  const first = await link("user-1");
  const users = ["user-1", "user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""];
  for (const user of users.slice(1)) {
    expect("a user is linked to the identity", await link(user, first), first);
  }
  const other = await link("other");
  await refused(
    "a user cannot be linked to a second identity",
    "DeveloperUserAlreadyRegisteredException",
    "GetOpenIdTokenForDeveloperIdentity",
    { IdentityPoolId: pool, IdentityId: first, Logins: { [PROVIDER]: "other" } },
  );

  const found = [];
  const lengths = [];
  let NextToken;
  do {
    const parameters = { IdentityPoolId: pool, IdentityId: first, MaxResults: 2, NextToken };
    const page = await call("LookupDeveloperIdentity", parameters);
    found.push(...page.DeveloperUserIdentifierList);
    lengths.push(page.DeveloperUserIdentifierList.length);
    NextToken = page.NextToken;
  } while (NextToken);
  expect("all pages but the last are full", lengths, [2, 2, 1]);
  expect("every user is on one page", found.sort(), users.sort());
  const listed = await call("ListIdentities", { IdentityPoolId: pool, MaxResults: 60 });
  expect("the identities are listed", listed.Identities.map((each) => each.IdentityId).sort(), [first, other].sort());
  const described = await call("DescribeIdentity", { IdentityId: first });
  expect("logins are listed by provider", described.Logins, [PROVIDER]);
  expect("dates are returned as dates", [described.CreationDate, described.LastModifiedDate].every((date) => date instanceof Date), true);

  const linkOf = (user, changed = {}) => ({
    IdentityId: first,
    IdentityPoolId: pool,
    DeveloperProviderName: PROVIDER,
    DeveloperUserIdentifier: user,
    ...changed,
  });
  const missing = "ResourceNotFoundException";
  const invalid = "InvalidParameterException";
  expect("an unlink returns an empty output", await call("UnlinkDeveloperIdentity", linkOf("user-1")), {});
  await refused("a second unlink finds no link", missing, "UnlinkDeveloperIdentity", linkOf("user-1"));
  const pair = { IdentityPoolId: pool, DeveloperUserIdentifier: "user-1" };
  await refused("an unlinked user is not found", "NotAuthorizedException", "LookupDeveloperIdentity", pair);
  await refused("the user is not linked to the identity", "ResourceConflictException", "LookupDeveloperIdentity", { ...pair, IdentityId: first });
  await refused("another provider than the pool's", invalid, "UnlinkDeveloperIdentity", linkOf("user-2", { DeveloperProviderName: "q" }));
  await refused("a value that breaks the service model", invalid, "UnlinkDeveloperIdentity", linkOf("user-2", { IdentityId: "x" }));

  const merged = await call("MergeDeveloperIdentities", {
    SourceUserIdentifier: "other",
    DestinationUserIdentifier: "user-2",
    DeveloperProviderName: PROVIDER,
    IdentityPoolId: pool,
  });
  expect("a merge keeps the destination's identity", merged, { IdentityId: first });
  const disabled = await call("DescribeIdentity", { IdentityId: other });
  expect("a merge disables the source's identity", disabled.Logins, ["DISABLED"]);
  const foreign = "eu-west-1:00000000-0000-4000-8000-000000000000";
  const deleted = await call("DeleteIdentities", { IdentityIdsToDelete: [first, foreign] });
  expect("identities that cannot be deleted are returned", deleted, {
    UnprocessedIdentityIds: [{ IdentityId: foreign, ErrorCode: "AccessDenied" }],
  });
  await refused("a deleted identity is not found", missing, "DescribeIdentity", { IdentityId: first });
  await refused("an operation that is not served is unknown", "UnknownOperationException", "ListIdentityPools", { MaxResults: 1 });
  await refused("an unsigned operation that is not served is unknown", "UnknownOperationException", "GetId", { IdentityPoolId: pool });

  const describe = { IdentityPoolId: pool };
  const keys = (accessKeyId, secretAccessKey) => client({ credentials: { accessKeyId, secretAccessKey } });
  const signature = "InvalidSignatureException";
  await refused("a wrong secret", signature, "DescribeIdentityPool", describe, keys(KEY, "wrong"));
  await refused("an unknown key", "UnrecognizedClientException", "DescribeIdentityPool", describe, keys("AKIDOTHER", SECRET));
  for (const systemClockOffset of [-HOUR, HOUR]) {
    const skewed = client({ systemClockOffset });
    await refused("a clock that is an hour off", signature, "DescribeIdentityPool", describe, skewed);
    // The SDK corrects its clock by the refusal.
    expect("the corrected clock is accepted", await call("DescribeIdentityPool", describe, skewed), created);
  }
}

try {
  await judge();
} finally {
  emulator.kill();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
