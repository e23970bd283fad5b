"""An audit works on the model itself and leaves all of it as it was, whatever happens."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import _kept
from zeroinit.auditing import audit

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (32,), generator=torch.Generator().manual_seed(1))


class Restless(nn.Module):
    """Changes in every call all that a module can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head, self.frozen = nn.Linear(8, 3), nn.Linear(8, 8).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(2), persistent=False)
        self.register_buffer("other", torch.zeros(2))
        self.plain = [nn.BatchNorm1d(8)]  # in no list of PyTorch
        self.count, self.log, self.last = 0, deque([1, 2]), {"x": torch.ones(3)}
        self.array, self.kinds = np.zeros(3), {1}
        self.generator = torch.Generator().manual_seed(3)
        self.draws = random.Random(3)

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("seen").add_(1)
        self.other = self.get_buffer("other") + 1
        self.count += 1
        self.log.append(self.count)
        self.last["x"].mul_(2)
        self.last["y"] = x
        self.array += 1
        self.kinds.add(self.count)
        self.frozen.weight.data.mul_(1.5)
        self.frozen.bias.data = self.frozen.bias.data + 1
        self.train(not self.training)
        x = x + torch.rand((), generator=self.generator) + self.draws.random()
        x = x + random.random() + float(np.random.rand()) + torch.rand(())  # noqa: NPY002
        out: Tensor = self.head(self.plain[0](self.net(x)) + self.frozen(x))
        return out


def picture(model: Restless) -> list[Any]:
    """Return the bits of all that must be left."""
    tensors = [*model.parameters(), *model.buffers(), *model.plain[0].parameters()]
    tensors += [*model.plain[0].buffers(), model.last["x"], torch.get_rng_state()]
    gradients = [p.grad for p in model.parameters()]
    tensors += [model.generator.get_state(), *(g for g in gradients if g is not None)]
    return [
        [t.detach().clone().view(-1).view(torch.uint8).tolist() for t in tensors],
        [t.data_ptr() for t in model.parameters()],
        [id(g) for g in gradients],
        [p.requires_grad for p in model.parameters()],
        [m.training for m in model.modules()],
        [model.count, list(model.log), list(model.last), model.array.tolist(), set(model.kinds)],
        [model.draws.getstate(), random.getstate(), str(np.random.get_state())],  # noqa: NPY002
        [list(m.__dict__) for m in model.modules()],
        [len(m._forward_hooks) for m in model.modules()],
    ]


def loss(model: nn.Module) -> Tensor:
    return F.cross_entropy(model(X), Y)


def started() -> Restless:
    torch.manual_seed(0)
    model = Restless()
    loss(model).backward()
    model.head.bias.grad = None
    return model


def test_everything_is_left_as_it_was() -> None:
    model = started()
    before = picture(model)
    audit(model, loss)
    assert picture(model) == before
    loss(model)  # the picture sees what a call changes
    after = picture(model)
    changed = [a != b for a, b in zip(before, after, strict=True)]
    assert changed == [True, True, False, False, True, True, True, False, False]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("stage", ["before", "forward", "after", "backward", "step"])
