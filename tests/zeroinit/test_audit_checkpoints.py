"""What is inside a reentrant checkpoint is judged as it is without the checkpoint."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from audited import Made, X, Y, classify
from torch import Tensor, nn

from zeroinit._checkpoint import in_sight
from zeroinit._reasons import ENDED, HIDES
from zeroinit.auditing import audit

Run = Callable[..., Tensor]


def plainly(function: Run, *inputs: Tensor) -> Tensor:
    return function(*inputs)


def reentrant(function: Run, *inputs: Tensor) -> Tensor:
    out: Tensor = torch.utils.checkpoint.checkpoint(function, *inputs, use_reentrant=True)
    return out


class CheckpointOfOthers(torch.autograd.Function):
    """A checkpoint as other libraries write their own; it refuses ``torch.autograd.grad``."""

    @staticmethod
    def forward(ctx: Any, function: Run, x: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(x)
        with torch.no_grad():
            return function(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        if not torch.autograd._is_checkpoint_valid():
            raise RuntimeError("Checkpointing is not compatible with .grad()")
        (x,) = (t.detach().requires_grad_() for t in ctx.saved_tensors)
        with torch.enable_grad():
            out = ctx.function(x)
        torch.autograd.backward(out, gradient)
        return None, x.grad


class Blocks(nn.Module):
    """Layers, and residual blocks that are run in some way."""

    def __init__(self, run: Callable[..., Tensor], kind: str = "healthy") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.run = run
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 3)
        self.ups = nn.ModuleList(nn.Linear(8, 6) for _ in range(2))
        self.downs = nn.ModuleList(nn.Linear(6, 8) for _ in range(2))
        self.shift = nn.Parameter(torch.tensor(0.5)) if kind == "rounding" else None
        layers: Any = zip(self.ups, self.downs, strict=True)
        for up, down in layers:
            if kind == "dead":
                nn.init.zeros_(up.weight)
                nn.init.zeros_(up.bias)
            if kind in ("dead", "waits"):
                nn.init.zeros_(down.weight)
            if kind == "twins":
                up.weight.data[1:], up.bias.data[1:] = up.weight.data[:1], up.bias.data[:1]
                down.weight.data[:, 1:] = down.weight.data[:, :1]

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for up, down in zip(self.ups, self.downs, strict=True):

            def part(h: Tensor, up: nn.Module = up, down: nn.Module = down) -> Any:
                if self.shift is not None:  # which the norm takes out again
                    h = F.layer_norm(h + self.shift, (8,))
                return h + F.dropout(down(up(h).tanh()), 0.1, self.training)

            h = self.run(part, h)
        scores: Tensor = self.last(h)
        return scores


def classify_again(model: nn.Module) -> Tensor:
    """The loss, with the same draw at each call."""
    torch.manual_seed(0)
    return classify(model)


@pytest.mark.parametrize("kind", ["healthy", "dead", "waits", "twins", "rounding"])
def test_findings_causes_and_remedies_are_those_without_the_checkpoint(kind: str) -> None:
    plain = audit(Blocks(plainly, kind), classify_again)
    assert audit(Blocks(reentrant, kind), classify_again) == plain
    assert plain.note == ""
    said = plain["shift" if kind == "rounding" else "ups.0.weight"]
    assert (said.kind, said.cause) == {
        "healthy": ("fine", ""),
        "dead": ("dead", "downs.0.weight and ups.0.weight are zero"),
        "waits": ("zero on purpose", "waits for downs.0.weight, which is zero"),
        "twins": ("twins", ""),
        "rounding": ("not used by this loss", "the terms of its gradient cancel"),
    }[kind]


def test_gradients_are_those_of_training_to_the_last_bit() -> None:
    """Also where the part inside draws."""
    trained, seen = Blocks(reentrant), Blocks(reentrant)
    classify_again(trained).backward()
    with in_sight():
        classify_again(seen).backward()
    for mine, its in zip(trained.parameters(), seen.parameters(), strict=True):
        assert mine.grad is not None
        assert its.grad is not None
        assert torch.equal(mine.grad, its.grad)


def test_what_is_computed_again_may_have_another_shape() -> None:
    """As no reentrant checkpoint compares what it computes again."""
    calls: list[int] = []

    def scaled(h: Tensor) -> Tensor:
        calls.append(1)
        return h.tanh() * torch.ones(1 if len(calls) % 2 else 8)

    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.b(reentrant(scaled, s.a(x))), a=nn.Linear(8, 8), b=nn.Linear(8, 3)
    )
    assert {f.kind for f in audit(model, classify)} == {"fine"}
    assert len(calls) == 3 * 2


def test_each_backward_pass_recomputes_once_as_in_training() -> None:
    model, calls = Blocks(reentrant), []
    model.ups[0].register_forward_hook(lambda *_: calls.append(1))
    assert audit(model, classify_again).steps == 3
    assert len(calls) == 3 * 2


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
def test_what_a_checkpoint_gives_no_gradient_stays_without_one() -> None:
    """No input wants a gradient, so training gives none to what is inside."""
    torch.manual_seed(0)
    model: Any = Made(
        lambda s, x: s.b(reentrant(s.a, x)) + s.c(x),
        a=nn.Linear(8, 8), b=nn.Linear(8, 3), c=nn.Linear(8, 3),
    )  # fmt: skip
    found = audit(model, classify)
    classify(model).backward()
    for name, p in model.named_parameters():
        assert (found[name].kind == "fine") == (p.grad is not None)


@pytest.mark.parametrize("kind", ["healthy", "dead", "rounding"])
def test_a_checkpoint_of_another_library_is_named_as_out_of_sight(kind: str) -> None:
    found = audit(Blocks(CheckpointOfOthers.apply, kind), classify_again)
    plain = audit(Blocks(plainly, kind), classify_again)
    assert found.note.startswith("CheckpointOfOthers hides a part of the network")
    assert "CheckpointOfOthers" in str(found)
    assert {f.cause for f in found} == {""}
    if kind != "rounding":  # that this gradient is rounding is what cannot be known
        assert [f.kind for f in found] == [f.kind for f in plain]
    assert audit(Blocks(plainly, kind), [classify_again, classify_again]).note == ""
    both = [lambda m: classify_again(m.first), classify_again]
    model = Blocks(CheckpointOfOthers.apply, kind)
    assert audit(model, both).note == found.note


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("waits", "i.weight", "zero on purpose (wakes at step 2)"),
        ("twins", "i.weight", "twins (8 units act as 1)"),
        ("rounding", "shift", "fine"),  # nobody has looked
    ],
)
def test_nothing_is_looked_for_before_a_checkpoint_of_another_library(
    kind: str, name: str, said: str
) -> None:
    """It serves ``backward()`` alone."""

    def how(s: Any, x: Tensor) -> Tensor:
        h = s.i(x) + s.shift
        h = F.layer_norm(h, (8,)) if kind == "rounding" else h.tanh()
        out: Tensor = s.b(CheckpointOfOthers.apply(s.a, h))  # type: ignore[no-untyped-call]
        return out

    torch.manual_seed(0)
    model: Any = Made(how, i=nn.Linear(8, 8), a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    model.shift = nn.Parameter(torch.tensor(0.5))
    with torch.no_grad():
        if kind == "waits":
            model.a.weight.zero_()
        if kind == "twins":
            model.i.weight[1:], model.i.bias[1:] = model.i.weight[:1], model.i.bias[:1]
            model.a.weight[:, 1:] = model.a.weight[:, :1]
    found = audit(model, classify)
    assert found[name].verdict == said
    assert found.note.startswith("CheckpointOfOthers hides a part of the network")


def test_all_that_is_to_be_noted_is_one_line() -> None:
    """A copy is audited, a part of it is hidden, and the batches end before all is known."""

    def how(s: Any, x: Tensor) -> Tensor:
        out: Tensor = s.b(CheckpointOfOthers.apply(s.c, s.i(x))) + s.a(x).detach()  # type: ignore[no-untyped-call]
        return out

    torch.manual_seed(0)
    with torch.inference_mode():
        parts = {"i": nn.Linear(8, 8), "c": nn.Linear(8, 8), "b": nn.Linear(8, 3)}
        model: Any = Made(how, a=nn.Linear(8, 3), **parts)
    batches = iter([X] * 3)
    found = audit(model, lambda m: F.cross_entropy(m(next(batches)), Y))
    copied = "on a copy: what was made in inference mode cannot be changed"
    assert found.note == "; ".join([copied, ENDED, HIDES.format("CheckpointOfOthers")])


def test_pytorchs_checkpoint_is_put_back() -> None:
    there = torch.utils.checkpoint.CheckpointFunction
    with pytest.raises(ValueError, match="the loss must be a tensor"):
        audit(Blocks(reentrant), lambda model: [classify(model)])  # type: ignore[arg-type,return-value]
    assert torch.utils.checkpoint.CheckpointFunction is there
