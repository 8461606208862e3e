"""Client certificates as credentials: made by openssl, bound, used by the command line and by Python, revoked.

Usage: certificate_test.py BIN_DIR [PYTHON]. PYTHON: an interpreter with grpcio, for the Python client's part (skipped without one).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from checks import Checks, Skip
from server import Server

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = "spiffe://example/airflow/prod"


def openssl(*args: str) -> str:
    """Run openssl; its standard output."""
    return subprocess.run(["openssl", *args], capture_output=True, text=True, check=True).stdout


class Authority:
    """Certificates in a folder: NAME.pem and NAME.key, signed by CA.pem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    def make(self, name: str, subject: str, ca: str = "", san: str = "DNS:localhost,IP:127.0.0.1") -> None:
        """A certificate that is valid for two days."""
        command = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", subject]
        command += ["-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem")]
        if ca:
            command += ["-CA", self.path(ca + ".pem"), "-CAkey", self.path(ca + ".key"), "-addext", f"subjectAltName={san}"]
            command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        openssl(*command)

    def expired(self, name: str, ca: str) -> None:
        """A certificate of the authority whose time is over."""
        database = self.folder / "index.txt"
        database.write_text("")
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nserial={self.folder}/serial\nnew_certs_dir={self.folder}\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout",
                self.path(name + ".key"), "-out", self.path(name + ".csr"))
        openssl("ca", "-batch", "-notext", "-config", self.path("ca.cnf"), "-cert", self.path(ca + ".pem"), "-keyfile", self.path(ca + ".key"),
                "-in", self.path(name + ".csr"), "-out", self.path(name + ".pem"), "-startdate", "20200101000000Z", "-enddate",
                "20200102000000Z")

    def path(self, name: str) -> str:
        """Of a file."""
        return str(self.folder / name)

    def fingerprint(self, name: str) -> str:
        """As openssl prints it."""
        return openssl("x509", "-in", self.path(name + ".pem"), "-noout", "-fingerprint", "-sha256").split("=")[1].strip()


class Caller:
    """The command line with a certificate, a key, both or none."""

    def __init__(self, server: Server, ca: Authority) -> None:
        self.server, self.ca = server, ca

    def run(self, *args: str, cert: str = "", key: str = "") -> tuple[int, Any, str]:
        """Exit code, JSON document, standard error."""
        command = [str(self.server.bin / "airlore"), "--server", self.server.grpc, "--json", "--ca", self.ca.path("ca.pem")]
        if cert:
            command += ["--cert", self.ca.path(cert + ".pem"), "--cert-key", self.ca.path(cert + ".key")]
        if key:
            command += ["--key", key]
        # nothing is found by itself: whoever calls is who was said
        env = dict(self.server.env, XDG_STATE_HOME=str(self.server.root / "nothing"))
        p = subprocess.run([*command, *args], capture_output=True, text=True, env=env, timeout=60)
        return p.returncode, json.loads(p.stdout) if p.stdout.strip() else {}, p.stderr

    def admin(self, *args: str) -> dict[str, Any]:
        """By the admin's key; must succeed. Every connection needs a certificate where those are required."""
        rc, doc, err = self.run(*args, cert="client", key=self.server.key)
        assert rc == 0, (args, doc, err)
        return doc


def refused(c: Checks, name: str, got: tuple[int, Any, str], reason: str) -> None:
    """The server refused with this reason."""
    c.that(name, got[0] == 5 and reason in got[2] + json.dumps(got[1]), got)


