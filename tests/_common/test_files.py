import errno
import os
import subprocess
import sys

import pytest

from dpm_ppl import InputError
from dpm_ppl._common.files import alone_in, is_unused, replacing

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
