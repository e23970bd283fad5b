"""Audit while Lightning trains.

It needs ``lightning``: ``pip install zeroinit[lightning]``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from zeroinit.integrations._watch import Watch
from zeroinit.report import Audit

try:
    from lightning.pytorch import Callback
except ImportError as error:
    raise ImportError(
        "zeroinit.integrations.lightning needs lightning: pip install zeroinit[lightning]"
    ) from error

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class AuditCallback(Callback):  # type: ignore[misc]
    """Audit at the start and every so many steps, and log what died since, and what woke.

    What is audited is the module's ``training_step`` on the batch that it is about to train on, in
    the state and precision that training is in, with its optimizer. Training itself goes on as it
    would without the callback. Messages go to the logger ``zeroinit``: faults of the first audit
    and what died since as warnings, what woke as information. The number of faults goes to the
    trainer's loggers, as ``audit/faults``.

    Parameters
    ----------
    every : int, at least 1, default 500
        Steps of the optimizer from one audit to the next.
    **options
        As :func:`~zeroinit.auditing.audit` takes them, such as ``steps``; ``optimizer=None`` does
        without the trainer's.

    Raises
    ------
    ValueError
        If ``every`` is not an int of at least 1; when training begins, if the module optimizes by
        hand, as its training step then gives no loss.

    Notes
    -----
    What ``training_step`` logs with ``self.log`` during an audit is left out. What it writes to a
    logger by itself is not.
    An audit that stops with an error does not stop the training: the error is logged. Where the
    audit cannot use the trainer's optimizer, or there is none yet, it does without, and says so.

    Examples
    --------
    >>> from lightning.pytorch import Trainer
    >>> from zeroinit.integrations.lightning import AuditCallback
    >>> callback = AuditCallback(every=1000)
    >>> trainer = Trainer(callbacks=[callback], logger=False, barebones=True)
    >>> callback.audits  # before trainer.fit(module)
    {}
    """

    def __init__(self, *, every: int = 500, **options: Any) -> None:
        self._watch = Watch(every, options)

    @property
    def audits(self) -> dict[int, Audit]:
        """Every audit of the run, by the steps taken before it."""
        return self._watch.audits

    def on_fit_start(self, trainer: "Trainer", pl_module: "LightningModule") -> None:
        """Forget the audits of an earlier run."""
        if not pl_module.automatic_optimization:
            raise ValueError(
                f"the training_step of {type(pl_module).__name__} optimizes by hand, so it gives "
                "no loss: call zeroinit.audit with a loss of its own instead of this callback"
            )
        self._watch.restart()

    def on_train_batch_start(
        self, trainer: "Trainer", pl_module: "LightningModule", batch: Any, batch_idx: int
    ) -> None:
        """Audit, if it is due."""
        if not self._watch.due(trainer.global_step):
            return

        def loss(module: "LightningModule") -> Tensor:
            with _unlogged(module), trainer.precision_plugin.train_step_context():
                out = module.training_step(batch, batch_idx)
            value: Tensor = out["loss"] if isinstance(out, Mapping) else out
            return value

        optimizer = next(iter(trainer.optimizers), None)
        step, first = trainer.global_step, trainer.is_global_zero
        numbers = self._watch.look(step, pl_module, loss, optimizer, first)
        for logger in trainer.loggers if numbers else ():
            logger.log_metrics(numbers, step=step)


@contextmanager
def _unlogged(module: Any) -> Iterator[None]:
    """Let ``self.log`` and ``self.log_dict`` do nothing."""
    own = vars(module)
    kept = {name: own[name] for name in ("log", "log_dict") if name in own}
    own["log"] = own["log_dict"] = lambda *_, **__: None
    try:
        yield
    finally:
        del own["log"], own["log_dict"]
        own.update(kept)
