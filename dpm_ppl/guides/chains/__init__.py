"""Pairs of chains that lead the draws of a guide on and back, and the law of their paths. Come here to write a pair."""

from dpm_ppl.guides.chains.base import AbstractChainPair, Departure
from dpm_ppl.guides.chains.bridge import Bridge
from dpm_ppl.guides.chains.exchanged import Exchanged
from dpm_ppl.guides.chains.path import PathLaw

__all__ = ["AbstractChainPair", "Bridge", "Departure", "Exchanged", "PathLaw"]
