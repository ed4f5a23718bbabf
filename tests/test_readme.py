import contextlib
import io
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
(BLOCK,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_model_guide_and_svi_take_under_twenty_lines():
    lines = [line for line in BLOCK.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) < 20
    for name in ("reverse_chain", "forward_chain", "SVI(", "DiffusionELBO"):
        assert name in BLOCK


@pytest.mark.slow
def test_the_block_runs_and_learns_something():
    out, names = io.StringIO(), {}
    with contextlib.redirect_stdout(out):
        exec(compile(BLOCK, "README.md", "exec"), names)
    assert re.fullmatch(r"-\d.* nats/point \(n = 1,000\)\n", out.getvalue())
    dpm = names["dpm"]
    terms = dpm.bound(names["trained"], names["x_0"], names["jax"].random.key(0))
    learned = dpm.estimate(terms.K_minus_L_null)
    assert learned.mean > 4 * learned.se
