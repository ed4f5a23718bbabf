"""`--memory` is the budget of the whole command."""

from dpm_ppl._common.memory import budget
from dpm_ppl.app.commands._options import with_memory
from tests.command_line import call


def test_a_command_runs_within_its_memory():
    seen = []

    def command(*, json: bool = False) -> None:
        seen.append((budget(), json))

    usual = budget()
    with_memory(command)(memory="2GB", json=True)
    with_memory(command)()
    assert seen == [(2 * 10**9, True), (usual, False)]


def test_commands_refuse_what_is_no_memory(tmp_path):
    for name in ("bounds", "sample", "report"):
        called = call(name, tmp_path, "--memory", "much")
        assert called.code == 2
        assert called.err.startswith("dpm-ppl: --memory: expected bytes, or a text with a unit, got 'much'; ")
