"""Kills `fit`, `bounds`, `report` and `compare` of a tiny run: does the same command go on to the same end?

`python -m benchmarks.kills --kills 200` runs each command whole, and then again and again in directories of their own
with SIGKILL, SIGTERM and SIGHUP at random: half of them at a moment between the start and the end, the other half while
a file is written, before or after it has taken the place of the old one. What is killed starts again in the directory
that the kill has left, until it ends by itself: what it has printed and written must be that of the whole one, bit for
bit.

A process to be killed is forked from this one once everything is imported but JAX has not started, and reads compiled
programs from a cache: what is killed is work, not imports.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
ENDS = {0, *(128 + number for number in SIGNALS), *(-number for number in SIGNALS)}
MOST_IN_A_ROW = 8
"""Kills of one command before it is left to end."""
FIT = "fit array --data x.npy --kernel gaussian --num-steps 6 --width 16 --depth 1 --updates 300 --resume --json --out"
WITH_WEIGHTS = "--num-particles 512 --num-points 16 --json"
COMMANDS = {
    "fit": f"{FIT} DIR/run",
    "bounds": f"bounds DIR/run {WITH_WEIGHTS}",
    "report": f"report DIR/run {WITH_WEIGHTS}",
    "compare": f"compare DIR/run --experiment array --methods gaussian vae --updates 100 {WITH_WEIGHTS} --out DIR/all",
}


@dataclass(frozen=True)
class Options:
    """Kill commands at random moments; exit code 1 where one does not go on to the same end."""

    kills: int = 200
    """How many."""
    seed: int = 0
    """Of the moments."""


def main(options: Options) -> int:
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        np.save("x.npy", np.random.default_rng(0).normal(size=(200, 2)))
        wholes = {name: whole_of(name) for name in COMMANDS}
        counts: Counter[str] = Counter()
        faults: list[str] = []
        for name in repeat_until(lambda: counts["kills"] >= options.kills):
            found = kill_and_go_on(name, wholes[name], moments, counts)
            faults += found
            standing = f"{counts['kills']} kills, {counts['ends']} ends, {len(faults)} faults"
            print(standing, *found, sep="\n", file=sys.stderr, flush=True)
    print(", ".join(f"{counts[key]} {key}" for key in sorted(counts)) + f": {len(faults)} faults")
    return 1 if faults else 0


def prepare() -> None:
    """Imports what the commands import, and lets them save every moment in place of every minute."""
    Path("cache").mkdir()
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": str(Path("cache").resolve()), "JAX_PLATFORMS": "cpu"}
    os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "MPLBACKEND": "agg"}
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
    import dpm_ppl.app.pages.writing  # noqa: F401
    from dpm_ppl.likelihood import estimator
    from dpm_ppl.training import loop

    loop._FIRST_CHECKPOINT_SECONDS, loop._CHECKPOINT_SECONDS = 0.1, 0.5
    estimator._SECONDS_BETWEEN_SAVES = 0.1


@dataclass
class Whole:
    """A command that nobody has killed: what it leaves; how long it took last, and how often it made sure of a file."""

    left: dict[str, Any]
    seconds: float
    num_syncs: int


def whole_of(name: str) -> Whole:
    start(name)
    run(name, None)  # compiles, so that the next one takes the time that a killed one would
    first = left_by(name)
    start(name)
    began = time.monotonic()
    code = run(name, None)
    if code != 0:
        sys.exit(f"{name} ended with {code}: {Path(name, 'err').read_text()[-500:]}")
    seconds, num_syncs = time.monotonic() - began, int(Path(name, "syncs").read_text())
    left = left_by(name)
    if others := [key for key in left if first.get(key) != left[key]]:
        sys.exit(f"{name} leaves others each time: {', '.join(others)}")
    whole = Whole(left, seconds, num_syncs)
    shutil.copytree(name, f"whole-{name}")
    print(f"{name}: {seconds:.1f} s, {num_syncs} syncs", file=sys.stderr, flush=True)
    return whole


def start(name: str) -> None:
    """A directory for the command, with the finished fit in it where it needs one."""
    shutil.rmtree(name, ignore_errors=True)
    if name == "fit":
        Path(name).mkdir()
    else:
        shutil.copytree("whole-fit", name)


def kill_and_go_on(name: str, whole: Whole, moments: random.Random, counts: Counter[str]) -> list[str]:
    """Kills one command several times until it ends; what is wrong then."""
    start(name)
    is_fresh = True
    for _ in range(MOST_IN_A_ROW):
        number = moments.choice(SIGNALS)
        at_write = moments.random() < 0.5
        moment = moments.randint(1, whole.num_syncs) if at_write else moments.uniform(0.0, whole.seconds)
        began = time.monotonic()
        code = run(name, number, moment)
        if code not in ENDS:
            return [f"{name}, {number.name} at {moment}: code {code}: {Path(name, 'err').read_text()[-500:]}"]
        if code == 0:
            break
        is_fresh = False
        counts["kills"] += 1
        counts[f"{number.name} of {name}"] += 1
        counts["kills while a file was written"] += at_write
    else:
        code = run(name, None)
    if is_fresh:  # the machine has become faster, or was at first
        whole.seconds, whole.num_syncs = time.monotonic() - began, int(Path(name, "syncs").read_text())
    counts["ends"] += 1
    if code != 0:
        return [f"{name} does not go on: code {code}: {Path(name, 'err').read_text()[-500:]}"]
    left = left_by(name)
    return [f"{name}: {key} is another" for key in whole.left if left.get(key) != whole.left[key]]


def run(name: str, number: signal.Signals | None, moment: float = 0.0) -> int:
    """The command in a process of its own, killed by `number` after so many seconds, or at a write if that is whole."""
    child = os.fork()
    if child == 0:
        become(name, number, moment)
    if number is not None and isinstance(moment, float):
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)
        os.kill(child, number)  # one that has ended is still there until it is waited for
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(name: str, number: signal.Signals | None, moment: float) -> None:
    """The command itself; never returns."""
    from dpm_ppl.app.cli import main as command

    for stream, file in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}/{file}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    num_syncs, fsync = 0, os.fsync

    def sync(descriptor: int) -> None:
        """A file is synced before it takes the place of the old one, and its folder after."""
        nonlocal num_syncs
        num_syncs += 1
        if number is not None and num_syncs == moment:
            os.kill(os.getpid(), number)
        fsync(descriptor)

    os.fsync = sync
    sys.argv = ["dpm-ppl", *COMMANDS[name].replace("DIR", name).split()]
    code = 0
    try:
        command()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
        code = 99
    Path(name, "syncs").write_text(str(num_syncs))
    sys.stdout.flush()
    os._exit(code)


def left_by(name: str) -> dict[str, Any]:
    """All that a command has printed and written, without what tells the time of day, by file."""
    found: dict[str, Any] = {"printed": Path(name, "out").read_text()}
    for path in sorted(Path(name).rglob("*")):
        key = str(path.relative_to(name))
        if path.name in ("run.json", "data.json") or path.suffix == ".png":
            found[key] = path.read_bytes()
        elif path.suffix == ".html":
            found[key] = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", path.read_text())
        elif path.name == "metrics.jsonl":
            found[key] = [without_seconds(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".npz" and not is_older(path):
            found[key] = arrays_in(path)
        elif path.suffix == ".nc":
            from dpm_ppl.analysis.tree.tree import load

            found[key] = {node.path: node.to_dataset().to_dict() for node in load(path).subtree}
            found[key] = repr(found[key])
    return found


def is_older(path: Path) -> bool:
    """Whether a checkpoint is one of those before the last, whose moments are chance."""
    return path.parent.name == "checkpoints" and path != max(path.parent.glob("*.npz"))


def arrays_in(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        arrays = {name: (archive[name].dtype, archive[name].shape, archive[name].tobytes()) for name in archive.files}
        if "header" in arrays:
            header = json.loads(str(archive["header"]))
            record = without_seconds(header["meta"].get("record", {}))
            arrays["header"] = header | {"meta": header["meta"] | {"record": record}}
    return arrays


def without_seconds(row: dict[str, Any]) -> dict[str, Any]:
    rows = [without_seconds(one) for one in row.get("rows", [])]
    return {name: value for name, value in row.items() if name != "seconds"} | ({"rows": rows} if rows else {})


def repeat_until(enough: Any) -> Iterator[str]:
    """The commands in turn."""
    while True:
        for name in COMMANDS:
            if enough():
                return
            yield name


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