def bound_by_fingerprint(c: Checks, call: Caller) -> None:
    """One certificate; a call with a key as well counts as the key's."""
    refused(c, "a certificate that nobody bound is refused", call.run("whoami", cert="client"), "CERTIFICATE_UNKNOWN")
    made = call.admin("key", "create", "--team", "red", "--role", "contributor", "--certificate", call.ca.path("client.pem"))
    want = call.ca.fingerprint("client").replace(":", "").lower()
    c.that("no key is given, the fingerprint is openssl's", "key" not in made and made["certificate_sha256"] == want, made)
    rc, me, err = call.run("whoami", cert="client")
    c.that("the certificate is let in", rc == 0 and me["team"] == "red" and me["by_certificate"] is True and me["key"] == made["name"], (me, err))
    c.that("with its roles only", me.get("roles") == ["contributor"] and not me.get("server_admin"), me)
    rc, me, err = call.run("whoami", cert="client", key=call.server.key)
    c.that("with a key and a certificate the key counts", rc == 0 and me["team"] == "default" and not me.get("by_certificate"), (me, err))
    refused(c, "a bad key is not made good by a certificate", call.run("whoami", cert="client", key="al_" + "a" * 12 + "_" + "a" * 40), "KEY_INVALID")
    got = call.run("key", "create", "--certificate-sha256", call.ca.fingerprint("client"), cert="client", key=call.server.key)
    c.that("a certificate counts as one credential only", got[0] == 1 and "NAME_TAKEN" in got[2] + json.dumps(got[1]), got)
    rc, doc, err = call.run("key", "list", "--team", "red", cert="client", key=call.server.key)
    c.that("it is listed", any(k.get("certificate_sha256") == want for k in doc["keys"]), doc)
    rc, doc, err = call.run("search", "anything", cert="client")
    c.that("it can search", rc == 0, (doc, err))
    call.admin("key", "revoke", made["id"])
    refused(c, "revoked, it is refused", call.run("whoami", cert="client"), "KEY_REVOKED")
    again = call.admin("key", "create", "--team", "blue", "--certificate-sha256", call.ca.fingerprint("client"))
    rc, me, err = call.run("whoami", cert="client")
    c.that("it can be bound anew, by its fingerprint as openssl prints it", rc == 0 and me["team"] == "blue", (again, me, err))


def bound_by_subject(c: Checks, call: Caller) -> None:
    """Every certificate of the authority with the name."""
    made = call.admin("key", "create", "--team", "red", "--role", "reader", "--certificate-subject", SUBJECT)
    for name in ("first", "second"):
        rc, me, err = call.run("whoami", cert=name)
        c.that(f"the {name} certificate with the URI name is let in", rc == 0 and me["key"] == made["name"], (me, err))
    refused(c, "one with another name is not", call.run("whoami", cert="third"), "CERTIFICATE_UNKNOWN")
    call.admin("key", "create", "--team", "blue", "--certificate-subject", "worker-3")
    rc, me, err = call.run("whoami", cert="third")
    c.that("a common name counts, too", rc == 0 and me["team"] == "blue", (me, err))
    rc, doc, err = call.run("key", "create", "--certificate-subject", "x", "--certificate-sha256", "00" * 32, cert="client", key=call.server.key)
    c.that("a subject and a fingerprint conflict", "FIELDS_CONFLICT" in err + json.dumps(doc), (rc, doc, err))


def found_by_itself(c: Checks, call: Caller) -> None:
    """Who names a certificate does not mean the admin's key that the command line finds on this machine."""
    command = [str(call.server.bin / "airlore"), "--json", "--ca", call.ca.path("ca.pem")]
    command += ["--cert", call.ca.path("first.pem"), "--cert-key", call.ca.path("first.key")]
    p = subprocess.run([*command, "whoami"], capture_output=True, text=True, env=call.server.env, timeout=60)
    c.that("the server is found, its key is left alone", p.returncode == 0 and json.loads(p.stdout)["by_certificate"] is True, p)


def ends(c: Checks, call: Caller) -> None:
    """Expired credentials, expired certificates, certificates of others."""
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    call.admin("key", "create", "--team", "red", "--certificate", call.ca.path("fourth.pem"), "--expires", end)
    deadline = time.time() + 60
    got = call.run("whoami", cert="fourth")
    c.that("a credential with an end is let in before", got[0] == 0, got)
    while got[0] == 0 and time.time() < deadline:
        time.sleep(0.3)
        got = call.run("whoami", cert="fourth")
    refused(c, "after its end it is refused", got, "KEY_EXPIRED")
    call.admin("key", "create", "--team", "red", "--certificate", call.ca.path("old.pem"))
    got = call.run("--timeout", "3", "whoami", cert="old")
    c.that("an expired certificate gets no connection", got[0] == 4, got)
    call.admin("key", "create", "--team", "red", "--certificate", call.ca.path("stranger.pem"))
    got = call.run("--timeout", "3", "whoami", cert="stranger")
    c.that("nor does one of another authority, though it was bound", got[0] == 4, got)


