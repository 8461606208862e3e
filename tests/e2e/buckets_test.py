#!/usr/bin/env python3
"""Buckets through the command line: a real S3 server (moto) that checks signatures, and a stand-in for Google Cloud Storage.

buckets_test.py BIN_DIR CACHE_DIR      CACHE_DIR/tools/buckets is what tools/bootstrap.sh --dev makes; last line: N passed, N failed
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from checks import Checks, Skip
from server import Server
from sources_test import counts, free_port, is_counts

N_MANY = 1200  # more than one page of a listing

S3_SETUP = """
import json, sys, boto3
kw = dict(endpoint_url=sys.argv[1], region_name="eu-west-1", aws_access_key_id="root", aws_secret_access_key="root")
s3 = boto3.client("s3", **kw)
s3.create_bucket(Bucket="docs-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for k, v in json.loads(sys.argv[2]).items():
    s3.put_object(Bucket="docs-bucket", Key=k, Body=v.encode())
for i in range(int(sys.argv[3])):
    s3.put_object(Bucket="docs-bucket", Key=f"many/{i:05d}.md", Body=f"# Page {i}\\n\\nThe number {i} of the woylie pages.\\n".encode())
iam = boto3.client("iam", **kw)
iam.create_user(UserName="reader")
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}]}
iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
k = iam.create_access_key(UserName="reader")["AccessKey"]
print(k["AccessKeyId"], k["SecretAccessKey"])
"""
S3_CHANGE = """
import sys, boto3
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="eu-west-1", aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
s3.put_object(Bucket="docs-bucket", Key="docs/a.md", Body=b"# A\\n\\nThe dibbler page has changed.\\n")
for key in ("docs/b c+d.md", "docs/../up.md"):
    s3.delete_object(Bucket="docs-bucket", Key=key)
"""
FILES = {"docs/a.md": "# A\n\nThe dibbler page.\n", "docs/b c+d.md": "# B\n\nA name with a space and a plus.\n", "docs/약.md": "# C\n\nThe phascogale name in Hangul.\n",
         "docs/x.bin": "no", "docs/../up.md": "# Up\n\nA name that leads out.\n"}


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as k:
            if k.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def s3(c: Checks, s: Server, tools: Path) -> None:
    """moto: listing over several pages, odd names, ETags, signatures."""
    if not (tools / "bin/moto_server").exists():
        raise Skip("moto (tools/bootstrap.sh --dev)")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    moto = subprocess.Popen([str(tools / "bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    python = str(tools / "bin/python")

    def run(script: str, *args: str) -> str:
        return subprocess.run([python, "-c", script, *args], check=True, capture_output=True, text=True, timeout=300).stdout

    try:
        wait_for_port(port, moto)
        key, secret = run(S3_SETUP, base, json.dumps(FILES), str(N_MANY)).split()
        auth = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1] + '/moto-api/reset-auth', data=sys.argv[2].encode(), headers={'Content-Type': 'text/plain'}, method='POST'))"
        run(auth, base, "0")  # from now on requests must be signed
        s.env.update(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret, AWS_ENDPOINT_URL=base, AWS_REGION="eu-west-1")
        got = s.cli("ingest", "s3://docs-bucket/docs/")
        c.that("all documents below the prefix", got[0] == 1 and counts(got[1]) == {"inserted": 3, "updated": 0, "skipped": 0, "deleted": 0, "failed": 1}, got)
        c.that("a name that leads out is named", got[1][0]["errors"][0]["reason"] == "BAD_PATH", got)
        rc, docs, _ = s.cli("get", "docs/b c+d.md")
        c.that("ids are the names", rc == 0 and docs[0]["url"] == "s3://docs-bucket/docs/b c+d.md", docs)
        is_counts(c, "more than a page", s.cli("ingest", "--rate", "10000", "s3://docs-bucket/many/", timeout=300), inserted=N_MANY)
        is_counts(c, "the second run reads nothing", s.cli("ingest", "--rate", "10000", "s3://docs-bucket/many/", timeout=300), skipped=N_MANY)
        run(auth, base, "9")
        run(S3_CHANGE, base, "root", "root")
        run(auth, base, "0")
        is_counts(c, "changed and deleted", s.cli("ingest", "--delete-missing", "s3://docs-bucket/docs/"), updated=1, skipped=1, deleted=1)
        s.env["AWS_SECRET_ACCESS_KEY"] = "wrong" + secret
        rc, docs, err = s.cli("ingest", "s3://docs-bucket/docs/")
        c.that("a wrong key is refused: the signature counts", rc != 0 and "403" in err and "SignatureDoesNotMatch" in err, (rc, docs, err))
        s.env["AWS_SECRET_ACCESS_KEY"] = secret
        rc, docs, err = s.cli("ingest", "s3://no-such-bucket-here/")
        c.that("a bucket that is not there", rc != 0 and "404" in err, (rc, docs, err))
    finally:
        moto.terminate()
        moto.wait()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
            s.env.pop(name, None)


GCS_SETUP = """
import json, sys, urllib.parse, urllib.request as r
base = sys.argv[1]
def send(url, data, kind):
    r.urlopen(r.Request(base + url, data=data, headers={"Content-Type": kind}, method="POST")).read()
