import errno
import os
import subprocess
import sys

import pytest

from dpm_ppl import InputError
from dpm_ppl._common.files import alone_in, check_folder_of, intact, is_unused, make_folder, replacing

HOLD = """
import sys, time
from pathlib import Path
from dpm_ppl._common.files import alone_in
with alone_in(Path(sys.argv[1]), "out"):
    (Path(sys.argv[1]) / ".run.json.123.unfinished").touch()
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_folder_is_held_by_one_process_until_it_ends_however_it_does(tmp_path):
    assert is_unused(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=r"^out: expected .*no other process"), alone_in(tmp_path, "out"):
            pass
    finally:
        process.kill()
        process.communicate()
    assert is_unused(tmp_path)
    assert any(tmp_path.glob(".*.unfinished"))
    with alone_in(tmp_path, "out"):
        assert not any(tmp_path.glob(".*.unfinished"))
    (tmp_path / "notes.txt").touch()
    assert not is_unused(tmp_path)


def test_a_file_is_the_old_one_where_the_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "it.txt"
    path.write_text("old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), replacing(path) as file:
        file.write(b"new")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("it.txt", "old")]


def test_a_folder_is_made_or_its_argument_named(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "above" / "it", "out")
    assert (tmp_path / "above" / "it").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^out: expected a directory that can be made, got .*; name another$"):
        make_folder(tmp_path / "file" / "it", "out")


def test_a_file_needs_a_folder(tmp_path):
    check_folder_of(tmp_path / "it.npz", "checkpoint")
    with pytest.raises(InputError, match=r"^checkpoint: expected a file in a directory that exists, got no directory"):
        check_folder_of(tmp_path / "absent" / "it.npz", "checkpoint")


def test_damage_is_told_in_one_way():
    about = {"expected": "a tree", "remedy": "make it again"}
    with intact("path", **about):
        pass
    said = r"^path: expected a tree, got a truncated, damaged or foreign one \(no magic\); make it again$"
    with pytest.raises(InputError, match=said), intact("path", **about):
        raise OSError("no magic")
