"""The Prefect server of PREFECT_API_URL: what answers there is looked at before a run."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    get_current_settings,
    temporary_settings,
)

from flows.command import run_command
from flows.server import ONCE, check_server, explain, own_server
from landcover.errors import LandcoverError, SettingsError
from tests.servers.prefect import prefect_server, wait_for_server
from tests.test_environment import run_python


class OtherServer(BaseHTTPRequestHandler):
    """A web server that is not Prefect's."""

    def do_GET(self):
        words = self.path.split("/")
        if words[1] == "moved":
            self.answer(301, location="/".join(["", *words[2:]]))
        elif words[1].isdigit():
            self.answer(int(words[1]))
        else:
            self.answer(200, {"json": b'{"version": 1}', "text": b'"3.9"'}.get(words[1], b"<html>"))

    def answer(self, status: int, body: bytes = b"", **headers: str):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object):
        pass


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OtherServer) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://{other}", "where something answers, but not a Prefect API"),
        ("http://{other}/404/api", r"not a Prefect API \(status 404\)"),
        ("http://{other}/json", "not a Prefect API"),
        ("http://{other}/moved/text", "leads to http://{other}/text: set PREFECT_API_URL to that"),
        ("https://{other}/api", "does not speak TLS .*: write http:// in place of https://"),
        ("{other}/api", "is not an address: it should be like http://localhost:4200/api"),
        ("http://{other}/401", r"wants to know who asks \(401\): set PREFECT_API_AUTH_STRING"),
        ("http://{other}/403", r"\(403\): set PREFECT_API_AUTH_STRING .* or PREFECT_API_KEY"),
        ("http://me:hidden@{other}/api", "PREFECT_API_URL is http://{other}/api"),
    ],
)
def test_an_address_that_is_not_a_prefect_api_is_told(other: str, address: str, words: str):
    with (
        temporary_settings({PREFECT_API_URL: address.format(other=other)}),
        pytest.raises(SettingsError, match=words.format(other=other)) as told,
    ):
        check_server()
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/api", "http://{other}/503"])
def test_a_server_that_is_away_or_busy_is_left_to_the_run(other: str, address: str):
    with temporary_settings({PREFECT_API_URL: address.format(other=other)}):
        check_server()


def test_where_none_is_named_a_run_may_start_its_own_unless_someone_forbids_it(capsys):
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert own_server() == {}
    forbidden = {PREFECT_SERVER_EPHEMERAL_ENABLED: False}
    with temporary_settings(forbidden, restore_defaults={PREFECT_API_URL}):
        assert run_command(lambda: "run", []) == 2
    told = capsys.readouterr()
    assert "none is named, and it may not start one of its own: set PREFECT_API_URL" in told.err
    assert told.out == ""


def test_a_profile_of_the_user_s_own_forbids_nothing(tmp_path: Path):
    (tmp_path / "profiles.toml").write_text('active = "mine"\n[profiles.mine]\n')
    code = "from flows.server import own_server; print(*own_server().values())"
    left_out = ("PREFECT_API_URL", "PREFECT_SERVER_EPHEMERAL_ENABLED", "PREFECT_PROFILE")
    asked = run_python(code, PREFECT_HOME=str(tmp_path), **dict.fromkeys(left_out))
    assert asked.stdout == "True\n"


def test_a_file_of_certificates_that_is_not_there_is_told(other: str, tmp_path: Path):
    missing = tmp_path / "certificate.pem"
    with (
        temporary_settings(
            {PREFECT_API_URL: f"https://{other}/api", PREFECT_API_SSL_CERT_FILE: str(missing)}
        ),
        pytest.raises(SettingsError, match=f"PREFECT_API_SSL_CERT_FILE {missing} cannot be read"),
    ):
        check_server()


@pytest.fixture
def with_login(prefect_database: Path, tmp_path: Path) -> Iterator[None]:
    """A real Prefect server that asks for a login."""
    login = {"PREFECT_SERVER_API_AUTH_STRING": "admin:right"}
    with prefect_server(tmp_path, "prefect server start", prefect_database, **login) as shell:
        wait_for_server(shell)
        with temporary_settings({PREFECT_API_URL: f"{shell.address}/api"}):
            yield


@pytest.mark.usefixtures("with_login")
def test_a_login_that_is_missing_or_wrong_is_told_by_its_setting():
    with pytest.raises(SettingsError, match=r"who asks \(401\): set PREFECT_API_AUTH_STRING"):
        check_server()
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:wrong"}):
        with pytest.raises(SettingsError, match=r"refuses PREFECT_API_AUTH_STRING \(401\)") as told:
            check_server()
        assert "wrong" not in str(told.value)
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:right"}):
        check_server()


@pytest.mark.usefixtures("prefect_api")
def test_what_the_server_refuses_in_the_middle_of_a_run_is_told(other: str):
    check_server()
    assert get_current_settings().api.url

    def failure(address: str) -> LandcoverError | None:
        with (
            temporary_settings({**ONCE, PREFECT_API_URL: address}),
            get_client(sync_client=True) as client,
            pytest.raises(httpx.HTTPError) as told,
        ):
            client.read_flows()
        return explain(told.value)

    assert "wants to know who asks" in str(failure(f"http://{other}/401"))
    assert "failed or went away" in str(failure("http://127.0.0.1:1/api"))
    assert explain(ValueError("of another kind")) is None
