"""Faults to put into a network, and the verdicts that they must get by the mathematics.

A product with two zero factors has gradient zero in both; equal units that are treated alike stay
equal; where the slope is zero nothing passes. So the verdicts are written down here, and in
``architectures.py``, before an audit is run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

#: The faults, in the order of the table.
FAULTS = (
    "layer zeroed twice over",
    "q = k = 0",
    "both LoRA factors zero",
    "γ = 0 before a ReLU",
    "frozen zero at the end of a branch",
    "tied embedding zero",
    "every ReLU off",
    "saturated tanh",
    "one token to attend to",
    "rounded activations",
    "constant layer",
    "equal units before a frozen layer",
    "equal units under weight_norm",
    "two identical heads",
    "two identical experts",
    "numbers that share memory",
    "zero embedding",
    "half of the ReLUs off",
    "weights of 1e-10 in a layer",
    "layer left out by a draw",
    "router that renormalizes its one choice",
    "detached branch",
    "module that is never called",
    "NaN in the forward",
)
DEAD, UNUSED = "dead", "not used by this loss"
#: The parameters of each of the three maps of an attention layer, with biases and without.
BIASED: dict[str, Sequence[str]] = {x: ("weight", "bias") for x in "qkv"}
PLAIN: dict[str, Sequence[str]] = {x: ("weight",) for x in "qkv"}
#: The parameters of a Mamba mixer that hold a number for every channel.
SCAN = (
    "A_log",
    "D",
    "conv1d.weight",
    "conv1d.bias",
    "x_proj.weight",
    "dt_proj.weight",
    "dt_proj.bias",
)

Inject = Callable[[nn.Module], None]
Loss = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Fault:
    """A fault, the verdicts it must get, and what it needs."""

    inject: Inject
    expected: Mapping[str, str]  #: a verdict, or a kind of them, by the parameter's name
    config: Mapping[str, Any] = field(default_factory=dict)
    training: bool = True
    cause: Sequence[str] = ()  #: what the cause of the expected verdicts must say, any of them
    rest: str = ""  #: the verdict of all other parameters, if they must have one
    error: str = ""  #: what the audit must say if there is nothing to judge
    loss: Loss | None = None  #: in place of the network's own


def module_of(name: str) -> str:
    """Return the name of the module that owns a parameter."""
    return name.rpartition(".")[0]


@torch.no_grad()
def fill(names: Sequence[str], value: float, model: nn.Module) -> None:
    """Fill the parameters with a value."""
    for name in names:
        model.get_parameter(name).fill_(value)


def fill_frozen(names: Sequence[str], value: float, model: nn.Module) -> None:
    """Fill the parameters with a value, and freeze them."""
    fill(names, value, model)
    for name in names:
        model.get_parameter(name).requires_grad_(False)


@torch.no_grad()
def scale(names: Sequence[str], factor: float, model: nn.Module) -> None:
    """Multiply the parameters by a factor."""
    for name in names:
        model.get_parameter(name).mul_(factor)


@torch.no_grad()
def turn_off(name: str, units: int, model: nn.Module) -> None:
    """Give the first units a bias that no activation of the network reaches."""
    model.get_parameter(name)[:units] = -50


@torch.no_grad()
def forget_scores(names: Sequence[str], model: nn.Module) -> None:
    """Zero the first two thirds, q and k, of a layer that computes q, k and v at once."""
    for name in names:
        for part in model.get_parameter(name).chunk(3, -1)[:2]:
            part.zero_()


@torch.no_grad()
def repeat(places: Sequence[tuple[str, int, int]], model: nn.Module) -> None:
    """Copy the first head into the second: a parameter's name, its parts, and their axis."""
    for name, parts, axis in places:
        for part in model.get_parameter(name).chunk(parts, axis):
            first, second = part.chunk(2, axis)
            second.copy_(first)


@torch.no_grad()
def repeat_expert(names: Sequence[str], model: nn.Module) -> None:
    """Copy the first expert, and its row of the router, into the second."""
    for name in names:
        parameter = model.get_parameter(name)
        parameter[1] = parameter[0]


