"""The zoo: experiments by name. A file declares one; nothing is read or built before it is called."""

from dpm_ppl.models import array, digits, heartbeats, swissroll
from dpm_ppl.models.methods import METHODS

EXPERIMENTS = {
    "digits": digits.experiment,
    "swissroll": swissroll.experiment,
    "heartbeat": heartbeats.experiment,
    "array": array.experiment,
}

__all__ = ["EXPERIMENTS", "METHODS"]
