"""Starts of neural networks, all-zero and other, and what gradient descent makes of them.

Each public name is imported from its module when it is first used (PEP 562). So ``from zeroinit
import audit`` imports no training code, and a page of the book runs again only if a module that it
uses has changed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors read; a test compares it with _MODULES
    from zeroinit.auditing import assert_trainable as assert_trainable
    from zeroinit.auditing import audit as audit
    from zeroinit.data import Data as Data
    from zeroinit.data import half_plane as half_plane
    from zeroinit.data import moons as moons
    from zeroinit.data import xor as xor
    from zeroinit.initialization import angles_ as angles_
    from zeroinit.initialization import constant_ as constant_
    from zeroinit.initialization import default_ as default_
    from zeroinit.initialization import kaiming_normal_ as kaiming_normal_
    from zeroinit.initialization import log_prior_ as log_prior_
    from zeroinit.initialization import normal_ as normal_
    from zeroinit.initialization import tie_ as tie_
    from zeroinit.initialization import tied_ as tied_
    from zeroinit.initialization import xavier_normal_ as xavier_normal_
    from zeroinit.initialization import zeros_ as zeros_
    from zeroinit.networks import MLP as MLP
    from zeroinit.networks import linear_layers as linear_layers
    from zeroinit.report import Audit as Audit
    from zeroinit.report import Finding as Finding
    from zeroinit.signals import signal as signal
    from zeroinit.symmetry import collapse as collapse
    from zeroinit.symmetry import distinct_units as distinct_units
    from zeroinit.symmetry import gap as gap
    from zeroinit.symmetry import permute as permute
    from zeroinit.symmetry import twins as twins
    from zeroinit.symmetry import units as units
    from zeroinit.training import Run as Run
    from zeroinit.training import train as train
    from zeroinit.training import train_many as train_many

else:
    _MODULES = {
        "assert_trainable": "auditing",
        "audit": "auditing",
        "Data": "data",
        "half_plane": "data",
        "moons": "data",
        "xor": "data",
        "angles_": "initialization",
        "constant_": "initialization",
        "default_": "initialization",
        "kaiming_normal_": "initialization",
        "log_prior_": "initialization",
        "normal_": "initialization",
        "tie_": "initialization",
        "tied_": "initialization",
        "xavier_normal_": "initialization",
        "zeros_": "initialization",
        "MLP": "networks",
        "linear_layers": "networks",
        "Audit": "report",
        "Finding": "report",
        "signal": "signals",
        "collapse": "symmetry",
        "distinct_units": "symmetry",
        "gap": "symmetry",
        "permute": "symmetry",
        "twins": "symmetry",
        "units": "symmetry",
        "Run": "training",
        "train": "training",
        "train_many": "training",
    }
    __all__ = [*_MODULES]

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"zeroinit.{_MODULES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
