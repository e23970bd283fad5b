"""The callback of ``transformers``: it sees what dies, and leaves the training as it is."""

import builtins
import inspect
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, Trainer, TrainerCallback, TrainingArguments

from zeroinit.integrations._watch import Watch
from zeroinit.integrations.transformers import AuditCallback

HIDDEN = ["first.weight", "first.bias", "last.weight"]


class Net(nn.Module):
    """Two layers with dropout, so that a drawn number too many would change all that follows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = PretrainedConfig()  # label smoothing asks for it
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.last(F.dropout(F.relu(self.first(x)), 0.2, self.training))
        found = {"logits": logits}
        return found if labels is None else {"loss": F.cross_entropy(logits, labels)} | found


class Accident(TrainerCallback):  # type: ignore[misc]
    """All-zero after two steps, and random again after four."""

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        for layer in (model.first, model.last):
            if state.global_step == 2:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            if state.global_step == 4:
                layer.reset_parameters()


def rows() -> list[dict[str, Any]]:
    draw = torch.Generator().manual_seed(0)
    return [
        {"x": torch.randn(4, generator=draw), "labels": int(torch.randint(3, (), generator=draw))}
        for _ in range(48)
    ]


def trainer(folder: Path, **more: Any) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=6,
        per_device_train_batch_size=4,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        learning_rate=0.01,
        seed=1,
        **more,
    )
    return Trainer(Net(), arguments, train_dataset=rows())


def losses(run: Trainer) -> list[float]:
    return [row["loss"] for row in run.state.log_history if "loss" in row]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"label_smoothing_factor": 0.1},
        {"bf16": True},
        {"optim": "sgd", "lr_scheduler_type": "cosine"},
    ],
    ids=str,
)
def test_training_is_the_same_bit_for_bit_with_the_callback(
    more: dict[str, Any], tmp_path: Path
) -> None:
    alone = trainer(tmp_path, **more)
    alone.train()
    after = torch.get_rng_state()
    watched = trainer(tmp_path, **more)  # which sets the seed
    callback = AuditCallback(watched, every=2)
    watched.add_callback(callback)
    watched.train()
    assert sorted(callback.audits) == [0, 2, 4]
    assert losses(watched) == losses(alone)
    assert len(losses(alone)) == 6
    assert torch.equal(torch.get_rng_state(), after)
    for mine, its in zip(alone.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(mine, its)
    states = watched.optimizer.state_dict(), alone.optimizer.state_dict()
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert "training_step" not in vars(watched)


def test_what_died_and_what_woke_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(tmp_path)
    callback = AuditCallback(run, every=2, steps=2)
    run.add_callback(callback)
    run.add_callback(Accident())
    with caplog.at_level(logging.INFO, "zeroinit"):
        run.train()
    assert callback.audits[0].steps == 2
    assert [[f.name for f in found.faults] for found in callback.audits.values()] == [
        [],
        HIDDEN,
        [],
    ]
    said = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "zeroinit"]
    assert [level for level, _ in said] == ["INFO", "WARNING", "INFO"]
    assert said[0][1] == "step 0: No faults in 4 parameters:"
    assert said[1][1] == (
        "step 2: died since step 0: first.weight: dead, first.bias: dead, last.weight: dead"
    )
    assert re.fullmatch(
        r"step 4: woke since step 2: first\.weight: .+, first\.bias: fine, last\.weight: fine",
        said[2][1],
    )
    counts = [row["audit/faults"] for row in run.state.log_history if "audit/faults" in row]
    assert counts == [0.0, 3.0, 0.0]


def test_faults_of_the_start_are_a_warning_that_says_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(tmp_path)
    for parameter in run.model.parameters():
        nn.init.zeros_(parameter)
    run.add_callback(AuditCallback(run))
    run.train()
    (record,) = [r for r in caplog.records if r.name == "zeroinit"]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("step 0: 3 of 4 parameters cannot train as they should:")
    assert "   dead: first.weight, first.bias" in record.getMessage().replace("1. dead", "   dead")


class Multiply(torch.optim.SGD):
    """An optimizer that multiplies what is there, so it does not move what is zero."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in self.param_groups[0]["params"]:
            p.data *= 1 - 0.01 * p.data.sign() * p.grad.sign()


def with_optimizer(folder: Path, made: Callable[[Net], torch.optim.Optimizer]) -> Trainer:
    plain = trainer(folder)
    nn.init.zeros_(plain.model.last.weight)
    optimizers = made(plain.model), None
    return Trainer(plain.model, plain.args, train_dataset=rows(), optimizers=optimizers)


def test_what_the_trainers_optimizer_does_is_audited(tmp_path: Path) -> None:
    run = with_optimizer(tmp_path, lambda model: Multiply(model.parameters(), lr=0.1))
    callback = AuditCallback(run)
    without = AuditCallback(run, optimizer=None)
    run.add_callback(callback)
    run.add_callback(without)
    run.train()
    found = callback.audits[0]["last.weight"]
    assert (found.kind, found.cause) == ("stuck", "Multiply does not move what is zero")
    assert without.audits[0].faults == ()


