"""The embedded stack's paths, locks and private files."""

import os
from pathlib import Path

import pytest

from infra.embedded.layout import SOCKET_NAME, Layout, is_locked, locked, write_private
from tapewatch.errors import TapewatchError


def test_socket_of_a_short_data_folder_lies_in_it():
    assert Layout(Path("/srv/tapewatch")).socket == Path("/srv/tapewatch/postgres/socket")


def test_socket_of_a_long_data_folder_lies_where_the_kernel_can_name_it():
    long, longer = Path("/srv") / ("d" * 100), Path("/srv") / ("d" * 101)
    assert len(os.fsencode(Layout(long).socket / SOCKET_NAME)) <= 107
    assert Layout(long).socket == Layout(long).socket
    assert Layout(long).socket != Layout(longer).socket


def test_length_of_the_socket_path_counts_bytes_not_letters():
    assert not Layout(Path("/srv") / ("é" * 40)).socket.is_relative_to("/srv")


def test_data_folder_below_a_file_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TapewatchError) as refusal:
        Layout(tmp_path / "file" / "data").create()
    assert "--data" in refusal.value.hint


def test_new_folders_are_closed_to_others(tmp_path):
    layout = Layout(tmp_path / "data")
    layout.create()
    assert {path.stat().st_mode & 0o077 for path in (layout.data, layout.logs, layout.kafka, layout.postgres)} == {0}


def test_private_file_is_readable_by_its_owner_alone(tmp_path):
    write_private(tmp_path / "stack.json", b"{}")
    write_private(tmp_path / "stack.json", b"[]")
    assert (tmp_path / "stack.json").read_bytes() == b"[]"
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_lock_is_seen_while_it_is_held_and_no_longer(tmp_path):
    with locked(tmp_path / "a.lock"):
        assert is_locked(tmp_path / "a.lock")
        with pytest.raises(BlockingIOError), locked(tmp_path / "a.lock", wait=False):
            pass
    assert not is_locked(tmp_path / "a.lock")
