"""`FromGuide`: particles that a method draws by itself, a program's latent sites from its guide."""

from typing import ClassVar

import equinox as eqx

from dpm_ppl._common.types import Cost, Datum, PRNGKey
from dpm_ppl.likelihood.proposals.base import AbstractProposal
from dpm_ppl.methods.base import AbstractMethod


class FromGuide(AbstractProposal):
    """One draw of the guide: log w = log p(x_0, z) - log q(z | x_0). Without latent sites it is log p(x_0) itself."""

    num_particles: int = eqx.field(static=True, default=1)
    kind: ClassVar[str] = "guide"

    @property
    def independent_particles(self) -> bool:
        return True

    def check(self, method: AbstractMethod) -> None:
        """Every method that draws by itself will do."""

    def log_weight(self, method: AbstractMethod, x_0: Datum, key: PRNGKey, *, steps_chunk: int | None) -> Cost:
        return method.log_weight(x_0, key)
