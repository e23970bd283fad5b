"""Find the numbers of a vector that start equal and learn alike."""

import torch
from torch import Tensor

from zeroinit._equal_rows import split_groups

#: Shorter vectors say too little, and of longer ones too many numbers are equal by chance.
SHORT, LONG = 8, 2**16
#: As large a part of a vector has equals before they count: fewer may be equal by chance.
PART = 0.01


class Entries:
    """The numbers of a vector, in groups that start equal, and the gradients that part them.

    One gradient of a single number says little. Those of several steps are compared together, and
    in the end one for other targets. Numbers that no gradient reaches are left aside.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.group = numbers.detach().unique(return_inverse=True)[1]
        self.gradients: list[Tensor] = []

    def learn(self, gradient: Tensor) -> None:
        """Part the numbers whose gradients, of all steps so far, differ."""
        if not self.equal():
            return
        self.gradients.append(gradient / gradient.abs().max())
        if len(self.gradients) > 1:
            self.group = split_groups(self.group, torch.stack(self.gradients, 1))

    def agree(self, other: "Entries") -> None:
        """Take over what parts them under another loss, from the same start."""
        self.group = torch.stack([self.group, other.group], 1).unique(dim=0, return_inverse=True)[1]
        self.gradients += other.gradients
        if self.known():
            self.group = split_groups(self.group, torch.stack(self.gradients, 1))

    def equal(self) -> int:
        """Return how many numbers learn as another does, or 0 if they are few."""
        reached = torch.ones_like(self.group, dtype=torch.bool)
        if self.gradients:
            reached = torch.stack(self.gradients).any(0)
        count = int(reached.sum()) - len(self.group[reached].unique())
        return count if count >= PART * len(self.group) else 0

    def known(self) -> bool:
        """Whether several gradients were compared."""
        return len(self.gradients) > 1


def entries_of(numbers: Tensor) -> Entries | None:
    """Return the numbers of a vector to watch, if it has equal ones and they can be told apart."""
    if torch.finfo(numbers.dtype).eps > 1e-6 or not SHORT <= len(numbers) <= LONG:
        return None
    found = Entries(numbers)
    return found if found.equal() else None
