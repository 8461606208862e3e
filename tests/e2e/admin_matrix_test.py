"""Who may call what: every method of AdminService, by every role, of the own and of another team.

Usage: admin_matrix_test.py BIN_DIR. The methods are read from the contract, so one that is added without an entry here fails the test.
Nothing that another team has may be seen in an answer, be it an error.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Callable

import wire
from checks import Checks
from server import Server

PROTO = Path(__file__).resolve().parents[2] / "proto" / "airlore" / "v1" / "admin.proto"
SERVICE = "/airlore.v1.AdminService/"
ROLES = {"reader": 1, "contributor": 2, "reviewer": 3, "admin": 4}
REFUSED = ("PERMISSION_DENIED", "NOT_FOUND")
# what only team red has, to be looked for in answers to others
SECRETS = ("redonly", "redplant", "redkey00", "Crimson", "redhost")


class World:
    """A server with team red, which has everything, and team blue; keys of each role of both and of the server's own team."""

    def __init__(self, server: Server) -> None:
        self.server, self.n = server, 0
        self.keys: dict[tuple[str, str], str] = {}
        for team in ("redonly", "blue"):
            self.must("team", "create", team)
        self.must("team", "update", "redonly", "--display-name", "Crimson people")
        self.must("deployment", "create", "redplant", "--team", "redonly", "--airflow-url", "https://redhost.example", "--label", "a=b")
        self.must("key", "create", "--team", "redonly", "--id", "redkey00", "--display-name", "Crimson key")
        for team in ("default", "redonly", "blue"):
            for role in ROLES:
                self.keys[team, role] = self.must("key", "create", "--team", team, "--role", role)["key"]
        rc, docs, err = server.cli("ingest", "-", key=self.keys["redonly", "contributor"],
                                   stdin='{"id":"a","text":"what the red team knows about its plant"}\n')
        assert rc == 0, (docs, err)
        rc, docs, err = server.cli("cluster", "verify", "--json")
        assert rc == 0, (docs, err)
        self.job = self.must("jobs", "list")["jobs"][0]["name"]

    def must(self, *args: str) -> dict:
        """A call of the server's admin that must succeed."""
        rc, docs, err = self.server.cli(*args)
        assert rc == 0, (args, docs, err)
        return docs[0]

    def fresh(self, what: str) -> str:
        """Resource name of something of team red that was just made, to be changed or deleted."""
        self.n += 1
        if what == "team":
            self.must("team", "create", f"redonly{self.n}")
            return f"teams/redonly{self.n}"
        if what == "deployment":
            self.must("deployment", "create", f"redplant{self.n}", "--team", "redonly")
            return f"teams/redonly/deployments/redplant{self.n}"
        return self.must("key", "create", "--team", "redonly", "--id", f"redkey00{self.n}")["name"]

    def next(self) -> str:
        """A number that was not used yet."""
        self.n += 1
        return str(self.n)


f = wire.field
Build = Callable[[World], bytes]
KEY_OF_READER = f(2, f(4, b"\x01"))

# kind -> who may. any: everyone. read: everyone of team red, and the server's admins; others find nothing. admin: admins of team red and
# of the server. server: admins of the server. own: everyone, about what is theirs. later: not there yet, for anyone.
METHODS: dict[str, tuple[str, Build]] = {
    "WhoAmI": ("own", lambda w: b""),
    "GetServerInfo": ("any", lambda w: b""),
    "CreateTeam": ("server", lambda w: f(1, "new" + w.next())),
    "GetTeam": ("read", lambda w: f(1, "teams/redonly")),
    "ListTeams": ("own", lambda w: b""),
    "UpdateTeam": ("admin", lambda w: f(1, "teams/redonly") + f(2, "Crimson people")),
    "DeleteTeam": ("server", lambda w: f(1, w.fresh("team")) + f(2, 1)),
    "CreateDeployment": ("admin", lambda w: f(1, "teams/redonly") + f(2, "d" + w.next())),
    "GetDeployment": ("read", lambda w: f(1, "teams/redonly/deployments/redplant")),
    "ListDeployments": ("read", lambda w: f(1, "teams/redonly")),
    "UpdateDeployment": ("admin", lambda w: f(1, "teams/redonly/deployments/redplant") + f(2, "Crimson plant")),
    "DeleteDeployment": ("admin", lambda w: f(1, w.fresh("deployment")) + f(2, 1)),
    "CreateKey": ("admin", lambda w: f(1, "teams/redonly") + KEY_OF_READER),
    "ListKeys": ("admin", lambda w: f(1, "teams/redonly")),
    "RevokeKey": ("admin", lambda w: f(1, w.fresh("key"))),
    "GetQuota": ("read", lambda w: f(1, "teams/redonly")),
    "GetQuota of a deployment": ("read", lambda w: f(1, "teams/redonly/deployments/redplant")),
    "GetQuota of a key": ("read", lambda w: f(1, "redkey00")),
    "UpdateQuota": ("server", lambda w: f(1, "teams/redonly") + f(2, f(2, 1000000))),
    "UpdateQuota of a deployment": ("admin", lambda w: f(1, "teams/redonly/deployments/redplant") + f(2, f(2, 1000000))),
    "UpdateQuota of a key": ("admin", lambda w: f(1, "redkey00") + f(2, f(4, 100.0))),
    "ListAuditEntries": ("later", lambda w: b""),
    "GetClusterStatus": ("own", lambda w: b""),
    "ListNodes": ("any", lambda w: b""),
    "ListShards": ("own", lambda w: b""),
    "ListShards with segments": ("server", lambda w: f(3, 1)),
    "VerifyShards": ("server", lambda w: b""),
    "ListVerifyFindings": ("job", lambda w: f(1, w.job)),
    "CompactShards": ("server", lambda w: b""),
    "Reembed": ("server", lambda w: b""),
    "CreateSnapshot": ("later", lambda w: b""),
    "ListSnapshots": ("later", lambda w: b""),
    "DeleteSnapshot": ("later", lambda w: f(1, "snapshots/x")),
    "RestoreSnapshot": ("later", lambda w: f(1, "snapshots/x")),
    "DrainNode": ("later", lambda w: f(1, "nodes/x")),
    "UndrainNode": ("later", lambda w: f(1, "nodes/x")),
    "Rebalance": ("later", lambda w: b""),
    "MoveShard": ("later", lambda w: b""),
    "SplitShard": ("later", lambda w: f(1, 0)),
    "ForcePrimary": ("later", lambda w: f(1, 0)),
    "ListJobs": ("own", lambda w: b""),
    "GetJob": ("job", lambda w: f(1, w.job)),
    "WatchJob": ("job", lambda w: f(1, w.job)),
    "CancelJob": ("job-change", lambda w: f(1, w.job)),
    "PauseJobs": ("server", lambda w: f(1, 6)),
    "ResumeJobs": ("server", lambda w: f(1, 6)),
}


