"""A parameter under watch, seen as units: what its gradients say, and the verdict in the end."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from zeroinit._entries import Entries, entries_of
from zeroinit._equal_rows import (
    SMALL,
    Alike,
    alike_rows,
    any_number,
    heights,
    in_both,
    split_groups,
    without_equals,
)
from zeroinit._graph import Uses
from zeroinit._kept import writable
from zeroinit._sharded import parameter_of, whole
from zeroinit.report import Finding

#: The layers whose every unit sees every batch; of others, some rows may be for what a batch lacks.
LAYERS = (nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)

#: Weights, and gradients beside the loss, outside of these sizes are worth a line.
SMALLEST, LARGEST = 1e-8, 1e6


class Watched:
    """A parameter on its way through the steps, seen as units: one for each output."""

    def __init__(
        self, names: Sequence[str], module: nn.Module, own: str, layer: nn.Module, uses: Uses
    ) -> None:
        self.name, self.names, self.module, self.own = names[0], tuple(names), module, own
        self.parameter = parameter_of(module._parameters[own])  # type: ignore[arg-type]
        self.trained = self.parameter.requires_grad
        key = id(self.parameter)
        self.layer = isinstance(layer, LAYERS)
        self.groups = 0  # of a transposed convolution, whose outputs are the second axis
        if isinstance(layer, _ConvTransposeNd) and self.parameter.ndim > 1:
            outputs = self.parameter.shape[1] * layer.groups
            self.groups = layer.groups if outputs == layer.out_channels else 0
        self.turned = key in uses.turned and not self.layer
        self.factor = self.layer or self.turned or key in uses.rows  # each unit is an output
        self.table = key in uses.tables
        self.output, self.gated = key in uses.outputs, key in uses.gated
        #: the batch tells its units apart; one number is too little to go by
        self.told_apart = self.output or self.gated or self.table or self.parameter.ndim < 2
        self.writable = writable(self.parameter)
        self.weight: Watched | None = None  # of a bias, the weights of the same units
        self.wakes: int | None = None
        self.used = False
        self.missed = False  # whether the first step's graph had no place for it
        self.rounding: int | None = None  # its first step with a gradient that is rounding
        self.noise = 0.0  # as large a gradient can be made of rounding
        self.steepest = 0.0  # of its first gradient
        self.left_out = False

    def begin(self, alike: Alike | None) -> None:
        """Look at the numbers, of which equal rows may be known."""
        rows = self.rows(self.parameter)
        self.alike = alike or alike_rows(rows)
        self.units = self.unseen = len(rows)
        self.distinct_after = self.alike.distinct
        self.entries: Entries | None = None
        equal = self.alike.distinct < self.units
        vector = rows.shape[1] == 1 and not (self.table or self.output or self.gated)
        if self.trained and equal and vector:
            self.entries = entries_of(rows[:, 0])
        self.zero = self._zero(rows)  # of the units to watch, as what follows
        self.all_zero = len(self.zero) == self.units and bool(self.zero.all())
        self.moved = torch.zeros_like(self.zero)
        self.group = self.alike.group
        norm = 0.0 if self.all_zero else float(torch.linalg.vector_norm(rows))
        self.size = norm / math.sqrt(rows.numel() or 1)
        self.usual = min(1.0, 64 / (rows.shape[1] or 1))  # so that wide sums stay small
        self.reached = torch.zeros(self.units, dtype=torch.bool, device=rows.device)

    def rows(self, t: Tensor) -> Tensor:
        """Return a matrix with a row for each unit."""
        t = whole(t.detach())
        if t.is_complex():
            t = torch.view_as_real(t)
        if not t.is_floating_point() or t.element_size() == 1:
            t = t.float()  # the numbers of a frozen, quantized weight
        if self.groups and t.ndim:
            t = t.unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        elif t.ndim in (2, 3) and self.turned:
            t = t.transpose(-1, -2)
        if t.ndim > 2 and not self.layer:
            t = t.flatten(0, -2)  # a stack of matrices, such as those of experts
        return t.reshape(len(t), math.prod(t.shape[1:])) if t.ndim else t.reshape(1, 1)

    def places(self, units: Tensor) -> Tensor:
        """Return, in a row for each of some units, where its numbers stand in the parameter."""
        # In double precision, which rows keep as it is.
        numbers = torch.arange(self.parameter.numel(), dtype=torch.float64)
        return self.rows(numbers.view(self.parameter.shape))[units.cpu()].long()

    def _zero(self, rows: Tensor) -> Tensor:
        """Return which of the rows to watch are zero."""
        if self.alike.distinct > 1 and len(self.alike.rows):
            return heights(rows)[self.alike.rows] == 0
        zero = len(self.alike.rows) > 0 and not any_number(rows[0])
        return torch.full_like(self.alike.rows, zero, dtype=torch.bool)

    def join(self, weight: "Watched") -> None:
        """Join a bias to the weights of its units: twins are equal in both."""
        self.weight, self.entries = weight, None
        if len(weight.alike.rows):
            mine = self.rows(self.parameter)[weight.alike.rows]
            weight.group = in_both(weight.group, alike_rows(mine).of_all)

    def look(self, gradient: Tensor) -> "Slope":
        """Return a gradient as rows, with the largest number of each."""
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            return Slope(gradient, self, gradient.indices()[0])
        return Slope(gradient, self, None)

    def learn(self, slope: "Slope", step: int) -> None:
        """Take in what a gradient says."""
        if not slope.steepest:
            return
        if self.wakes is None:
            self.wakes, self.steepest = step, slope.steepest
        if self.unseen:
            touched = slope.heights > 0
            if slope.at is None:
                self.reached |= touched
            else:
                self.reached[slope.at[touched]] = True
            self.unseen = self.units - int(self.reached.sum())
        if step <= 3 or step <= self.wakes + 1:  # those that are left are compared in the end
            self.split(slope)

    def move(self, slope: "Slope", step: int) -> None:
        """Move against a gradient.

        The steepest number moves by a hundredth of the parameter's root mean square at most; as no
        step is as long as another, none undoes another.
        """
        if slope.steepest and self.writable:
            slope.step(self.parameter.data, 0.01 * (self.size or self.usual) * step / (step + 1))

    def split(self, slope: "Slope") -> None:
        """Part the units whose gradients differ."""
        if self.entries and slope.at is None and slope.steepest:
            self.entries.learn(slope.rows()[:, 0])
        if not len(self.alike.rows) or self.told_apart:
            return
        if slope.at is None:
            which = (slope.heights[self.alike.rows] > 0).nonzero().flatten()
            places = self.alike.rows[which]
        else:
            place = torch.full((self.units,), -1, device=slope.at.device)
            place[slope.at] = torch.arange(len(slope.at), device=slope.at.device)
            places = place[self.alike.rows]
            which = (places >= 0).nonzero().flatten()
            places = places[which]
        if len(which):
            self.moved[which] = True
            parted = split_groups(self.group[which], slope.rows(), places, slope.steepest)
            self.group[which] = parted + self.group.max() + 1

    def agree(self, other: "Watched") -> None:
        """Take over what another loss shows, from the same start: what it moves, and parts."""
        self.wakes = min(filter(None, (self.wakes, other.wakes)), default=None)
        self.used |= other.used
        self.missed &= other.missed
        self.rounding = self.rounding or other.rounding
        self.steepest = max(self.steepest, other.steepest)
        self.moved |= other.moved
        self.reached |= other.reached
        self.unseen = self.units - int(self.reached.sum())
        self.distinct_after = max(self.distinct_after, other.distinct_after)
        if len(self.group):
            self.group = in_both(self.group, other.group)
        if self.entries and other.entries:
            self.entries.agree(other.entries)
        else:
            self.entries = None

    def act_as(self) -> int:
        """Return as how many units the units learn."""
        if self.weight is not None:
            return self.weight.act_as()
        if self.entries and self.wakes and self.entries.known() and self.entries.equal():
            return self.units - self.entries.equal()
        members = self.group[self.moved]
        return self.units - len(members) + len(members.unique())

    def may_be_twins(self) -> bool:
        """Whether some of its units have been equal so far."""
        if self.entries and self.entries.equal():
            return True
        return self.weight is None and len(self.group) > 1 and self.act_as() < self.units

    def asleep(self) -> int:
        """Return how many units of weight zero no step has given a gradient."""
        if self.parameter.ndim < 2 or self.table or not self.factor:
            return 0  # a token or a position may be missing, a bias may be out of reach
        if self.output and self.wakes:
            return 0  # the loss asks nothing more of these outputs
        return len(self.sleeping()) if self.unseen and len(self.zero) else 0

    def sleeping(self) -> Tensor:
        """Return the places of the units of weight zero that no step has given a gradient."""
        return self.alike.rows[self.zero & ~self.reached[self.alike.rows]]

    def seems_dead(self) -> bool:
        """Whether it is, so far, dead in part or whole."""
        if not (self.trained and self.used and self.parameter.numel()):
            return False
        return bool(self.asleep()) or (self.wakes is None and self.rounding is None)

    def kind(self, moving: bool) -> str:
        """Return the kind of finding, in a network of which something moves, or nothing."""
        if not self.trained:
            return "frozen"
        if not self.writable:
            return "shared memory"
        if not self.used:
            return "not used by this loss"
        if not self.parameter.numel():
            return "fine"
        if self.asleep() or (self.wakes is None and not (self.rounding and moving)):
            return "dead"
        if self.act_as() < self.units:
            return "twins"
        if self.wakes is None:
            return "not used by this loss"  # such as the bias of a key, or one before a BatchNorm
        if self.wakes > 1 and (self.missed or self.left_out):
            return "left out"
        if self.wakes > 1:
            return "zero on purpose"
        too_small = self.parameter.ndim > 1 and 0 < self.size < SMALLEST
        if too_small or self.size > LARGEST or self.steepest > LARGEST:
            return "out of scale"
        if self.unreached() and not self.embeds():
            return "unreached"
        return "zero on purpose" if self.all_zero and "bias" not in self.own else "fine"

    def embeds(self) -> bool:
        """Whether its rows are for tokens, of which every batch lacks some."""
        return isinstance(self.module, nn.Embedding | nn.EmbeddingBag)

    def unreached(self) -> int:
        """Return how many units, beside those that are dead, no step gave a gradient."""
        if self.wakes is None or (self.parameter.ndim < 2 and "bias" in self.own):
            return 0
        return self.unseen - self.asleep()

    def finding(self, moving: bool) -> Finding:
        """Say what was seen, in a network of which something moves, or nothing."""
        return Finding(
            name=self.name,
            names=self.names,
            shape=tuple(self.parameter.shape),
            wakes=self.wakes,
            units=self.units,
            distinct=self.alike.distinct,
            distinct_after=self.distinct_after,
            act_as=self.act_as(),
            dead=self.units if self.wakes is None else self.asleep(),
            unreached=self.unreached(),
            kind=self.kind(moving),
        )

    def end(self, all_differ: bool) -> None:
        """Count the different units now; those that no step gave a gradient are as they were."""
        others = min(self.unseen, self.alike.distinct)
        if self.unseen and 1 < self.alike.distinct < self.units:
            others = len(self.alike.of_all[~self.reached].unique())
        if all_differ:
            self.distinct_after = others + self.units - self.unseen
        else:
            rows = self.rows(self.parameter)
            rows = rows[self.reached] if self.unseen else rows
            self.distinct_after = others + alike_rows(rows).distinct


def begin(several: Iterable[Watched]) -> None:
    """Look at the numbers of parameters before the first step."""
    known = _without_equals(several)
    for w in several:
        w.begin(known.get(w))


def end(several: Iterable[Watched]) -> None:
    """Look at the numbers of parameters after the last step."""
    moved = [w for w in several if w.wakes is not None]
    known = _without_equals(moved)
    for w in moved:
        w.end(w in known)


def _without_equals(several: Iterable[Watched]) -> dict[Watched, Alike]:
    return without_equals(
        {w: w.rows(w.parameter) for w in several if 0 < w.parameter.numel() <= SMALL}
    )


def measure(slopes: Iterable["Slope"]) -> None:
    """Find the largest numbers of small gradients, all of one shape and dtype at once."""
    small: dict[tuple[torch.Size, torch.dtype, torch.device], list[tuple[Slope, Tensor]]] = {}
    for slope in slopes:
        rows = slope.rows()
        if 0 < rows.numel() <= SMALL:
            small.setdefault((rows.shape, rows.dtype, rows.device), []).append((slope, rows))
    for alike in small.values():
        tall = heights(torch.cat([rows for _, rows in alike])).view(len(alike), -1)
        for (slope, _), own, steepest in zip(alike, tall, tall.amax(1).tolist(), strict=True):
            slope.heights, slope.steepest = own, steepest


class Slope:
    """A gradient as rows: all of them, or those at some places.

    Of a gradient that is sharded the rows are put together when they are asked for, and let go.
    """

    def __init__(self, gradient: Tensor, watched: Watched, at: Tensor | None) -> None:
        self.gradient, self.watched, self.at = gradient, watched, at

    def rows(self) -> Tensor:
        """Return the rows of the units."""
        if self.at is None:
            return self.watched.rows(self.gradient)
        values = self.gradient.values()
        return values.reshape(len(values), -1)

    @cached_property
    def heights(self) -> Tensor:
        """The largest number of each row, without its sign."""
        rows = self.rows()
        return heights(rows) if rows.numel() else rows.new_zeros(len(rows))

    @cached_property
    def steepest(self) -> float:
        """The largest number of all."""
        return float(self.heights.max()) if len(self.heights) else 0.0

    def step(self, numbers: Tensor, length: float) -> None:
        """Move numbers against the gradient, the steepest one by a length."""
        gradient = self.gradient if self.at is None else self.gradient.values()
        steepest = self.steepest
        largest = torch.finfo(gradient.dtype).max / 2.0**12
        while length > largest * steepest:  # so that the factor below is no infinity
            gradient, steepest = gradient * 2.0**12, steepest * 2.0**12
        if self.at is None:
            numbers.add_(gradient, alpha=-length / steepest)
        else:
            numbers.index_add_(0, self.at, gradient, alpha=-length / steepest)
