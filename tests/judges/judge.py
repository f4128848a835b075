"""What the judges in Python share: an emulator to judge, and a count of what held."""

import os
import subprocess
import sys

KEY, SECRET = "AKIDJUDGE", "judge/secret+key"
REGION = "us-east-1"
ACCOUNT = "210987654321"


class Emulator:
    """An emulator as a process of its own, until the block ends. It verifies signatures."""

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


class Verdict:
    """Counts what held, and tells what did not."""

    def __init__(self, judge):
        self.judge, self.passed, self.failed = judge, 0, 0

    def holds(self, what, told, expected):
        if told == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{self.judge}: {what}: expected {expected!r}, but {told!r}")
        return told == expected

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def environment(key=KEY, secret=SECRET):
    """Nothing of the machine's AWS settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