def allowed(kind: str, team: str, role: str) -> bool:
    """Whether a key of this team and role may; jobs of the test are of the server's own team."""
    if team == "default" and role == "admin" or kind in ("any", "own"):
        return True
    if kind == "read":
        return team == "redonly"
    if kind == "admin":
        return team == "redonly" and role == "admin"
    if kind == "job":
        return team == "default"
    if kind == "job-change":
        return team == "default" and role != "reader"
    return False


def check_method(c: Checks, w: World, name: str, kind: str, build: Build) -> None:
    """One entry, by all callers."""
    path = SERVICE + name.split(" ", maxsplit=1)[0]
    no_key = wire.call(w.server.grpc, "", path, build(w))
    c.that(f"{name}: nobody without a key", (no_key.code, no_key.reason) == ("UNAUTHENTICATED", "KEY_MISSING"), no_key)
    for (team, role), key in w.keys.items():
        a = wire.call(w.server.grpc, key, path, build(w))
        who = f"{name}: {role} of {team}"
        if kind == "later":
            c.that(f"{who} is told that it is not there", a.code == "UNIMPLEMENTED" and path[1:] in a.text, a)
        elif allowed(kind, team, role):
            c.that(f"{who} may", a.code == "OK", a)
        else:
            c.that(f"{who} may not", a.code in REFUSED and not a.messages, a)
        if team == "redonly" or (team, role) == ("default", "admin"):
            continue
        seen = b"".join(a.messages) + a.text.encode()
        for asked in re.findall(rb"'[^']*'", a.text.encode()):  # what the caller named himself is no news
            seen = seen.replace(asked, b"")
        found = [s for s in SECRETS if s.encode() in seen]
        c.that(f"{who} sees nothing of the others", not found, (found, seen[:300]))


def check_same_words(c: Checks, w: World) -> None:
    """What another team has and what nobody has is refused in the same words."""
    pairs = {
        "GetTeam": (f(1, "teams/redonly"), f(1, "teams/nothere")),
        "GetDeployment": (f(1, "teams/redonly/deployments/redplant"), f(1, "teams/nothere/deployments/redplant")),
        "ListDeployments": (f(1, "teams/redonly"), f(1, "teams/nothere")),
        "ListKeys": (f(1, "teams/redonly"), f(1, "teams/nothere")),
        "RevokeKey": (f(1, "redkey00"), f(1, "nokey000")),
        "GetQuota": (f(1, "redkey00"), f(1, "nokey000")),
        "GetJob": (f(1, w.job), f(1, "jobs/nothere")),
    }
    for name, (theirs, nobodys) in pairs.items():
        for role in ("reader", "admin"):
            a, b = (wire.call(w.server.grpc, w.keys["blue", role], SERVICE + name, r) for r in (theirs, nobodys))
            c.that(f"{name} by a {role} of blue: theirs looks like nobody's", (a.code, a.reason) == (b.code, b.reason) and a.code in REFUSED, (a, b))


def check_contract(c: Checks) -> None:
    """Every method of the contract has an entry, and every entry a method."""
    service = re.search(r"^service AdminService \{(.*?)^\}", PROTO.read_text(), re.M | re.S)
    assert service
    methods = set(re.findall(r"^  rpc (\w+)\(", service[1], re.M))
    entries = {name.split(" ", maxsplit=1)[0] for name in METHODS}
    c.that(f"all {len(methods)} methods of the contract have an entry", len(methods) > 40 and methods <= entries, methods - entries)
    c.that("no entry without a method", entries <= methods, entries - methods)


def main() -> int:
    """Run."""
    server, c = Server(sys.argv[1], config="log:\n  level: warn\n"), Checks()
    try:
        server.start()
        check_contract(c)
        w = World(server)
        for name, (kind, build) in METHODS.items():
            c.part(lambda name=name, kind=kind, build=build: check_method(c, w, name, kind, build))
        check_same_words(c, w)
    except Exception as e:
        c.that("the test runs to its end", False, f"{type(e).__name__}: {e}")
    finally:
        server.close()
    return c.done()


if __name__ == "__main__":
    sys.exit(main())
