"""IPVS over generic netlink.

abi                         the kernel's numbers
services servers sync config    values of the model <-> attributes, one sort each
requests                    the message that carries out a step
failure                     what a refusal of the kernel's means
client                      `Ipvs`: look at the table, carry out steps
"""

from lvsha.kernel.ipvs.client import AbsentError, Ipvs
from lvsha.kernel.ipvs.config import Info
from lvsha.kernel.ipvs.failure import Failure, StepError

__all__ = ["AbsentError", "Failure", "Info", "Ipvs", "StepError"]
