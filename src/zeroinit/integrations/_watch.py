"""What the callbacks share: when an audit is due, and what has changed since the last."""

import logging
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from zeroinit import _tables
from zeroinit.auditing import audit
from zeroinit.report import Audit, Finding

logger = logging.getLogger("zeroinit")


class Watch:
    """The audits of a training run.

    Parameters
    ----------
    every : int, at least 1
        From one audit to the next, in steps of the optimizer.
    options : dict
        What :func:`~zeroinit.auditing.audit` takes besides the model and the loss.
    """

    def __init__(self, every: int, options: dict[str, Any]) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every must be an int of at least 1, got {every!r}: 500 is a start")
        self.every, self.options = every, options
        self.audits: dict[int, Audit] = {}
        self.tried: int | None = None

    def restart(self) -> None:
        """Forget the audits of another run."""
        self.audits.clear()
        self.tried = None

    def due(self, step: int) -> bool:
        """Say whether to audit now: at the start, and every so many steps, once."""
        return self.tried != step and (self.tried is None or step % self.every == 0)

    def look(
        self,
        step: int,
        model: nn.Module,
        loss: Callable[[nn.Module], Tensor],
        optimizer: Optimizer | None,
        tell: bool,
    ) -> dict[str, float]:
        """Audit, log what has changed, and return numbers for the trainer's own log.

        No error of an audit stops a training run: it is logged. An audit that stops with the
        trainer's optimizer is tried without it.
        """
        self.tried = step
        options, without = {"optimizer": optimizer} | self.options, ""
        if optimizer is None and "optimizer" not in self.options:
            without = "the trainer has none yet"
        try:
            try:
                found = audit(model, loss, **options)
            except Exception as error:
                if options["optimizer"] is None:
                    raise
                found = audit(model, loss, **options | {"optimizer": None})
                without = f"{type(error).__name__}: {error}"
        except Exception as error:
            if tell:
                name = type(error).__name__
                logger.warning("step %d: the audit stopped: %s: %s", step, name, error)
            return {}
        if tell and without:
            logger.info("step %d: audited without the optimizer: %s", step, without)
        if tell:
            self._tell(step, found)
        self.audits[step] = found
        return {"audit/faults": float(len(found.faults))}

    def _tell(self, step: int, found: Audit) -> None:
        if not self.audits:
            level = logging.WARNING if found.faults else logging.INFO
            logger.log(level, "step %d: %s", step, _tables.failure(found))
            return
        last, before = next(reversed(self.audits.items()))
        was, now = _lost(before), _lost(found)
        names = dict.fromkeys([*was, *now])
        died = [found[name] for name in names if now.get(name, 0) > was.get(name, 0)]
        woke = [found[name] for name in names if now.get(name, 0) < was.get(name, 0)]
        if died:
            logger.warning("step %d: died since step %d: %s", step, last, _verdicts(died))
        if woke:
            logger.info("step %d: woke since step %d: %s", step, last, _verdicts(woke))


def _lost(found: Audit) -> dict[str, int]:
    """Return for each faulty parameter 1 and how many of its units learn nothing of their own."""
    return {f.name: 1 + f.dead + f.unreached + f.units - f.act_as for f in found.faults}


def _verdicts(findings: list[Finding]) -> str:
    return _tables.listed(findings, [f": {f.verdict}" for f in findings], 400)