def test_an_error_at_any_stage_leaves_it_as_it_was(
    stage: str, step: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = started(), 0

    def stop(*_: Any) -> None:
        if calls == step:
            raise error("stop")

    def broken(m: nn.Module) -> Tensor:
        nonlocal calls
        calls += 1
        if stage == "before":
            stop()
        value = loss(m)
        if stage == "after":
            stop()
        if stage == "backward":
            value.register_hook(stop)
        return value

    if stage == "forward":
        model.net[1].register_forward_hook(stop)
    if stage == "step":
        monkeypatch.setattr("zeroinit._watched.Slope.step", stop)
    before = picture(model)
    with pytest.raises(error, match="stop"):
        audit(model, broken)
    assert picture(model) == before


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_while_it_is_put_back(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, left = started(), times
    before = picture(model)
    real = _kept._tensor

    def interrupted(tensor: Tensor) -> Callable[[], None]:
        put = real(tensor)

        def back() -> None:
            nonlocal left
            if left and tensor is model.head.weight:
                left -= 1
                raise KeyboardInterrupt("while it is put back")
            put()

        return back

    monkeypatch.setattr(_kept, "_tensor", interrupted)
    with pytest.raises(KeyboardInterrupt, match="put back"):
        audit(model, loss)
    assert picture(model) == before


def test_gradients_of_other_tensors_are_left_as_they_were() -> None:
    torch.manual_seed(0)
    model, critic = nn.Linear(8, 8), nn.Linear(8, 3)
    x = X.clone().requires_grad_()
    loss(nn.Sequential(model, critic)).backward()
    grads = [p.grad for p in critic.parameters()]
    before = [g.clone() for g in grads if g is not None]
    audit(model, lambda m: F.cross_entropy(critic(m(x)), Y))
    assert x.grad is None
    assert all(p.grad is g for p, g in zip(critic.parameters(), grads, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, (g for g in grads if g is not None),
                                                 strict=True))  # fmt: skip


def test_a_graph_from_before_can_still_be_walked() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    value = loss(model)
    expected = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    audit(model, loss)
    found = torch.autograd.grad(value, list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_hooks_see_the_steps_of_an_audit_as_those_of_training() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    calls: list[str] = []
    model.get_parameter("0.weight").register_hook(lambda g: calls.append("gradient"))
    model[2].register_full_backward_hook(lambda *_: calls.append("module"))
    assert audit(model, loss).steps == 3
    assert calls.count("gradient") == calls.count("module") == 3


def test_a_model_made_in_inference_mode_is_copied() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    found = audit(model, loss)
    assert {f.verdict for f in found.findings} == {"fine"}
    assert found.note == "on a copy: what was made in inference mode cannot be changed"
    assert audit(nn.Linear(8, 3), loss).note == ""


class Sealed(dict[str, Any]):
    """A dict that nobody changes, as the configuration of a model of diffusers."""

    def clear(self) -> None:
        raise TypeError("sealed")

    update = clear  # type: ignore[assignment]


@pytest.mark.parametrize("change", [
    lambda m: m.items.update(b=m.items.pop("a")),
    lambda m: m.items.update(a=m.items.pop("a")),
    lambda m: m.items.update(a=[1.5]),
    lambda m: m.items.update(c=3),
    lambda m: m.items.pop("b", None),
    lambda m: m.row.__setitem__(1, [1.5]),
    lambda m: m.row.reverse(),
    lambda m: m.row.append(4),
    lambda m: m.queue.rotate(1),
    lambda m: m.queue.append(m.queue.popleft()),
    lambda m: m.some.discard(1),
    lambda m: m.some.update({3}),
    lambda m: (m.some.discard(1), m.some.add(3)),
    lambda m: m.pair[0].append(1),
])  # fmt: skip
def test_containers_get_their_own_items_back_in_their_order(change: Callable[[Any], Any]) -> None:
    model: Any = nn.Linear(8, 3)
    model.items, model.row, model.some = {"a": [1.5], "b": 2}, [7, [1.5], 8], {1, 2}
    model.queue, model.pair = deque([1, 2, 3], maxlen=3), ([0], 5)
    model.settings = Sealed(width=8)
    parts = [model.items, model.row, model.queue, model.some, model.pair, model.pair[0]]

    def inside(part: Any) -> list[int]:
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        return [id(x) for pair in pairs for x in pair]

    before = list(map(inside, parts))

    def changing(m: Any) -> Tensor:
        if list(map(inside, parts)) == before:
            change(m)
        return loss(m)

    audit(model, changing, steps=1)
    assert list(map(inside, parts)) == before
    assert list(map(id, (model.items, model.row, model.queue, model.some, model.pair))) == [
        *map(id, parts[:5])
    ]


def test_generators_of_numpy_and_what_holds_itself_are_left_as_they_were() -> None:
    model: Any = nn.Linear(8, 3)
    model.draws, model.ring = np.random.default_rng(0), [model]
    model.ring.append(model.ring)
    before = model.draws.bit_generator.state

    def drawing(m: Any) -> Tensor:
        return loss(m) * float(m.draws.random())

    audit(model, drawing)
    assert model.draws.bit_generator.state == before


def test_the_state_of_an_optimizer_is_kept_however_many_parameters_it_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_kept, "LONG", 2)  # of a thousand, which would take long
    model = nn.ParameterList([torch.ones(1) for _ in range(3)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        for p in model:
            p.grad = torch.ones(1)
        optimizer.step()

    step()
    before = [state["momentum_buffer"].clone() for state in optimizer.state.values()]
    with _kept.kept(model, optimizer):
        step()
    after = [state["momentum_buffer"] for state in optimizer.state.values()]
    assert torch.equal(torch.cat(before), torch.cat(after))


def test_what_wants_a_gradient_is_as_it_was() -> None:
    model: Any = Restless()
    model.loose = torch.ones(3, requires_grad=True)

    def thawing(m: Any) -> Tensor:
        value = loss(m)
        m.frozen.requires_grad_()
        m.loose.requires_grad_(False)
        return value

    audit(model, thawing)
    assert not model.frozen.weight.requires_grad
    assert model.loose.requires_grad


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("anew", [False, True])
def test_nested_tensors_are_left_as_they_were(layout: torch.layout, anew: bool) -> None:
    parts = [torch.ones(2, 4), torch.ones(3, 4)]
    nested = torch.nested.nested_tensor(parts, layout=layout)

    def loss(model: nn.Module) -> Tensor:
        if anew:
            nested.data = nested.data * 2
        else:
            nested.mul_(2)
        return F.cross_entropy(model(X), Y)

    model: Any = nn.Linear(8, 3)
    model.nested = nested
    assert not audit(model, loss).faults
    assert model.nested is nested
    assert all(map(torch.equal, nested.unbind(), parts))


@pytest.mark.parametrize("number", [0.0, 1.0])
def test_large_sparse_tensors_are_left_as_they_were(number: float) -> None:
    table = torch.full((100, 64), number).to_sparse()
    model: Any = nn.Linear(8, 3)
    model.register_buffer("table", table)

    def counting(model: Any) -> Tensor:
        model.table.add_(torch.eye(100, 64).to_sparse())
        return loss(model)

    audit(model, counting)
    assert model.table is table
    assert torch.equal(table.to_dense(), torch.full((100, 64), number))


@pytest.mark.parametrize("number", [0.0, -0.0])
def test_large_zeros_come_back_without_a_copy(number: float) -> None:
    model: Any = nn.Linear(8, 3)
    model.table = nn.Parameter(torch.zeros(100, 64))
    model.table.data[0, 0] = -number  # the first row does not tell it
    model.table.data[-1, -1] = number
    bits = model.table.detach().clone().view(torch.int32)

    def with_the_table(model: Any) -> Tensor:
        return loss(model) + torch.exp(model.table).sum()

    audit(model, with_the_table)
    assert torch.equal(model.table.view(torch.int32), bits)


def test_the_memory_of_large_zeros_is_theirs_alone() -> None:
    held: list[int] = []
    for start in (torch.zeros, torch.ones):
        put: Any = _kept._tensor(nn.Parameter(start(100, 64)))
        held.append(sum(t.untyped_storage().nbytes() for t in put.args[3:4]))
    assert held == [4, 4 * 100 * 64]


def test_what_was_empty_is_empty_again() -> None:
    model: Any = nn.Linear(8, 3)
    containers: list[Any] = [[], {}, set(), deque()]
    model.held = containers

    def filling(model: Any) -> Tensor:
        for own, add in zip(model.held, ("append", "setdefault", "add", "append"), strict=True):
            getattr(own, add)(1)
        return loss(model)

    audit(model, filling)
    assert containers == [[], {}, set(), deque()]


def test_no_hooks_are_left_where_there_were_none() -> None:
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    seen: list[Tensor] = []
    handle = model[0].weight.register_hook(seen.append)
    for p in model[1].parameters():
        nn.init.zeros_(p)

    def small(model: nn.Module) -> Tensor:
        return 100 + 1e-3 * loss(model)  # so that gradients seem to be rounding

    audit(model, small)
    assert [p._backward_hooks is None for p in model.parameters()] == [False, True, True, True]
    count = len(seen)
    loss(model).backward()
    assert len(seen) == count + 1
    handle.remove()


def test_a_buffer_on_the_meta_device_has_no_random_state_to_keep() -> None:
    model = nn.Linear(8, 3)
    model.register_buffer("shape", torch.empty(2, 3, device="meta"))
    assert audit(model, loss).faults == ()


def test_what_long_lists_hold_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept, "LONG", 2)
    pair, triple = [["a"], ["b"]], [["a"], ["b"], ["c"]]
    back: list[Callable[[], None]] = []
    _kept._keep((pair, triple), back, [], set())
    for one in (*pair, *triple):
        one.append("more")
    triple.pop()
    for put in back:
        put()
    assert pair == [["a"], ["b"]]
    assert triple == [["a", "more"], ["b", "more"], ["c", "more"]]


@pytest.mark.parametrize(
    ("tensor", "has"),
    [
        (torch.ones(2, 3), True),
        (torch.ones(3).as_strided((1, 3), (0, 1)), True),
        (torch.ones(2, 3).to_sparse(), True),
        (torch.ones(3, 1).expand(3, 2), False),
        (torch.ones(()).expand(2), False),
    ],
    ids=["plain", "one row", "sparse", "one column", "one number"],
)
def test_a_tensor_can_be_written_to_if_each_number_has_its_own_place(
    tensor: Tensor, has: bool
) -> None:
    assert _kept.writable(tensor) is has
