"""A fit shared out over several devices, and over several processes, is the fit on one."""

import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.training.fit_on_devices import fitted

ROOT = Path(__file__).parents[2]
on_one_device = cache(fitted)


def started(out, *arguments, num_devices):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
    command = [sys.executable, "-m", "tests.training.fit_on_devices", str(out), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags})


def assert_the_same_fit(out, num_devices):
    with np.load(out) as found:
        assert found["devices"] == num_devices
        for name, expected in on_one_device().items():
            size = np.linalg.norm(expected)
            assert np.linalg.norm(found[name] - expected) < 1e-5 * size, name


def test_eight_devices(tmp_path):
    out = tmp_path / "eight.npz"
    assert started(out, num_devices=8).wait(timeout=600) == 0
    assert_the_same_fit(out, 8)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Each has two devices; all hold the same at the end."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    outs = [tmp_path / f"{process}.npz" for process in range(2)]
    processes = [started(out, port, number, num_devices=2) for number, out in enumerate(outs)]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    for out in outs:
        assert_the_same_fit(out, 4)
