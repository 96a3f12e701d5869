"""The console where it cannot begin: what is amiss, and what to do, in two lines."""

import socket

import msgspec
import pytest

from tapewatch.cli import main


@pytest.fixture
def answered(monkeypatch, tmp_path, capsys):
    """What the command ends with, and what it says."""

    def ran(url: str, port: int) -> tuple[int, str]:
        monkeypatch.setenv("TAPEWATCH_POSTGRES_URL", url)
        code = main(["--data", str(tmp_path), "console", "--port", str(port)])
        return code, capsys.readouterr().err

    return ran


def test_a_database_that_is_away_is_said(answered):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever calls is refused
        code, told = answered(f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/x", 0)
    assert code == 1
    assert told.startswith("tapewatch: PostgreSQL: connection to server at")
    assert "next: Run `tapewatch status`; check postgres.url." in told
    assert len(told.splitlines()) == 2


def test_a_port_that_is_taken_is_said(answered, ours, monkeypatch):
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", ours.kafka.bootstrap)
    plain = msgspec.structs.replace(ours.postgres, url=ours.postgres.url.replace("postgresql+psycopg2", "postgresql"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, told = answered(plain.url, taken.getsockname()[1])
    assert code == 1
    assert "tapewatch: another program listens there" in told
    assert "Traceback" not in told