def test_an_optimizer_that_an_audit_cannot_use_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = nn.Linear(2, 2)
    run = with_optimizer(tmp_path, lambda _: torch.optim.SGD(other.parameters(), lr=0.1))
    callback = AuditCallback(run)
    run.add_callback(callback)
    with caplog.at_level(logging.INFO, "zeroinit"):
        run.train()
    assert callback.audits[0]["last.weight"].verdict == "zero on purpose (wakes at step 1)"
    said = [r.getMessage() for r in caplog.records if r.name == "zeroinit"]
    assert said[0].startswith("step 0: audited without the optimizer: ValueError: SGD holds no ")
    assert said[1].startswith("step 0: No faults")


@pytest.mark.parametrize(("options", "says"), [({}, True), ({"optimizer": None}, False)])
def test_without_an_optimizer_it_says_so_once_and_on_one_rank(
    options: dict[str, Any], says: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def loss(model: nn.Module) -> Tensor:
        found: Tensor = model(torch.ones(2, 4), torch.tensor([0, 1]))["loss"]
        return found

    with caplog.at_level(logging.INFO, "zeroinit"):
        for tell in (True, False):
            watch = Watch(1, options)
            assert watch.look(0, Net(), loss, None, tell) == {"audit/faults": 0.0}
            assert watch.look(1, Net(), lambda _: 1 / 0, None, tell) == {}  # type: ignore[arg-type,return-value]
    first, *rest = (r.getMessage() for r in caplog.records)
    assert (first == "step 0: audited without the optimizer: the trainer has none yet") == says
    assert len(rest) == 1 + says
    assert rest[-1] == "step 1: the audit stopped: ZeroDivisionError: division by zero"


def test_the_batch_is_the_one_that_is_trained_on(tmp_path: Path) -> None:
    seen: list[tuple[bool, Tensor]] = []

    class Own(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
            seen.append((model.training, inputs["x"].clone()))
            return super().compute_loss(model, inputs, *rest, **more)

    plain = trainer(tmp_path)
    run = Own(plain.model, plain.args, train_dataset=rows())
    run.model.eval()
    run.add_callback(AuditCallback(run, every=6, steps=3))
    run.train()
    assert len(seen) == 6 + 3 + 3  # of training, of gradient descent, with the optimizer
    assert all(training for training, _ in seen)
    assert all(torch.equal(x, seen[0][1]) for _, x in seen[:7])
    assert not torch.equal(seen[6][1], seen[7][1])


@pytest.mark.parametrize("kind", [dict, tuple])
@pytest.mark.parametrize("named", [True, False])
def test_an_audit_and_the_step_are_given_the_same(kind: type, named: bool, tmp_path: Path) -> None:
    seen: list[tuple[type, Any]] = []

    class Own(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            seen.append((type(inputs), num_items_in_batch))
            x, labels = inputs.values() if isinstance(inputs, dict) else inputs
            return model(x, labels)["loss"]

        def training_step(self, *given: Any, **more: Any) -> Any:
            return self.compute_loss(*given, **more)

    plain = trainer(tmp_path)
    run = Own(plain.model, plain.args, train_dataset=rows())
    callback = AuditCallback(run)
    callback.on_step_begin(run.args, run.state, run.control)
    batch: Any = {"x": torch.ones(2, 4), "labels": torch.tensor([0, 1])}
    batch = batch if kind is dict else tuple(batch.values())
    more = {"num_items_in_batch": 7} if named else {}
    run.training_step(run.model, batch, *[7] * (not named), **more)
    assert seen == [(kind, 7)] * (callback.audits[0].steps + 1)


def test_an_audit_that_stops_does_not_stop_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(tmp_path)
    callback = AuditCallback(run, every=4, steps=0)
    run.add_callback(callback)
    run.train()
    assert run.state.global_step == 6
    assert callback.audits == {}
    said = [r.getMessage() for r in caplog.records if r.name == "zeroinit"]
    assert len(said) == 2
    assert said[0].startswith("step 0: the audit stopped: ValueError: steps must be at least 1")


def test_a_second_run_begins_anew_and_another_patch_of_the_step_stays(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    callback = AuditCallback(run)
    run.add_callback(callback)
    called = []
    original = run.training_step

    def counted(*arguments: Any, **more: Any) -> Tensor:
        called.append(1)
        loss: Tensor = original(*arguments, **more)
        return loss

    run.training_step = counted
    run.train()
    first = callback.audits[0]
    run.train()
    assert callback.audits[0] is not first
    assert len(called) == 12
    assert run.training_step is counted


@pytest.mark.parametrize("every", [0, -1, 2.0, True, "often"])
def test_every_must_be_a_number_of_steps(every: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every must be an int of at least 1, got "):
        AuditCallback(trainer(tmp_path), every=every)


def test_every_five_hundred_steps_unless_told_otherwise() -> None:
    assert inspect.signature(AuditCallback).parameters["every"].default == 500


def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.delitem(sys.modules, "zeroinit.integrations.transformers")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install zeroinit\[transformers\]"):
        import zeroinit.integrations.transformers  # noqa: F401
