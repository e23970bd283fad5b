"""The callback of Lightning: it sees what dies, and leaves the training as it is."""

import builtins
import inspect
import logging
import sys
from itertools import groupby
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

pytest.importorskip("lightning")

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers.logger import Logger
from torchmetrics.classification import MulticlassAccuracy

from zeroinit.integrations.lightning import AuditCallback, _unlogged

HIDDEN = ["first.weight", "first.bias", "last.weight"]
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and loggers


class Net(LightningModule):  # type: ignore[misc]
    """Two layers with dropout and BatchNorm, a loss and a metric that are logged."""

    dtypes: ClassVar[list[torch.dtype]] = []  # of the logits of every forward
    logged: ClassVar[list[str]] = []
    indices: ClassVar[list[int]] = []  # of the batches of every forward

    def log(self, name: str, *rest: Any, **more: Any) -> None:
        self.logged.append(name)
        super().log(name, *rest, **more)

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        self.norm = nn.BatchNorm1d(4)
        self.accuracy = MulticlassAccuracy(3)
        self.form = form

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Any:
        x, y = batch
        logits = self.last(F.dropout(F.relu(self.first(self.norm(x))), 0.2, self.training))
        self.dtypes.append(logits.dtype)
        self.indices.append(batch_idx)
        loss = F.cross_entropy(logits, y)
        self.accuracy(logits, y)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log_dict({"accuracy": self.accuracy}, on_step=False, on_epoch=True)
        return {"loss": loss} if self.form == "dict" else loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class ByHand(Net):
    """It optimizes by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False


class Record(Callback):  # type: ignore[misc]
    """The loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(outputs["loss"].item())


class Accident(Callback):  # type: ignore[misc]
    """All-zero after two steps, and random again after four."""

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        for layer in (module.first, module.last):
            if trainer.global_step == 2:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            if trainer.global_step == 4:
                layer.reset_parameters()


class Kept(Logger):  # type: ignore[misc]
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    name = "kept"
    version = 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""


def trained(module: Net, *callbacks: Callback, **more: Any) -> tuple[Trainer, Kept, Record]:
    """Train a module for six steps in two epochs."""
    logger, record = Kept(), Record()
    trainer = Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": logger,
            "log_every_n_steps": 1,
            "callbacks": [*callbacks, record],
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        | more
    )
    draw = torch.Generator().manual_seed(0)
    rows = TensorDataset(
        torch.randn(12, 4, generator=draw), torch.randint(3, (12,), generator=draw)
    )
    seed_everything(1)
    trainer.fit(module, DataLoader(rows, batch_size=4, shuffle=True))
    return trainer, logger, record


def metrics(logger: Kept) -> list[tuple[int | None, dict[str, float]]]:
    return [row for row in logger.rows if "audit/faults" not in row[1]]