@torch.no_grad()
def repeat_channel(name: str, model: nn.Module) -> None:
    """Give every channel of a Mamba mixer the numbers of the first."""
    mixer = model.get_submodule(name)
    for half in mixer.get_parameter("in_proj.weight").chunk(2):
        half.copy_(half[:1].clone())
    for own in SCAN:
        axis = int(own == "x_proj.weight")
        parameter = mixer.get_parameter(own)
        parameter.copy_(parameter.narrow(axis, 0, 1).clone())
    out = mixer.get_parameter("out_proj.weight")
    out.copy_(out[:, :1].clone())


@torch.no_grad()
def tie(into: Sequence[str], out: Sequence[str], turned: bool, model: nn.Module) -> None:
    """Give every unit of a hidden layer the weights of the first, in and out."""
    for name in into:
        own = model.get_parameter(name)
        own.copy_((own[:, :1] if turned and own.ndim > 1 else own[:1]).clone())
    for name in out:
        own = model.get_parameter(name)
        own.copy_((own[:1] if turned else own[:, :1]).clone())


def normalize(names: Sequence[str], model: nn.Module) -> None:
    """Let weight_norm compute the weights among the parameters."""
    for name in names:
        if name.endswith("weight"):
            parametrizations.weight_norm(model.get_submodule(module_of(name)))


def in_steps(activations: Tensor) -> Tensor:
    """Round to steps of a thousandth, as a quantizer without a gradient of its own does."""
    return (activations * 1024).round() / 1024


def pass_on(names: Sequence[str], change: Callable[[Tensor], Tensor], model: nn.Module) -> None:
    """Change what the modules that own the parameters pass on."""
    for module in dict.fromkeys(map(module_of, names)):
        model.get_submodule(module).register_forward_hook(lambda _, inputs, out: change(out))


def share(name: str, model: nn.Module) -> None:
    """Let the numbers of a parameter be one number in memory, as ``expand`` makes them."""
    value = model.get_parameter(name)
    shared = nn.Parameter(value.detach().flatten()[:1].expand(value.shape))
    setattr(model.get_submodule(module_of(name)), name.rpartition(".")[2], shared)


def add_spare(model: nn.Module) -> None:
    """Add a layer that nothing calls."""
    model.add_module("spare", nn.Linear(4, 4))


def dead(names: Sequence[str], *followers: str, **config: Any) -> Fault:
    """Zero the parameters: they stay zero, and the followers get no gradient from elsewhere."""
    expected = dict.fromkeys([*names, *followers], DEAD)
    return Fault(partial(fill, names, 0.0), expected, config, cause=names)


def spare() -> Fault:
    """Add a layer that nothing calls."""
    return Fault(
        add_spare, {"spare.weight": UNUSED, "spare.bias": UNUSED}, cause=["spare is never called"]
    )


def zero_embedding(name: str) -> Fault:
    """Zero an embedding that other numbers tell apart: it wakes at once."""
    return Fault(partial(fill, [name], 0.0), {name: "zero on purpose (wakes at step 1)"})


def tied_zero(name: str) -> Fault:
    """Zero an embedding that is the last layer too, in a network that adds nothing to it."""
    return Fault(partial(fill, [name], 0.0), {name: DEAD}, rest=DEAD, cause=[f"{name} is zero"])


def constant(into: Sequence[str], out: Sequence[str], verdict: str) -> Fault:
    """Give every unit of a hidden layer the same weights, in and out; without dropout."""
    inject = partial(fill, [*into, *out], 0.1)
    return Fault(inject, dict.fromkeys(into, verdict), training=False)