send("/storage/v1/b?project=p", json.dumps({"name": "gdocs"}).encode(), "application/json")
for k, v in json.loads(sys.argv[2]).items():
    send("/upload/storage/v1/b/gdocs/o?uploadType=media&name=" + urllib.parse.quote(k, safe=""), v.encode(), "text/markdown")
"""


def gcs(c: Checks, s: Server, tools: Path) -> None:
    """The JSON API of an emulator."""
    if not (tools / "bin/gcp-storage-emulator").exists():
        raise Skip("gcp-storage-emulator (tools/bootstrap.sh --dev)")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(tools / "bin/gcp-storage-emulator"), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    emulator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, emulator)
        python = str(tools / "bin/python")
        files = {"docs/a.md": "# A\n\nThe chuditch page.\n", "docs/b c.md": "# B\n\nAnother one.\n", "docs/x.bin": "no"}
        subprocess.run([python, "-c", GCS_SETUP, base, json.dumps(files)], check=True, timeout=60)
        s.env["STORAGE_EMULATOR_HOST"] = base
        rc, docs, _ = s.cli("ingest", "gs://gdocs/docs/", "--source", "gcs")
        c.that("all documents", rc == 0 and counts(docs)["inserted"] + counts(docs)["updated"] == 2, docs)
        is_counts(c, "the second run reads nothing", s.cli("ingest", "gs://gdocs/docs/", "--source", "gcs"), skipped=2)
        rc, docs, err = s.cli("ingest", "gs://nothing-here/")
        c.that("a bucket that is not there", rc != 0, (rc, docs, err))
    finally:
        emulator.terminate()
        emulator.wait()


def main() -> int:
    """Both kinds."""
    if len(sys.argv) < 3:
        sys.exit(f"usage: {Path(sys.argv[0]).name} BIN_DIR CACHE_DIR")
    tools = Path(sys.argv[2]) / "tools/buckets"
    c = Checks()
    s = Server(sys.argv[1])
    for name in list(s.env):
        if name.lower().endswith("_proxy") or name.startswith("AWS_"):
            del s.env[name]
    s.env["XDG_CACHE_HOME"] = str(s.root / "cache")
    os.environ.pop("AWS_PROFILE", None)
    try:
        s.start()
        parts: list[Any] = [s3, gcs]
        for part in parts:
            c.part(part, c, s, tools)
    finally:
        s.close()
    if c.passed == 0 and c.failed == 0:
        print("0 passed, 0 failed, skipped: no bucket servers")
        return 77
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
