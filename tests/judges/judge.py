"""Shared by the judges in Python: starts an emulator, and counts checks."""

import os
import subprocess
import sys

KEY, SECRET = "AKIDJUDGE", "judge/secret+key"
REGION = "us-east-1"
ACCOUNT = "210987654321"


class Emulator:
    """Runs an emulator that verifies signatures, until the block ends."""

    def __init__(self, program, *options):
        self.command = [program, "emulator", "--access-key", f"{KEY}:{SECRET}", "--account", ACCOUNT, *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            sys.exit(f"the emulator does not start: {self.command}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Tally:
    """Counts checks, and prints those that fail."""

    def __init__(self, judge):
        self.judge, self.passed, self.failed = judge, 0, 0

    def expect(self, what, actual, expected):
        if actual == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{self.judge}: {what}: expected {expected!r}, got {actual!r}")
        return actual == expected

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def environment(key=KEY, secret=SECRET):
    """Returns the environment with AWS settings of our own instead of the machine's."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **others,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
