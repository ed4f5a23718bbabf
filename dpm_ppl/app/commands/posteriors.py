"""`dpm-ppl posteriors`."""

from pathlib import Path
from typing import Annotated

import tyro

from dpm_ppl.app.commands._arguments import Whole, WholeOrNone
from dpm_ppl.app.commands._output import print_json


def posteriors(
    name: Annotated[str | None, tyro.conf.Positional] = None,
    *,
    guides: tuple[str, ...] = (),
    reference: str | None = None,
    updates: WholeOrNone = None,
    seconds: float | None = None,
    num_particles: Whole = 20_000,
    seed: Whole = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """List the zoo's posteriors of other models, or fit guides to one of them and compare what they say.

    Args:
        name: One that the list names; the list itself if not given.
        guides: Guides to fit: normal, mvn, iaf, bnaf, dais, diffusion-mvn, diffusion-iaf, exchanged-iaf; all but the
            last if not given.
        reference: Draws that guides are held against: "exact", which few posteriors have, "nuts", or "none"; exact ones
            where there are any, else of NUTS, if not given.
        updates: Updates of each guide, and as many of a base; 15,000 and 2,000 if not given.
        seconds: Time for the updates of each guide and its base, in place of their numbers.
        num_particles: Draws of each guide behind its figures.
        seed: Seed of fits and draws.
        out: Directory of the page guides.html; runs/posteriors-NAME if not given.
        json: Print one JSON object.
    """
    from dpm_ppl.app.console.reporting import print_table
    from dpm_ppl.app.guides import compare_on, described, fit_settings
    from dpm_ppl.experiments.options import LAST_SEED, check_range

    if name is None:
        if json:
            print_json(described())
            return
        for one, about in described().items():
            print(f"{one}\n    {about}")
        return
    check_range("--seed", seed, 0, LAST_SEED)
    for flag, number in (("--updates", updates), ("--num-particles", num_particles)):
        if number is not None:
            check_range(flag, number, 2)
    page, compared = compare_on(name, guides, reference, fit_settings(updates, seconds), num_particles, seed, out)
    if json:
        print_json({"posterior": name, "page": str(page), **compared.as_json()})
        return
    print_table(compared.table())
    for line in compared.verdicts():
        print(line)
    print(f"page: {page}")
