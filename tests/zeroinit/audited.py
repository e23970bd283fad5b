"""What the tests of the audit share: a batch, its loss, and networks made of parts."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (32,), generator=torch.Generator().manual_seed(1))
SOME = torch.tensor([1.0, 2.0, 4.0])  # another number for each output


def classify(model: nn.Module) -> Tensor:
    return F.cross_entropy(model(X), Y)


class Made(nn.Module):
    """A network of some parts, and a function that says how they are used."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.how = forward

    def forward(self, x: Tensor) -> Any:
        return self.how(self, x)
