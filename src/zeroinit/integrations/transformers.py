"""Audit while ``transformers.Trainer`` trains.

It needs ``transformers``: ``pip install zeroinit[transformers]``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from zeroinit.integrations._watch import Watch
from zeroinit.report import Audit

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise ImportError(
        "zeroinit.integrations.transformers needs transformers with its Trainer: "
        "pip install zeroinit[transformers]"
    ) from error

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments


class AuditCallback(TrainerCallback):  # type: ignore[misc]
    """Audit at the start and every so many steps, and log what died since, and what woke.

    What is audited is the trainer's ``compute_loss`` on the batch that it is about to train on, in
    the state that training is in, with its optimizer. Training itself goes on as it would without
    the callback. Messages go to the logger ``zeroinit``: faults of the first audit and what died
    since as warnings, what woke as information. The number of faults goes to the trainer's own log,
    as ``audit/faults``.

    Parameters
    ----------
    trainer : transformers.Trainer
        The trainer that the callback is added to.
    every : int, at least 1, default 500
        Steps of the optimizer from one audit to the next.
    **options
        As :func:`~zeroinit.auditing.audit` takes them, such as ``steps``; ``optimizer=None`` does
        without the trainer's.

    Raises
    ------
    ValueError
        If ``every`` is not an int of at least 1.

    Notes
    -----
    An audit that stops with an error does not stop the training: the error is logged. Where the
    audit cannot use the trainer's optimizer, or there is none yet, it does without, and says so.

    Examples
    --------
    >>> from transformers import Trainer, TrainingArguments
    >>> from zeroinit import MLP
    >>> from zeroinit.integrations.transformers import AuditCallback
    >>> trainer = Trainer(MLP([2, 16, 2]), TrainingArguments(report_to="none"))
    >>> callback = AuditCallback(trainer, every=1000)
    >>> trainer.add_callback(callback)  # before trainer.train()
    >>> callback.audits
    {}
    """

    def __init__(self, trainer: "Trainer", *, every: int = 500, **options: Any) -> None:
        self._trainer, self._watch = trainer, Watch(every, options)

    @property
    def audits(self) -> dict[int, Audit]:
        """Every audit of the run, by the steps taken before it."""
        return self._watch.audits

    def on_train_begin(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **_: Any
    ) -> None:
        """Forget the audits of an earlier run."""
        self._watch.restart()

    def on_step_begin(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **_: Any
    ) -> None:
        """Let the trainer's next training step begin with an audit, if one is due."""
        if not self._watch.due(state.global_step):
            return
        own = vars(self._trainer)
        kept = own.get("training_step")  # what another tool may have put there
        step = self._trainer.training_step

        def audited(model: nn.Module, inputs: Any, *rest: Any, **more: Any) -> Tensor:
            del own["training_step"]
            if kept is not None:
                own["training_step"] = kept
            self._audit(model, inputs, *rest, **more)
            loss: Tensor = step(model, inputs, *rest, **more)
            return loss

        own["training_step"] = audited

    def _audit(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> None:
        trainer, state = self._trainer, self._trainer.state
        model.train()  # as the training step will
        batch = trainer._prepare_inputs(inputs)

        def loss(model: nn.Module) -> Tensor:
            with trainer.compute_loss_context_manager():
                value: Tensor = trainer.compute_loss(
                    model,
                    dict(batch) if isinstance(batch, Mapping) else batch,  # it may take labels out
                    num_items_in_batch=num_items_in_batch,
                )
            return value.mean()  # of several devices

        optimizer = trainer.optimizer
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        step, first = state.global_step, state.is_world_process_zero
        numbers = self._watch.look(step, model, loss, optimizer, first)
        if numbers:
            trainer.log(numbers)
