"""Starts of neural networks, all-zero and other, and what gradient descent makes of them."""

from zeroinit.auditing import assert_trainable, audit
from zeroinit.data import Data, half_plane, moons, xor
from zeroinit.initialization import (
    angles_,
    constant_,
    default_,
    kaiming_normal_,
    log_prior_,
    normal_,
    tie_,
    tied_,
    xavier_normal_,
    zeros_,
)
from zeroinit.networks import MLP, linear_layers
from zeroinit.report import Audit, Finding
from zeroinit.symmetry import collapse, distinct_units, gap, permute, twins, units
from zeroinit.training import Run, train, train_many

__all__ = [
    "MLP",
    "Audit",
    "Data",
    "Finding",
    "Run",
    "angles_",
    "assert_trainable",
    "audit",
    "collapse",
    "constant_",
    "default_",
    "distinct_units",
    "gap",
    "half_plane",
    "kaiming_normal_",
    "linear_layers",
    "log_prior_",
    "moons",
    "normal_",
    "permute",
    "tie_",
    "tied_",
    "train",
    "train_many",
    "twins",
    "units",
    "xavier_normal_",
    "xor",
    "zeros_",
]
