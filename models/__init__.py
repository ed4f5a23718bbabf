"""The zoo: experiments by name. A file declares one; nothing is read or built before it is called."""

from dpm_ppl.models.array import Array
from dpm_ppl.models.digits import Digits
from dpm_ppl.models.heartbeats import Heartbeat
from dpm_ppl.models.images.binary import MnistBinary
from dpm_ppl.models.images.cifar10 import Cifar10
from dpm_ppl.models.images.deadleaves import DeadLeaves
from dpm_ppl.models.images.mnist import Fashion, Mnist
from dpm_ppl.models.images.texture import Texture
from dpm_ppl.models.methods import METHODS
from dpm_ppl.models.swissroll import SwissRoll

IMAGES = (Digits, Mnist, Fashion, MnistBinary, DeadLeaves, Texture, Cifar10)
EXPERIMENTS = {options.name: options for options in (*IMAGES, SwissRoll, Heartbeat, Array)}

__all__ = ["EXPERIMENTS", "METHODS"]
