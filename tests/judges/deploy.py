"""Lints samples/deploy and the workflows of .github, and packs a release.

    python tests/judges/deploy.py [PROGRAM]

PROGRAM is the path of cognito-unlink, for the archive of a release. The linters are those of this interpreter's environment
(tests/judges/requirements.txt). Each has to find nothing in a file as it is, and something in a copy that is broken on purpose:
otherwise it has not looked. Ends with `N passed, N failed`, and exit code 1 if any check failed. Needs no network.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import yaml
from judge import Tally

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "samples/deploy"
WORKFLOWS = ROOT / ".github/workflows"
TOOLS = pathlib.Path(sys.executable).parent
# The version that the Job's manual asks for.
KUBERNETES = "1.33"

tally = Tally("deploy")


def run(directory, *command):
    """Runs a program of this interpreter's environment, which finds the others there. Returns its code and output."""
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]],
        cwd=directory,
        env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    return done.returncode, done.stdout


def as_template(policy):
    """Returns a policy as a CloudFormation template, which cfn-lint can check: trust policies name a principal."""
    document = json.loads(policy)
    trust = any("Principal" in statement for statement in document["Statement"])
    kind, name = ("Role", "AssumeRolePolicyDocument") if trust else ("ManagedPolicy", "PolicyDocument")
    resource = {"Type": f"AWS::IAM::{kind}", "Properties": {name: document}}
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": resource}}, indent=2)


def lint(path, command, breaks, code, said, prepare=str):
    """Checks that a linter passes a file, and that it finds what is broken: in place of one text, another.

    `code` is the linter's exit code for findings, and `said` stands in its output: a linter that cannot run finds nothing.
    """
    text = path.read_text(encoding="utf-8")
    broken = text.replace(*breaks, 1)
    name = path.relative_to(ROOT)
    if not tally.expect(f"{name} has {breaks[0]!r}", broken != text, True):
        return
    with tempfile.TemporaryDirectory() as directory:
        for content, expected in [(text, 0), (broken, code)]:
            copy = pathlib.Path(directory, path.name)
            copy.write_text(prepare(content), encoding="utf-8")
            found, output = run(directory, *command, copy.name)
            what = f"{command[0]} on {name}" + (" when broken" if expected else "")
            if not tally.expect(what, found, expected):
                print(output)
            elif expected:
                tally.expect(f"{what}: output", said in output, True)


def lint_all():
    lint(SAMPLES / "aws-batch.yaml", ["cfn-lint", "--"], ("OnExitCode:", "OnExit:"), 2, "E3002")
    for policy, breaks, code, said in [
        ("run.json", ("UnlinkDeveloperIdentity", "UnlinkDeveloperIdentities"), 4, "W3037"),
        ("merge.json", ("s3:GetObject", "s3:GetObjects"), 4, "W3037"),
        ("trust-eks.json", ("sts:AssumeRole", "sts:AssumeRoles"), 4, "W3037"),
    ]:
        lint(SAMPLES / "iam" / policy, ["cfn-lint", "--"], breaks, code, said, as_template)
    validate = ["kubernetes-validate", "--strict", "-k", KUBERNETES]
    lint(SAMPLES / "kubernetes.yaml", validate, ("backoffLimitPerIndex", "backoffLimitPerShard"), 1, "backoffLimitPerShard")
    hadolint = ["hadolint", "--no-color", "--failure-threshold", "style"]
    lint(SAMPLES / "Dockerfile", hadolint, ('["/usr/local/bin/cognito-unlink"]', "/usr/local/bin/cognito-unlink"), 1, "DL3025")
    for script, breaks in [
        (SAMPLES / "slurm.sh", ('"${SLURM_ARRAY_TASK_ID:?start this with sbatch}/$shards"', "${SLURM_ARRAY_TASK_ID}/$shards")),
        (ROOT / ".ci/archive", ('mkdir -p "$folder/$name/man"', "mkdir -p $folder/$name/man")),
        (ROOT / ".ci/run", ('mkdir -p "$judges"', "mkdir -p $judges")),
    ]:
        lint(script, ["shellcheck"], breaks, 1, "SC2086")
    # Of zizmor's findings below `medium` one asks for another spelling of a path in this repository.
    zizmor = ["zizmor", "--offline", "--no-progress", "--min-severity", "medium"]
    lint(WORKFLOWS / "test.yml", ["actionlint", "-no-color"], ("runs-on:", "runs-in:"), 1, "runs-in")
    lint(WORKFLOWS / "test.yml", zizmor, ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7"), 14, "unpinned-uses")
    lint(WORKFLOWS / "release.yml", ["actionlint", "-no-color"], ("matrix.runner", "matrix.machine"), 1, "machine")
    lint(WORKFLOWS / "release.yml", zizmor, ('"$GITHUB_REF_NAME"', '"${{ github.ref_name }}"'), 14, "template-injection")


class Template(yaml.SafeLoader):
    """Reads a CloudFormation template: `!Ref NAME` and `!Sub TEXT` as the placeholders that the other files have."""


VALUES = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "IdentityPoolId": "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63",
    "InputBucket": "amzn-s3-demo-bucket",
    "InputKey": "purge/people.csv.gz",
    "ResultsBucket": "amzn-s3-demo-bucket",
    "ResultsPrefix": "purge/results",
    "Rate": "10",
}


