"""Who, what, teams, deployments, keys, jobs; wrong keys and roles."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from conftest import Server

import airlore
from airlore import Client, NewItem
from airlore._convert import UTC


def test_whoami(client: Client) -> None:
    me = client.whoami()
    assert me.team.endswith("default")
    assert me.roles == ("admin",)
    assert me.server_admin
    assert me.default_space == "teams/default"
    assert me.expire_time is None


def test_server_info(client: Client) -> None:
    info = client.server_info()
    assert info.role == "standalone"
    assert info.version
    assert info.dimension > 0
    assert info.embedder_id
    assert "airlore.v1.KnowledgeService" in info.services
    assert info.start_time is not None
    assert info.start_time < datetime.now(UTC) + timedelta(minutes=1)


def test_status(client: Client) -> None:
    status = client.status()
    assert status.health == "green"
    assert status.nodes_alive == status.nodes == 1
    assert status.shards_in_sync == status.shards >= 1


def test_teams(client: Client) -> None:
    made = client.create_team("weather")
    assert (made.id, made.name) == ("weather", "teams/weather")
    assert made.pseudonym
    assert client.get_team("weather").name == "teams/weather"
    assert {"default", "weather"} <= {t.id for t in client.teams()}
    with pytest.raises(airlore.AlreadyExists) as e:
        client.create_team("weather")
    assert e.value.reason in {"NAME_TAKEN"}
    with pytest.raises(airlore.InvalidArgument) as bad:
        client.create_team("Weather Desk!")
    assert bad.value.reason in {"BAD_FORMAT", "BAD_NAME"}
    with pytest.raises(airlore.NotFound) as missing:
        client.get_team("nosuch")
    assert missing.value.reason == "TEAM_NOT_FOUND"


def test_deployments_and_their_keys(client: Client, server: Server) -> None:
    made = client.create_deployment("prod", create_key=True)
    assert made.deployment.name == "teams/default/deployments/prod"
    assert (made.deployment.team, made.deployment.id) == ("default", "prod")
    assert made.key is not None
    assert made.key.secret.startswith("al_")
    assert made.key.secret not in repr(made)
    assert "prod" in {d.id for d in client.deployments()}
    with Client(server.address, made.key.secret) as own:
        assert own.whoami().deployment.endswith("prod")
        result = next(iter(own.ingest([NewItem("prod/note", text="only this deployment knows the zebra code")])))
        assert result.outcome == "inserted"
        hits = own.search("zebra code", after=result.token)
        assert hits[0].scope == "deployment"
        with pytest.raises(airlore.PermissionDenied) as e:
            own.create_team("mine")
        assert e.value.reason == "ROLE_MISSING"


def test_keys(client: Client, server: Server) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    made = client.create_key(["reader"], display_name="dashboard", expire_time=end)
    assert made.key.roles == ("reader",)
    assert made.key.expire_time == end
    assert made.key.id in {k.id for k in client.keys()}
    with Client(server.address, made.secret, retry=0) as reader:
        reader.search("anything")
        with pytest.raises(airlore.PermissionDenied) as e:
            reader.ingest_all([NewItem("x", text="y")])
        assert e.value.reason == "ROLE_MISSING"
        client.revoke_key(made.key.name)
        with pytest.raises(airlore.Unauthenticated) as gone:
            for _ in range(50):
                reader.whoami()
        assert gone.value.reason in {"KEY_REVOKED", "KEY_INVALID"}
    assert made.key.id not in {k.id for k in client.keys()}
    assert made.key.id in {k.id for k in client.keys(show_ended=True)}


def test_key_of_another_team_sees_nothing_of_ours(client: Client, server: Server) -> None:
    client.create_team("others")
    token = client.ingest_all([NewItem("secret/plan", text="the ostrich plan is internal")]).token
    made = client.create_key(["contributor"], team="others")
    with Client(server.address, made.secret) as other:
        assert all(h.id != "secret/plan" for h in other.search("ostrich plan", after=token))
        with pytest.raises(airlore.NotFound):
            other.get("secret/plan")


@pytest.mark.parametrize(
    ("key", "reason"),
    [("al_nosuchkey12_0000000000000000000000000000000000000000000", "KEY_INVALID"), ("nonsense", "KEY_INVALID")],
)
def test_wrong_keys(server: Server, key: str, reason: str) -> None:
    with Client(server.address, key, retry=0) as c:
        with pytest.raises(airlore.Unauthenticated) as e:
            c.whoami()
        assert e.value.reason == reason
        with pytest.raises(airlore.Unauthenticated):
            c.ingest_all([NewItem("x", text="y")])
        with pytest.raises(airlore.Unauthenticated):
            list(c.ask_stream("who are you?"))


def test_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(server.home / "nowhere"))
    with Client(server.address, retry=0) as c, pytest.raises(airlore.Unauthenticated) as e:
        c.whoami()
    assert e.value.reason == "KEY_MISSING"


def test_a_key_that_fits_no_header(server: Server) -> None:
    with pytest.raises(airlore.InvalidArgument) as e:
        Client(server.address, "al_열쇠\n")
    assert e.value.reason == "KEY_INVALID"


def test_verify_watches_its_job(client: Client) -> None:
    report = client.verify(deep=True, timeout=60)
    assert report.job.state == "succeeded"
    assert report.findings == ()
    assert report.is_clean
    assert report.job.name in {j.name for j in client.jobs(type="verify")}
    assert client.job(report.job.name).is_over
    assert [j.state for j in client.watch_job(report.job.name)] == ["succeeded"]


def test_jobs_that_are_not_there(client: Client) -> None:
    with pytest.raises(airlore.NotFound) as e:
        client.job("jobs/nosuch")
    assert e.value.reason == "JOB_NOT_FOUND"
    with pytest.raises(airlore.NotFound):
        client.wait_for_job("jobs/nosuch")