def optional(c: Checks, call: Caller) -> None:
    """tls.client_certificates: optional lets keys in without a certificate."""
    got = call.run("--timeout", "3", "whoami", key=call.server.key)
    c.that("where certificates are required, none is no connection", got[0] == 4, got)
    call.server.stop()
    call.server.config = call.server.config.replace("required", "optional")
    call.server.start()
    rc, me, err = call.run("whoami", key=call.server.key)
    c.that("where they are optional, a key is enough", rc == 0 and me["server_admin"] is True, (me, err))
    rc, me, err = call.run("whoami", cert="first")
    c.that("and after a restart a certificate still counts", rc == 0 and me["team"] == "red", (me, err))
    refused(c, "neither is refused", call.run("whoami"), "KEY_MISSING")
    got = call.run("--timeout", "3", "whoami", cert="stranger")
    c.that("one of another authority gets no connection here either", got[0] == 4, got)


def python_client(c: Checks, call: Caller) -> None:
    """The same by the Python client."""
    python = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / ".cache" / "venv-python" / "bin" / "python")
    if not Path(python).exists():
        raise Skip("a Python with grpcio (clients/python/test.sh makes one)")
    program = (
        "import sys, airlore\n"
        "server, ca, cert, key = sys.argv[1:]\n"
        "with airlore.Client(server, ca=ca, cert=cert, cert_key=key) as client:\n"
        "    me = client.whoami()\n"
        "    print(me.team, me.by_certificate, *me.roles)\n")
    env = dict(os.environ, PYTHONPATH=str(ROOT / "clients" / "python" / "src"), XDG_STATE_HOME=call.server.env["XDG_STATE_HOME"])
    env.pop("AIRLORE_KEY", None)
    subprocess.run([python, str(ROOT / "clients" / "python" / "generate.py")], check=True, capture_output=True)
    for name, want in (("first", "red True reader"), ("fifth", "CERTIFICATE_UNKNOWN")):
        files = (call.ca.path("ca.pem"), call.ca.path(name + ".pem"), call.ca.path(name + ".key"))
        p = subprocess.run([python, "-c", program, call.server.grpc, *files], capture_output=True, text=True, env=env, timeout=60)
        c.that(f"Python with the {name} certificate: {want}", want in p.stdout + p.stderr, (p.stdout, p.stderr))


def main() -> int:
    """Run."""
    server, c = Server(sys.argv[1]), Checks()
    try:
        ca = Authority(server.root / "tls")
        ca.make("ca", "/CN=authority")
        ca.make("other", "/CN=another authority")
        ca.make("server", "/CN=localhost", "ca")
        ca.make("client", "/CN=client", "ca")
        ca.make("first", "/CN=worker-1", "ca", f"URI:{SUBJECT}")
        ca.make("second", "/CN=worker-2", "ca", f"URI:{SUBJECT},DNS:x.example")
        ca.make("third", "/CN=worker-3", "ca", f"URI:{SUBJECT}/else")
        ca.make("fourth", "/CN=worker-4", "ca")
        ca.make("fifth", "/CN=worker-5", "ca")
        ca.make("stranger", "/CN=client", "other")
        ca.expired("old", "ca")
        server.config = (f"tls:\n  cert: {ca.path('server.pem')}\n  key: {ca.path('server.key')}\n  client_ca: {ca.path('ca.pem')}\n"
                         "  client_certificates: required\n")
        server.start()
        call = Caller(server, ca)
        for team in ("red", "blue"):
            call.admin("team", "create", team)
        for part in (bound_by_fingerprint, bound_by_subject, found_by_itself, ends, python_client, optional):
            c.part(part, c, call)
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        server.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
