"""Schedules: how much noise each step of the forward chain adds, beta_1 ... beta_T.

- `LogSNR` is linear in the log of signal to noise, and the one to start with for real data.
- `Erasure` removes the same share of the data in every step, as the paper does for bits.
- `Linear` and `Cosine` are those of later diffusion models, and `Fixed` takes any rates of your own.
- `Learned` trains the rates, from those of another schedule.
- `LearnedLogSNR` trains a log-SNR in continuous time and its two ends. `LogSNR` is an `AbstractLogSNR` too.
- `Strided` is some of the steps of another one.
- A schedule of your own is a subclass of `AbstractSchedule`. `Step` is what kernels and networks are told of a step.
"""

from dpm_ppl.schedules.base import AbstractSchedule
from dpm_ppl.schedules.fixed import Cosine, Erasure, Fixed, Linear, LogSNR
from dpm_ppl.schedules.learned import Learned
from dpm_ppl.schedules.log_snr import AbstractLogSNR, LearnedLogSNR
from dpm_ppl.schedules.steps import Step
from dpm_ppl.schedules.strided import Strided

__all__ = [
    "AbstractLogSNR",
    "AbstractSchedule",
    "Cosine",
    "Erasure",
    "Fixed",
    "Learned",
    "LearnedLogSNR",
    "Linear",
    "LogSNR",
    "Step",
    "Strided",
]