def value(name):
    return VALUES.get(name, name)


Template.add_constructor("!Ref", lambda _, node: value(node.value))
Template.add_constructor("!Sub", lambda _, node: re.sub(r"\$\{(.*?)\}", lambda name: value(name[1]), node.value))
Template.add_constructor("!GetAtt", lambda _, node: node.value)


def compare():
    """Compares what stands in several files."""
    resources = yaml.load((SAMPLES / "aws-batch.yaml").read_text(encoding="utf-8"), Template)["Resources"]
    _, manifest = yaml.safe_load_all((SAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    slurm = (SAMPLES / "slurm.sh").read_text(encoding="utf-8")

    role = resources["JobRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    tally.expect("the job's role", role, json.loads((SAMPLES / "iam/run.json").read_text(encoding="utf-8")))

    # The exit codes after which a shard is started again.
    again = [6, 137, 143]
    properties = resources["JobDefinition"]["Properties"]
    rules = properties["RetryStrategy"]["EvaluateOnExit"]
    codes = sorted(int(rule["OnExitCode"]) for rule in rules if "OnExitCode" in rule and rule["Action"] == "RETRY")
    tally.expect("Batch retries", codes, again)
    tally.expect("Batch ends otherwise", rules[-1], {"Action": "EXIT", "OnReason": "*"})
    tally.expect("Batch allows five rules", len(rules), 5)
    policy = {rule["action"]: rule.get("onExitCodes", {}).get("values") for rule in manifest["spec"]["podFailurePolicy"]["rules"]}
    tally.expect("Kubernetes", policy, {"Ignore": None, "FailIndex": [1, 2, 3, 4, 5], "Count": again})
    requeued = re.search(r"RequeueExit=([\d,]+)", slurm)[1]
    tally.expect("Slurm requeues", [int(code) for code in requeued.split(",")], again)

    # Shards, counted the same way wherever their number stands.
    shards = manifest["spec"]["completions"]
    arguments = manifest["spec"]["template"]["spec"]["containers"][0]["args"]
    tally.expect("shards in --shard", arguments[arguments.index("--shard") + 1], f"$(JOB_COMPLETION_INDEX)/{shards}")
    tally.expect("shards of Slurm", f"--array=0-{shards - 1}\n" in slurm and f"\nshards={shards}\n" in slurm, True)

    # The same command on both, up to the shard.
    command = properties["ContainerProperties"]["Command"]
    for words in (command, arguments):
        words[words.index("--shard") + 1] = "K/N"
    tally.expect("the command of Batch", command, arguments)


def pack(program):
    """Packs a release and looks into it."""
    name = "cognito-unlink-v0-x86_64-linux"
    with tempfile.TemporaryDirectory() as directory:
        code, output = run(directory, ROOT / ".ci/archive", program, name)
        if not tally.expect("the archive's exit code", code, 0):
            print(output)
            return
        with tarfile.open(f"{directory}/{name}.tar.gz") as archive:
            files = {member.name.removeprefix(f"{name}/"): member.size for member in archive if member.isfile()}
    for file in ["cognito-unlink", "LICENSE", "README.md", "man/cognito-unlink.1"]:
        tally.expect(f"{file} in the archive", files.get(file, 0) > 0, True)
    for file in ["cognito-unlink.bash", "_cognito-unlink", "cognito-unlink.fish"]:
        tally.expect(f"{file} in the archive", files.get(f"completions/{file}", 0) > 0, True)
    pages = {page.stem for page in (ROOT / "src/cli/manual").glob("*.md")} - {"program"}
    missing = [page for page in sorted(pages) if not files.get(f"man/cognito-unlink-{page}.1")]
    tally.expect("commands without a man page", missing, [])


lint_all()
compare()
pack(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/cognito-unlink").resolve())
tally.end()
