"""Holds `resolve` and `verify` to what boto3 sees of the same service.

    python tests/judges/lookups.py PROGRAM

PROGRAM is the cognito-unlink executable. Prints a line for each check that fails, and the numbers of checks at the end.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from judge import KEY, REGION, SECRET, Emulator, Tally, environment

POOL = f"{REGION}:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63"
PROVIDER = "login.example.com"
# Users of each identity: none to three pages.
SIZES = [1, 2, 59, 60, 61, 120, 121]


def identity(n):
    return f"{REGION}:00000000-0000-4000-8000-{n:012x}"


def user(n, nth):
    return f'acct-{n}-{nth}, "é" {chr(0x1F600)}'


class Service:
    """The service as boto3 sees it."""

    def __init__(self, url):
        retries = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        self.client = boto3.client("cognito-identity", endpoint_url=url, region_name=REGION, config=retries, **keys)

    def users_of(self, identity_id):
        """Returns the users of an identity, or the code of the refusal."""
        users, token = set(), {}
        while True:
            try:
                page = self.client.lookup_developer_identity(
                    IdentityPoolId=POOL, IdentityId=identity_id, MaxResults=60, **token
                )
            except ClientError as error:
                return error.response["Error"]["Code"]
            users.update(page["DeveloperUserIdentifierList"])
            if "NextToken" not in page:
                return users
            token = {"NextToken": page["NextToken"]}

    def identity_of(self, name):
        """Returns the identity of a user, or None."""
        try:
            found = self.client.lookup_developer_identity(IdentityPoolId=POOL, DeveloperUserIdentifier=name)
        except ClientError:
            return None
        return found.get("IdentityId")


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, names, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([names, *lines])


def judge(program, folder, tally):
    expect = tally.expect
    links = [(identity(n), user(n, nth)) for n, size in enumerate(SIZES) for nth in range(size)]
    all_fields = ["identity_id", "identity_pool_id", "developer_provider_name", "developer_user_identifier"]
    write(folder / "links.csv", all_fields, [(id, POOL, PROVIDER, name) for id, name in links])
    with Emulator(program, "--links", folder / "links.csv", "--when-unknown-user", "resource-not-found") as emulator:
        service = Service(emulator.url)

        def run(command, *arguments, code=0):
            words = [program, command, *arguments, "--endpoint-url", emulator.url, "--json", "--rate", "unlimited"]
            ran = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)
            expect(f"the exit code of {command} {arguments}: {ran.stderr}", ran.returncode, code)
            return json.loads(ran.stdout)

        # Users to identities.
        names = [name for _, name in links] + ["nobody", "nobody else"]
        write(folder / "users.csv", ["developer_user_identifier"], [(name,) for name in names])
        run("resolve", "users.csv", "--identity-pool-id", POOL, code=1)
        found = {row["developer_user_identifier"]: row["identity_id"] for row in rows(folder / "users.resolved.csv")}
        seen = {name: id for name in names if (id := service.identity_of(name))}
        expect("each user has the identity that boto3 sees", found, seen)
        rest = {row["developer_user_identifier"]: row["reason"] for row in rows(folder / "users.unresolved.csv")}
        expect("users without an identity are named", rest, dict.fromkeys(set(names) - set(seen), "no_such_user"))

        # Identities to users.
        ids = [identity(n) for n in range(len(SIZES) + 2)]
        write(folder / "ids.csv", ["identity_id"], [(id,) for id in ids])
        run("resolve", "ids.csv", "--identity-pool-id", POOL, "--max-users", "200", code=1)
        lines = rows(folder / "ids.resolved.csv")
        for id in ids:
            users = service.users_of(id)
            if isinstance(users, str):
                expect(f"{id} is not found", users, "ResourceNotFoundException")
            else:
                found = [row["developer_user_identifier"] for row in lines if row["identity_id"] == id]
                expect(f"{id} has the users that boto3 sees", sorted(found), sorted(users))

        # What was found is unlinked, and is gone; what boto3 links again is not.
        run("run", "users.resolved.csv")
        expect("boto3 finds nobody", [name for name in names if service.identity_of(name)], [])
        stated = run("verify", "users.resolved.results.csv", "--all")
        expect("all are gone", [stated["gone"], stated["of"], stated["at_most"]], [len(links), len(links), 0])
        back = service.client.get_open_id_token_for_developer_identity(
            IdentityPoolId=POOL, Logins={PROVIDER: links[0][1]}
        )
        stated = run("verify", "users.resolved.results.csv", "--all", "--out", "again.verified.csv", code=1)
        elsewhere = [row for row in rows(folder / "again.verified.csv") if row["outcome"] != "gone"]
        expect("one has signed in since", [row["outcome"] for row in elsewhere], ["linked_elsewhere"])
        expect("its identity is named", back["IdentityId"] in elsewhere[0]["error_message"], True)


def main():
    tally = Tally("lookups")
    with tempfile.TemporaryDirectory() as folder:
        judge(sys.argv[1], Path(folder), tally)
    tally.end()


if __name__ == "__main__":
    main()