@pytest.mark.parametrize(
    ("form", "more", "audited"),
    [
        ("tensor", {}, [0, 2, 4]),
        ("dict", {"precision": "bf16-mixed"}, [0, 2, 4]),
        ("tensor", {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}, [0, 2]),
        ("tensor", {"precision": "64-true"}, [0, 2, 4]),
    ],
)
def test_training_is_the_same_bit_for_bit_with_the_callback(
    form: str, more: dict[str, Any], audited: list[int]
) -> None:
    alone, watched, callback = Net(form), Net(form), AuditCallback(every=2)
    Net.dtypes.clear()
    Net.logged.clear()
    first, plain, losses = trained(alone, **more)
    count, (dtype,) = len(Net.dtypes), {*Net.dtypes}
    after = torch.get_rng_state()
    Net.indices.clear()
    second, seen, again = trained(watched, callback, **more)
    assert [index for index, _ in groupby(Net.indices)] == [0, 1, 2] * 2
    assert sorted(callback.audits) == audited
    assert [step for step, row in seen.rows if "audit/faults" in row] == audited
    assert again.losses == losses.losses
    assert len(losses.losses) == 6
    assert metrics(seen) == metrics(plain)
    assert any("accuracy" in row for _, row in metrics(plain))
    assert torch.equal(torch.get_rng_state(), after)
    for mine, its in zip(alone.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(mine, its)
    states = [trainer.optimizers[0].state_dict() for trainer in (first, second)]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert Net.logged[: len(Net.logged) // 2] * 2 == Net.logged
    assert len(Net.dtypes) > 2 * count
    assert {*Net.dtypes} == {dtype}  # the audit's too
    assert not {"log", "log_dict"} & {*vars(watched)}


def test_what_died_and_what_woke_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    callback = AuditCallback(every=2, steps=2)
    with caplog.at_level(logging.INFO, "zeroinit"):
        _, logger, _ = trained(Net(), Accident(), callback)
    dead = {step: [f.name for f in found.faults] for step, found in callback.audits.items()}
    assert dead[0] == dead[4] == []
    assert {*HIDDEN} <= {*dead[2]}
    said = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "zeroinit"]
    assert [level for level, _ in said] == ["INFO", "WARNING", "INFO"]
    assert said[1][1].startswith("step 2: died since step 0: first.weight: dead, first.bias: dead")
    assert said[2][1].startswith("step 4: woke since step 2: first.weight: ")
    counts = [(step, row["audit/faults"]) for step, row in logger.rows if "audit/faults" in row]
    assert counts == [(0, 0.0), (2, float(len(dead[2]))), (4, 0.0)]


class Multiply(torch.optim.SGD):
    """An optimizer that multiplies what is there, so it does not move what is zero."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        closure = closure or (lambda: None)
        closure()
        for p in self.param_groups[0]["params"]:
            p.data *= 1 - 0.01 * p.data.sign() * p.grad.sign()


class Other(Net):
    """It starts its last layer at zero, and has an optimizer of some kind, or none."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        nn.init.zeros_(self.last.weight)

    def configure_optimizers(self) -> Any:
        return self.kind(self.parameters(), lr=0.1) if self.kind else None


@pytest.mark.parametrize(
    ("kind", "verdict", "said"),
    [
        (Multiply, "stuck", ""),
        (None, "zero on purpose (wakes at step 1)", "ValueError: _MockOptimizer holds no param"),
        (torch.optim.LBFGS, "zero on purpose (wakes at step 1)", "ValueError: LBFGS calls the"),
    ],
)
def test_the_trainers_optimizer_is_audited_where_it_can_be(
    kind: Any, verdict: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    callback = AuditCallback()
    with caplog.at_level(logging.INFO, "zeroinit"):
        trained(Other(kind), callback)
    assert callback.audits[0]["last.weight"].verdict == verdict
    logged = [r.getMessage() for r in caplog.records if "without" in r.getMessage()]
    assert len(logged) == bool(said)
    assert all(f"step 0: audited without the optimizer: {said}" in line for line in logged)


def test_a_second_run_begins_anew() -> None:
    callback = AuditCallback()
    trained(Net(), callback)
    first = callback.audits[0]
    trained(Net(), callback)
    assert callback.audits[0] is not first


def test_an_audit_that_stops_gives_the_loggers_no_numbers() -> None:
    callback = AuditCallback(steps=0)
    _, logger, record = trained(Net(), callback, max_epochs=1)
    assert callback.audits == {}
    assert len(record.losses) == 3
    assert {} not in [row for _, row in logger.rows]


@pytest.mark.parametrize("names", [(), ("log",), ("log_dict",), ("log", "log_dict")])
def test_a_log_that_another_tool_has_put_there_stays(names: tuple[str, ...]) -> None:
    said: list[Any] = []
    module: Any = SimpleNamespace(**dict.fromkeys(names, said.append))
    before = {**vars(module)}
    with _unlogged(module):
        given = [module.log("loss", 1.0), module.log_dict({"loss": 1.0})]
    assert given == [None, None]
    assert vars(module) == before
    assert said == []


def test_a_module_that_optimizes_by_hand_is_told_what_to_do() -> None:
    with pytest.raises(ValueError, match="the training_step of ByHand optimizes by hand"):
        trained(ByHand(), AuditCallback())


def test_every_five_hundred_steps_unless_told_otherwise() -> None:
    assert inspect.signature(AuditCallback).parameters["every"].default == 500


def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("lightning"):
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.delitem(sys.modules, "zeroinit.integrations.lightning")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install zeroinit\[lightning\]"):
        import zeroinit.integrations.lightning  # noqa: F401
