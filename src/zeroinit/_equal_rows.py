"""Find the rows of a matrix that are equal, exactly or up to rounding.

Nothing here knows of networks: the audit calls a row a unit, and equal ones twins.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

#: The integers that hold the bits of floating-point numbers, by their bytes.
BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

#: Matrices with no more numbers than this are compared in Python, which starts faster.
SMALL = 2**12
#: As many numbers of a large matrix are looked at in one go.
CHUNK = 2**20


class Alike(NamedTuple):
    """The rows that have an equal or are zero, the groups of these, and of all rows."""

    rows: Tensor
    group: Tensor
    of_all: Tensor
    distinct: int


def alike_rows(rows: Tensor) -> Alike:
    """Return the rows that are equal to another, to the last bit, and those that are zero."""
    device = rows.device
    none = torch.zeros(0, dtype=torch.long, device=device)
    if rows.numel() and rows.numel() <= SMALL:
        keys = _keys(rows)
        numbers: dict[bytes, int] = {}
        group = [numbers.setdefault(key, len(numbers)) for key in keys]
        sizes = [0] * len(numbers)
        for g in group:
            sizes[g] += 1
        zero = numbers.get(bytes(len(keys[0])), -1)
        if len(numbers) == len(keys) and zero < 0:
            return Alike(none, none, torch.arange(len(keys), device=device), len(keys))
        found = [n for n, g in enumerate(group) if sizes[g] > 1 or g == zero]
        of_all = torch.tensor(group, device=device)
        which = torch.tensor(found, device=device)
        return Alike(which, of_all[which], of_all, len(numbers))
    if not len(rows):
        return Alike(none, none, none, 0)
    if len(rows) > 1 and all_equal(rows):
        every = torch.zeros(len(rows), dtype=torch.long, device=device)
        return Alike(torch.arange(len(rows), device=device), every, every, 1)
    if bool(_all_differ(_starts(rows))):
        return Alike(none, none, torch.arange(len(rows), device=device), len(rows))
    prints = groups_of_equal(rows)
    _, of_all, size = prints.unique(return_inverse=True, return_counts=True)
    which = ((size[of_all] > 1) | (prints == 0)).nonzero().flatten()
    return Alike(which, of_all[which], of_all, len(size))


def without_equals(several: Mapping[T, Tensor]) -> dict[T, Alike]:
    """Return those of small matrices whose rows all differ, and none is zero: a shape at a time."""
    shapes: dict[Any, list[T]] = {}
    for key, rows in several.items():
        shapes.setdefault((rows.shape, rows.dtype, rows.device), []).append(key)
    found: dict[T, Alike] = {}
    for (shape, _, device), keys in shapes.items():
        starts = _starts(torch.cat([several[key] for key in keys]))
        apart = _all_differ(starts.view(len(keys), -1))
        every = torch.arange(shape[0], device=device)
        alike = Alike(every[:0], every[:0], every, shape[0])
        found |= {
            key: alike for key, is_apart in zip(keys, apart.tolist(), strict=True) if is_apart
        }
    return found


def _keys(rows: Tensor) -> list[bytes]:
    """Return the bits of each row; −0 is 0."""
    whole = (rows + 0.0).contiguous().view(torch.uint8).cpu().numpy().tobytes()
    step = len(whole) // len(rows)
    return [whole[n : n + step] for n in range(0, len(whole), step)]


def groups_of_equal(rows: Tensor) -> Tensor:
    """Return a number for every row, the same for rows that are equal to the last bit.

    Most rows differ in some of sixteen columns; only those that do not, or have nothing but zeros
    there, are compared whole. A row of zeros has the number 0.
    """
    group = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
    if not rows.numel():
        return group
    columns = spread(rows.shape[1]).to(rows.device)
    filled = heights(rows).nonzero().flatten()
    for some in filled.split(1 + CHUNK // 16):
        group[some] = _fingerprints(rows[some[:, None], columns])
    _, inverse, size = group[filled].unique(return_inverse=True, return_counts=True)
    alike = filled[(size[inverse] > 1) | (group[filled] == 0)]
    for some in alike.split(1 + CHUNK // rows.shape[1]):
        group[some] = _fingerprints(rows[some])
    return group


def any_number(t: Tensor) -> bool:
    """Whether a tensor has a number that is not zero."""
    plain = t.layout is torch.strided and not t.is_complex() and t.element_size() > 1
    if not plain or not t.ndim or not t.numel():  # amax() of Python's 0.0 in a graph is garbage
        return bool(t.any())
    return any(map(bool, t.aminmax()))  # ten times as fast as any()


def spread(length: int) -> Tensor:
    """Return sixteen places from the first to the last, or all if there are fewer."""
    some = min(16, length)
    return torch.arange(some, device="cpu") * (length - 1) // max(some - 1, 1)


def all_equal(rows: Tensor) -> bool:
    """Whether all rows are equal to the first, to the last bit; two passes tell it."""
    if not torch.equal(rows[0], rows[-1]):
        return False
    if not any_number(rows[0]):
        return not any_number(rows)
    return bool((rows.amax(0) == rows.amin(0)).all())


def heights(rows: Tensor) -> Tensor:
    """Return the largest number of each row, without its sign; NaN if one is."""
    return torch.maximum(rows.amax(1), -rows.amin(1))  # five times as fast as the norm


def _starts(rows: Tensor) -> Tensor:
    """Return 64 bits of every row, which tell most rows apart; −0 is 0."""
    few = 8 // rows.element_size()
    if rows.shape[1] < few:
        return torch.cat([_fingerprints(some) for some in rows.split(CHUNK)])
    return (rows[:, :few] + 0.0).contiguous().view(torch.int64)[:, 0]


def _all_differ(numbers: Tensor) -> Tensor:
    """Whether all numbers along the last axis differ, and none is zero."""
    ordered = numbers.sort().values
    return ordered.all(-1) & (ordered[..., 1:] != ordered[..., :-1]).all(-1)


def _fingerprints(rows: Tensor) -> Tensor:
    """Return for every row the sum of its bits with random factors, 64 bits wide; −0 is 0."""
    bits = (rows + 0.0).view(BITS[rows.element_size()]).long()
    generator = torch.Generator(rows.device).manual_seed(rows.shape[1])
    device = rows.device
    factors = torch.randint(-(2**62), 2**62, bits.shape[1:], generator=generator, device=device)
    return (bits * (2 * factors + 1)).sum(1)


def split_groups(
    group: Tensor, rows: Tensor, places: Tensor | None = None, largest: float = 1.0
) -> Tensor:
    """Split groups where the rows of their members differ by more than rounding.

    The rows are those at the places, or all; the size of their largest number may be told. Along a
    random direction equal rows are neighbours; neighbours are compared whole.
    """
    if places is None:
        places = torch.arange(len(rows), device=rows.device)
    _, group, size = group.unique(return_inverse=True, return_counts=True)
    alike = (size[group] > 1).nonzero().flatten()
    width = rows.shape[1]
    if not len(alike) or not width:
        return group
    precision = torch.finfo(rows.dtype).eps
    chance = (1e-3 / len(alike) ** 2) ** (1 / width)  # so near are two of them by chance
    if chance < precision:
        return torch.arange(len(group), device=group.device)
    _, exponent = math.frexp(largest)
    scale = 2.0 ** min(-exponent, 100)  # so that the squares of tiny numbers are no zeros
    near = min(max(100 * precision, precision ** (2 / 3)), 0.015, chance)
    if len(size) == 1 and len(alike) == len(rows) and _within(rows, scale, near / 2):
        return group
    order = _along_a_direction(rows, places[alike], scale).argsort()
    order = alike[order[group[alike[order]].argsort(stable=True)]]
    apart = torch.cat(
        [
            _differ(rows, places[order[n : n + step + 1]], scale, near)
            for step in [1 + CHUNK // width]
            for n in range(0, max(len(order) - 1, 1), step)
        ]
    )
    kin = group[order]
    new = (apart | (kin[1:] != kin[:-1])).long().cumsum(0)
    group[order] = len(size) + torch.cat([new.new_zeros(1), new])
    return group


def in_both(group: Tensor, other: Tensor) -> Tensor:
    """Return the groups of what is together in both."""
    _, group = group.unique(return_inverse=True)
    _, other = other.unique(return_inverse=True)
    both: Tensor = (group * len(other) + other).unique(return_inverse=True)[1]
    return both


def _along_a_direction(rows: Tensor, places: Tensor, scale: float) -> Tensor:
    """Return how far each row goes along a random direction."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    generator = torch.Generator(rows.device).manual_seed(0)
    direction = torch.randn(rows.shape[1], generator=generator, device=rows.device, dtype=dtype)
    step = 1 + CHUNK // rows.shape[1]
    return torch.cat([(rows[some].to(dtype) * scale) @ direction for some in places.split(step)])


def _within(rows: Tensor, scale: float, near: float) -> bool:
    """Whether no two rows can differ by more than rounding, as the range of each column says."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    low, high = rows.amin(0).to(dtype) * scale, rows.amax(0).to(dtype) * scale
    least = torch.maximum(low, -high).clamp(min=0)  # of each column, without signs
    return bool((high - low).norm() <= near * least.norm())


def _differ(rows: Tensor, places: Tensor, scale: float, near: float) -> Tensor:
    """Return whether each row, from the second on, differs from the one before it."""
    some = rows[places].to(torch.promote_types(rows.dtype, torch.float32)) * scale
    norm = some.norm(dim=1)
    apart: Tensor = (some[1:] - some[:-1]).norm(dim=1) > near * torch.maximum(norm[1:], norm[:-1])
    return apart