def twin_heads(into: Sequence[str], out: Sequence[str], *, parts: int = 1, axis: int = 0) -> Fault:
    """Make two heads of 8 units equal; dropout, which would make them differ, is off."""
    places = [(name, parts, 0 if name.endswith("bias") else axis) for name in into]
    places += [(name, 1, 1 - axis) for name in out]
    verdict = f"twins ({16 * parts} units act as {8 * parts})"
    return Fault(partial(repeat, places), dict.fromkeys(into, verdict), training=False)


def feed_forward(
    into: Sequence[str],
    out: Sequence[str],
    width: int,
    norm: Sequence[str] = (),
    before: Sequence[str] = (),
    *,
    linear: bool = True,
    **relu: str,
) -> dict[str, Fault]:
    """Return the faults of a branch: its two layers, the norm, and parameters before the branch.

    A branch whose last layers are dead sends no gradient back to its first. ``linear`` says
    whether the layers are :class:`torch.nn.Linear`, and ``relu`` is the configuration, if there is
    one, with a ReLU between them.
    """
    lower = [*into, *norm, *before]
    twins = f"twins ({width} units act as 1)"
    weights = [name for name in into if name.endswith("weight")]
    biases = [name for name in into if name.endswith("bias")]
    faults = {
        "layer zeroed twice over": dead([*into, *out], *norm, *before),
        "constant layer": constant(into, out, twins),
        "frozen zero at the end of a branch": Fault(
            partial(fill_frozen, out, 0.0), dict.fromkeys(lower, DEAD), cause=[f"{out[0]} is zero"]
        ),
        "rounded activations": Fault(
            partial(pass_on, into, in_steps),
            dict.fromkeys(lower, DEAD),
            cause=["round() has a slope of zero everywhere"],
        ),
        "detached branch": Fault(
            partial(pass_on, into, Tensor.detach), dict.fromkeys(lower, UNUSED), cause=["detach()"]
        ),
        "weights of 1e-10 in a layer": Fault(
            partial(scale, weights, 1e-9), dict.fromkeys(weights, "out of scale")
        ),
    }

    def before_frozen(model: nn.Module) -> None:
        tie(into, out, not linear, model)
        for name in out:
            model.get_parameter(name).requires_grad_(False)

    def computed(model: nn.Module) -> None:
        tie(into, out, False, model)
        normalize([*into, *out], model)

    def divided(model: nn.Module) -> None:
        fill(into, 0.0, model)
        normalize(into, model)

    faults["equal units before a frozen layer"] = Fault(
        before_frozen, dict.fromkeys(into, twins), training=False
    )
    if linear:
        made = [f"{module_of(name)}.parametrizations.weight" for name in weights]
        faults["equal units under weight_norm"] = Fault(
            computed,
            dict.fromkeys(
                [*biases, *(f"{name}.original{k}" for name in made for k in "01")], twins
            ),
            training=False,
        )
        faults["NaN in the forward"] = Fault(divided, {}, error=made[0])
    if norm:
        faults["numbers that share memory"] = Fault(
            partial(share, norm[0]), {norm[0]: "shared memory"}
        )
    if norm and (relu or not biases):
        faults["γ = 0 before a ReLU"] = dead(norm, *into, *out, *before, **relu)
    if relu and biases:
        faults["half of the ReLUs off"] = Fault(
            partial(turn_off, biases[0], width // 2),
            {weights[0]: f"unreached ({width // 2} of {width} units)"},
            relu,
        )
        faults["every ReLU off"] = Fault(
            partial(turn_off, biases[0], width),
            dict.fromkeys([*lower, *out], DEAD),
            relu,
            cause=["off for every sample"],
        )
    return faults


def attention(
    q: str, k: str, v: str, out: str, *, own: Mapping[str, Sequence[str]] = BIASED
) -> dict[str, Fault]:
    """Return the faults of an attention whose q, k and v are layers of their own."""
    query, key, value = (
        [f"{layer}.{o}" for o in own[x]] for x, layer in zip("qkv", (q, k, v), strict=True)
    )
    return {
        "q = k = 0": dead([*query, *key]),
        "two identical heads": twin_heads([*query, *key, *value], [f"{out}.weight"]),
    }
