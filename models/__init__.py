"""The zoo: experiments by name. A file declares one; nothing is read or built before it is called."""

from dpm_ppl.models.array import Array
from dpm_ppl.models.digits import Digits
from dpm_ppl.models.heartbeats import Heartbeat
from dpm_ppl.models.methods import METHODS
from dpm_ppl.models.swissroll import SwissRoll

EXPERIMENTS = {options.name: options for options in (Digits, SwissRoll, Heartbeat, Array)}

__all__ = ["EXPERIMENTS", "METHODS"]
