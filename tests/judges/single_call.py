"""Checks that the AWS CLI in this interpreter's environment behaves as tests/single_call.toml says.

    python tests/judges/single_call.py [PROGRAM]

Prints every case that differs, and ends with `N passed, N failed`, and exit code 1 if any case failed. Checks PROGRAM, the path
of cognito-unlink, against the table as well, as `cargo test` does. Needs Python 3.11 and the package awscli.
"""

import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor

TESTS = pathlib.Path(__file__).resolve().parent.parent
TLS = TESTS / "tls"
TABLE = tomllib.loads((TESTS / "single_call.toml").read_text(encoding="utf-8"))
LINK = TABLE["link"]
OPTIONS = {
    "IdentityId": "--identity-id",
    "IdentityPoolId": "--identity-pool-id",
    "DeveloperProviderName": "--developer-provider-name",
    "DeveloperUserIdentifier": "--developer-user-identifier",
}
TARGET = "AWSCognitoIdentityService.UnlinkDeveloperIdentity"
# Seconds until a process is taken for stuck. Retries take half a minute at most.
PATIENCE = 120


class Service(http.server.ThreadingHTTPServer):
    """Replies as a case says, and keeps the requests."""

    daemon_threads = True

    def __init__(self, case):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = case.get("answers", [{"status": 200}])
        self.requests = []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.context = None
        if case.get("tls"):
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(TLS / "server.pem", TLS / "server-key.pem")

    @property
    def url(self):
        scheme = "https" if self.context else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        """Prints nothing: a client that hangs up or does not trust the certificate is expected."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        service = self.server
        with service.lock:
            at = min(len(service.requests), len(service.replies) - 1)
            service.requests.append((self.command, self.path, headers, body))
        reply = service.replies[at]
        self.close_connection = True
        if reply.get("hang"):
            service.over.wait()
            return
        if reply.get("close"):
            return
        text = reply.get("body", "")
        if "code" in reply:
            text = json.dumps({"__type": reply["code"], "message": reply["message"]})
        self.send_response(reply["status"])
        for name, value in reply.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("x-amzn-RequestId", "00000000-0000-4000-8000-000000000001")
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text.encode())))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = reply

    def log_message(self, *args):
        pass


SKELETON = json.dumps(dict.fromkeys(OPTIONS, ""), indent=4) + "\n"


def run(case, program):
    """Runs a case, and returns the differences."""
    service = Service(case)
    serve = threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True)
    serve.start()
    # The socket keeps its port from others, and does not listen.
    with tempfile.TemporaryDirectory() as directory, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        values = {
            "{dir}": directory,
            "{endpoint}": service.url,
            "{endpoint as https}": service.url.replace("http:", "https:"),
            "{nobody}": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "{authority}": str(TLS / "authority.pem"),
            "{json}": json.dumps(LINK, ensure_ascii=False),
            "{skeleton}": SKELETON,
        }

        def filled(text):
            for name, value in values.items():
                text = text.replace(name, value)
            return text

        arguments = []
        for argument in case["args"]:
            if argument == "{link}":
                arguments += [part for key in LINK for part in (OPTIONS[key], LINK[key])]
            elif argument == "{at}":
                arguments += ["--endpoint-url", service.url]
            else:
                arguments.append(filled(argument))
        files = {name: filled(text).encode() for name, text in case.get("files", {}).items()}
        files |= {name: bytes.fromhex(text) for name, text in case.get("hex", {}).items()}
        for name, content in files.items():
            path = pathlib.Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": directory,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        env |= {name: filled(value) for name, value in case.get("env", {}).items()}
        for name in case.get("unset", []):
            del env[name]
        ran = subprocess.run(
            program + arguments,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        service.over.set()
        service.shutdown()
        service.server_close()
        return differences(case, ran, service.requests, filled)


def differences(case, ran, requests, filled):
    """Returns how the outcome of a case differs from the table."""
    found = []

    def expect(what, is_so, got):
        if not is_so:
            found.append(f"expected {what}, got {got!r}")

    exit_code = case.get("exit", 0)
    stdout, stderr = (text.decode(errors="replace") for text in (ran.stdout, ran.stderr))
    expect(f"exit code {exit_code}", ran.returncode == exit_code, (ran.returncode, stderr[-300:]))
    if "stdout_has" in case:
        for part in case["stdout_has"]:
            expect(f"{part!r} in the output", part in stdout, stdout[:200])
    else:
        expected = filled(case.get("stdout", ""))
        expect(f"the output {expected!r}", stdout == expected, stdout[:200])
    for part in map(filled, case.get("stderr", [])):
        expect(f"{part!r} on standard error", part in stderr, stderr[-600:])
    for part in case.get("not_stderr", []):
        expect(f"no {part!r} on standard error", part not in stderr, stderr[-600:])
    number = case.get("requests", 1 if exit_code == 0 else 0)
    expect(f"{number} requests", len(requests) == number, len(requests))
    if number == 0 or len(requests) != number:
        return found
    method, path, headers, body = requests[-1]
    expect("POST", method == "POST", method)
    expect("the path", path == case.get("path", "/"), path)
    expect("the operation", headers.get("x-amz-target") == TARGET, headers.get("x-amz-target"))
    content_type = headers.get("content-type")
    expect("the protocol", content_type == "application/x-amz-json-1.1", content_type)
    if not case.get("any_body"):
        expected = LINK | case.get("body", {})
        expect(f"the body {expected}", json.loads(body) == expected, body)
    for name, parts in case.get("headers", {}).items():
        for part in [parts] if isinstance(parts, str) else parts:
            expect(f"{part!r} in {name}", part in headers.get(name, ""), headers.get(name))
    for name in case.get("absent", []):
        expect(f"no {name}", name not in headers, headers.get(name))
    return found


def main():
    aws = [sys.executable, "-m", "awscli", "cognito-identity", "unlink-developer-identity"]
    programs = [("aws", aws, lambda case: case)]
    if len(sys.argv) > 1:
        ours = [str(pathlib.Path(sys.argv[1]).resolve()), "unlink-developer-identity"]
        programs.append(("cognito-unlink", ours, lambda case: case | case.get("ours", {})))
    todo = [
        (name, case["name"], as_expected(case), program)
        for case in TABLE["case"]
        for name, program, as_expected in programs
    ]
    passed = failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, title, _, _), found in zip(todo, pool.map(lambda one: run(*one[2:]), todo)):
            if found:
                failed += 1
                print(f"{name}: {title}: {'; '.join(found)}", flush=True)
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
