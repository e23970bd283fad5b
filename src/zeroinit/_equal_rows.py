"""Find the rows of a matrix that are equal, exactly or up to rounding.

Nothing here knows of networks: the audit calls a row a unit, and equal ones twins.
"""

import torch
from torch import Tensor

#: The integers that hold the bits of floating-point numbers, by their bytes.
BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def groups_of_equal(rows: Tensor) -> Tensor:
    """Return a number for every row, the same for rows that are equal to the last bit.

    Most rows differ in some of sixteen columns; only those that do not are compared whole.
    """
    if not rows.numel():
        return torch.zeros(len(rows), dtype=torch.long, device=rows.device)
    columns = torch.linspace(0, rows.shape[1] - 1, 16, device=rows.device).long()
    group = _fingerprints(rows[:, columns])
    _, inverse, size = group.unique(return_inverse=True, return_counts=True)
    alike = (size[inverse] > 1).nonzero().flatten()
    for some in alike.split(1 + 2**22 // rows.shape[1]):
        group[some] = _fingerprints(rows[some])
    return group


def _fingerprints(rows: Tensor) -> Tensor:
    """Return for every row the sum of its bits with random factors, 64 bits wide; −0 is 0."""
    bits = (rows + 0.0).view(BITS[rows.element_size()]).long()
    generator = torch.Generator(rows.device).manual_seed(rows.shape[1])
    device = rows.device
    factors = torch.randint(-(2**62), 2**62, bits.shape[1:], generator=generator, device=device)
    return (bits * (2 * factors + 1)).sum(1)


def split_groups(group: Tensor, rows: Tensor) -> Tensor:
    """Split groups where the rows of their members differ by more than rounding.

    Along a random direction equal rows are neighbours; neighbours are compared whole.
    """
    _, group, size = group.unique(return_inverse=True, return_counts=True)
    alike = (size[group] > 1).nonzero().flatten()
    if not rows[alike].numel():
        return group
    some = rows[alike].to(torch.promote_types(rows.dtype, torch.float32))
    precision = torch.finfo(rows.dtype).eps
    chance = (1e-3 / len(some) ** 2) ** (1 / some.shape[1])  # so near are two of them by chance
    if chance < precision:
        return torch.arange(len(group), device=group.device)
    generator = torch.Generator(some.device).manual_seed(0)
    direction = torch.randn(
        some.shape[1], generator=generator, device=some.device, dtype=some.dtype
    )
    order = (some @ direction).argsort()
    order = order[group[alike[order]].argsort(stable=True)]
    some, kin = some[order], group[alike[order]]
    norm = some.norm(dim=1)
    near = min(max(100 * precision, precision ** (2 / 3)), 0.015, chance) * torch.maximum(
        norm[1:], norm[:-1]
    )
    apart = (some[1:] - some[:-1]).norm(dim=1) > near
    new = (apart | (kin[1:] != kin[:-1])).long().cumsum(0)
    group[alike[order]] = len(size) + torch.cat([new.new_zeros(1), new])
    return group
