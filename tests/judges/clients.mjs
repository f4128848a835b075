// The AWS SDK for JavaScript uses the emulator as it would use Amazon Cognito.
//
//     node tests/judges/clients.mjs PROGRAM
//
// PROGRAM is the cognito-unlink executable. The SDK is taken from the current directory's node_modules. A line for what
// does not hold, and a last one that counts.

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

function holds(what, told, expected) {
  if (isDeepStrictEqual(told, expected)) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`javascript: ${what}: expected ${JSON.stringify(expected)}, but ${JSON.stringify(told)}`);
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

const usual = client();

async function call(operation, parameters, through = usual) {
  const { $metadata, ...answer } = await through.send(new sdk[`${operation}Command`](parameters));
  holds(`${operation} has a request id`, /^[0-9a-f-]{36}$/.test($metadata.requestId), true);
  return answer;
}

async function refused(what, code, operation, parameters, through = usual) {
  let told;
  try {
    told = await call(operation, parameters, through);
  } catch (error) {
    told = error.name;
  }
  holds(what, told, code);
}

async function judge() {
  const made = await call("CreateIdentityPool", {
    IdentityPoolName: "judged by a client",
    AllowUnauthenticatedIdentities: false,
    DeveloperProviderName: PROVIDER,
  });
  const pool = made.IdentityPoolId;
  holds("the pool is described as made", await call("DescribeIdentityPool", { IdentityPoolId: pool }), made);

  const link = async (user, identity) => {
    const parameters = { IdentityPoolId: pool, IdentityId: identity, Logins: { [PROVIDER]: user } };
    return (await call("GetOpenIdTokenForDeveloperIdentity", parameters)).IdentityId;
  };
  const first = await link("user-1");
  const users = ["user-1", "user-2", "user-3", "user-4", "=Ünïcode 'quoted' \"user\""];
  for (const user of users.slice(1)) {
    holds("a user is linked to the identity", await link(user, first), first);
  }
  const other = await link("other");
  await refused(
    "a user is of one identity",
    "DeveloperUserAlreadyRegisteredException",
    "GetOpenIdTokenForDeveloperIdentity",
    { IdentityPoolId: pool, IdentityId: first, Logins: { [PROVIDER]: "other" } },
  );

  const found = [];
  const lengths = [];
  let NextToken;
  do {
    const asked = { IdentityPoolId: pool, IdentityId: first, MaxResults: 2, NextToken };
    const page = await call("LookupDeveloperIdentity", asked);
    found.push(...page.DeveloperUserIdentifierList);
    lengths.push(page.DeveloperUserIdentifierList.length);
    NextToken = page.NextToken;
  } while (NextToken);
  holds("pages are full but for the last", lengths, [2, 2, 1]);
  holds("every user is on one page", found.sort(), users.sort());
  const listed = await call("ListIdentities", { IdentityPoolId: pool, MaxResults: 60 });
  holds("the identities are listed", listed.Identities.map((each) => each.IdentityId).sort(), [first, other].sort());
  const described = await call("DescribeIdentity", { IdentityId: first });
  holds("logins are told by provider", described.Logins, [PROVIDER]);
  holds("dates are dates", [described.CreationDate, described.LastModifiedDate].every((date) => date instanceof Date), true);

  const parted = (user, changed = {}) => ({
    IdentityId: first,
    IdentityPoolId: pool,
    DeveloperProviderName: PROVIDER,
    DeveloperUserIdentifier: user,
    ...changed,
  });
  const missing = "ResourceNotFoundException";
  const invalid = "InvalidParameterException";
  holds("an unlink has nothing to say", await call("UnlinkDeveloperIdentity", parted("user-1")), {});
  await refused("unlinked is unlinked", missing, "UnlinkDeveloperIdentity", parted("user-1"));
  const pair = { IdentityPoolId: pool, DeveloperUserIdentifier: "user-1" };
  await refused("the user is not found", missing, "LookupDeveloperIdentity", pair);
  await refused("they are no pair", "ResourceConflictException", "LookupDeveloperIdentity", { ...pair, IdentityId: first });
  await refused("another provider", invalid, "UnlinkDeveloperIdentity", parted("user-2", { DeveloperProviderName: "q" }));
  await refused("a rule of the service model", invalid, "UnlinkDeveloperIdentity", parted("user-2", { IdentityId: "x" }));

  const merged = await call("MergeDeveloperIdentities", {
    SourceUserIdentifier: "other",
    DestinationUserIdentifier: "user-2",
    DeveloperProviderName: PROVIDER,
    IdentityPoolId: pool,
  });
  holds("the destination is kept", merged, { IdentityId: first });
  await refused("the source is gone", missing, "DescribeIdentity", { IdentityId: other });
  const foreign = "eu-west-1:00000000-0000-4000-8000-000000000000";
  const deleted = await call("DeleteIdentities", { IdentityIdsToDelete: [first, foreign] });
  holds("what could not be deleted is told", deleted, {
    UnprocessedIdentityIds: [{ IdentityId: foreign, ErrorCode: "AccessDenied" }],
  });
  await refused("the identity is gone", missing, "DescribeIdentity", { IdentityId: first });
  await refused("what is not served is unknown", "UnknownOperationException", "ListIdentityPools", { MaxResults: 1 });
  await refused("unsigned as well", "UnknownOperationException", "GetId", { IdentityPoolId: pool });

  const describe = { IdentityPoolId: pool };
  const keys = (accessKeyId, secretAccessKey) => client({ credentials: { accessKeyId, secretAccessKey } });
  const signature = "InvalidSignatureException";
  await refused("a wrong secret", signature, "DescribeIdentityPool", describe, keys(KEY, "wrong"));
  await refused("an unknown key", "UnrecognizedClientException", "DescribeIdentityPool", describe, keys("AKIDOTHER", SECRET));
  for (const systemClockOffset of [-HOUR, HOUR]) {
    const skewed = client({ systemClockOffset });
    await refused("a clock that is an hour off", signature, "DescribeIdentityPool", describe, skewed);
    // The SDK has learned the time from the refusal.
    holds("the clock is set by the answer", await call("DescribeIdentityPool", describe, skewed), made);
  }
}

try {
  await judge();
} finally {
  emulator.kill();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
