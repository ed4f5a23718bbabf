"""A fit killed at random moments and resumed ends as one that was never killed, bit for bit.

Run as a script it is the process to be killed: `python -m tests.training.test_kill_resume FOLDER NUM_UPDATES`.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dpm_ppl.training import checkpoint
from dpm_ppl.training.loop import fit, init
from tests.tiny import DATA, flat, make_svi

ROOT = Path(__file__).parents[2]
KEY = jax.random.key(3)
NUM_KILLS = 20


def run(folder, num_updates, checkpoint_every=10):
    return fit(
        make_svi(),
        DATA,
        num_updates=num_updates,
        batch_size=16,
        key=KEY,
        updates_per_chunk=5,
        checkpoint_dir=folder,
        checkpoint_every=checkpoint_every,
        evaluate_every=1000,
        resume=True,
        progress=False,
    )


def start(folder, num_updates):
    command = [sys.executable, "-m", "tests.training.test_kill_resume", str(folder), str(num_updates)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def newest_file(folder):
    return max((path.name for path in folder.glob("update-*.npz")), default="")


def wait_for_new_file(folder, process, limit=120.0):
    """Until the process has saved something of its own, so that every kill meets a fit at work."""
    before, deadline = newest_file(folder), time.monotonic() + limit
    while newest_file(folder) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path):
    num_updates = 20_000
    moments = random.Random(0)
    like = init(make_svi(), KEY, DATA[:16])
    hit = 0
    for _ in range(NUM_KILLS):
        process = start(tmp_path / "killed", num_updates)
        wait_for_new_file(tmp_path / "killed", process)
        time.sleep(moments.uniform(0.0, 0.3))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -9), errors.decode()
        hit += process.returncode == -9
        newest = checkpoint.latest(tmp_path / "killed")
        assert newest is not None
        state, _ = checkpoint.load(newest, like)
        assert int(state.num_updates) == int(newest.stem.removeprefix("update-"))
    assert hit == NUM_KILLS, "the fit ended before the last kill: give it more updates"
    last = start(tmp_path / "killed", num_updates)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors.decode()
    killed = checkpoint.load(tmp_path / "killed" / f"update-{num_updates:012d}.npz", like)
    whole = run(tmp_path / "whole", num_updates, checkpoint_every=num_updates)
    np.testing.assert_array_equal(flat(killed[0]), flat(whole.state), strict=True)
    rows = [[row | {"seconds": None} for row in rows] for rows in (killed[1]["record"]["rows"], whole.metrics)]
    assert rows[0] == rows[1]


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
