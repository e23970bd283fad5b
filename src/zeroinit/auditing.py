"""Audit a network before it is trained: which parameters can never move, which units are twins.

A few steps of gradient descent answer both. A parameter whose gradient is exactly zero at
every step does not move (Theorem *The dead start* and those beside it); units whose weights are
equal, and whose gradients are equal, stay equal (Theorem *Twins stay twins*).
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn
from torch.optim import Optimizer

from zeroinit._arguments import check_arguments, check_model, check_steps
from zeroinit._checkpoint import in_sight
from zeroinit._kept import kept
from zeroinit._losses import agreed, in_turn
from zeroinit._modules import shared, unregistered
from zeroinit._optimizer import Trial, check
from zeroinit._options import as_list, judged, matching
from zeroinit._reasons import report
from zeroinit._remedies import filled
from zeroinit._run import Loss, Run
from zeroinit._sharded import Ranks
from zeroinit.report import Audit, Remark


def audit(
    model: nn.Module,
    loss: Loss | Sequence[Loss],
    *,
    optimizer: Optimizer | None = None,
    steps: int = 3,
    strict: bool = False,
    ignore: Iterable[str] = (),
) -> Audit:
    r"""Take a few steps of gradient descent, and say what can move and what is equal.

    Parameters
    ----------
    model : nn.Module
        Any network. The steps are taken on it, and it is left as it was, bit for bit, also after an
        error: parameters, gradients, buffers, modes, attributes of its modules, random states.
    loss : callable, or sequence of callables
        Called as ``loss(model)``; gives the scalar that training would minimize, on a batch of your
        choice. The audit calls ``backward()``. With several losses, such as one for each batch,
        *dead* and *twins* is what all of them show; each starts at the same weights and with other
        random numbers, so ``[loss] * 3`` is one loss with three draws.
    optimizer : torch.optim.Optimizer, optional
        The one that training uses. Steps are taken with it too, from the same start, and its state
        is left as it was. What it never moves, erases or makes NaN is a fault; that it moves
        zeros slowly, or parts twins, is a remark; what none of its groups holds is named.
    steps : int, at least 1, default 3
        Steps to take at least; as long as a step wakes another parameter, one more follows, and
        where a draw or a router may leave something out, up to twenty more before it is called
        dead.
    strict : bool, default False
        Whether it is a fault, too, that a parameter is not used by the loss, not held by the
        optimizer, or held by a module without being registered.
    ignore : iterable of str, default ()
        Patterns for names, as ``"head.*"``, of parameters whose verdict is no fault.

    Returns
    -------
    Audit
        A finding for every parameter.

    Raises
    ------
    TypeError
        If ``steps`` is not an int, the model no module, a loss no function of the model alone, the
        optimizer none, or ``ignore`` no list of strings.
    ValueError
        If there are no losses, a pattern matches no name, or the optimizer holds no parameter of
        the model or calls the loss itself; if the model has no parameters, or none that is trained,
        or one that is sparse or without numbers (lazy, or on the meta device); if ``steps`` is
        below 1; if the loss or a gradient is not a finite scalar, or does not depend on the model
        that it is given.

    Notes
    -----
    A step moves each parameter against its gradient, by a hundredth of its root mean square at most
    (or of 1, if it is zero, and less if it is wide). Gradients count as equal if they differ by
    rounding only, and if that is more than chance: units with few numbers, or in a coarse dtype,
    are often equal by chance.
    In single and double precision a parameter's first gradient counts as zero if it is what
    rounding leaves of terms that cancel: if it is below a hundred times the rounding of the loss or
    of the largest gradient, and below the precision, to the power of two thirds, of the sum of its
    terms without their signs, which a second backward pass with changed numbers tells.
    Beside the weights and their gradients it needs one copy of the weights, to put them back; with
    an optimizer, also one of its state, and three gradients of what is zero or wakes late.
    The pace of an optimizer with a zero is measured against a random weight of the model's usual
    size in its place, given the same gradients. A rate that a schedule starts at 0 counts as the
    group's ``initial_lr``. To see whether it parts twins, up to twenty steps are taken with it.
    Of a model that several ranks hold (DDP, ``fully_shard``, DTensor), all of them call the audit,
    each with the loss that it trains on, and get the same findings, those of the model as a whole.
    An error on one rank is an error on all, and shards that ranks drew alike are a fault.
    Nothing that :func:`torch.compile` made is compiled again: the model runs as plain PyTorch. A
    reentrant checkpoint of PyTorch runs as one that is not reentrant, as nothing else shows what is
    inside; where another library hides a part of the graph, the note says what was not done. A
    model that was made in inference mode is copied, for nobody may change it.

    Examples
    --------
    The all-zero ReLU network is dead but for its last bias:

    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, constant_, half_plane, zeros_
    >>> data = half_plane()
    >>> def loss(model):
    ...     return F.cross_entropy(model(data.x), data.y)
    >>> [f.verdict for f in audit(zeros_(MLP([2, 16, 2])), loss).findings]
    ['dead', 'dead', 'dead', 'fine']

    Equal units act as one, and random ones are fine:

    >>> audit(constant_(MLP([2, 16, 2], "tanh"), 0.1), loss)["layers.0.weight"].verdict
    'twins (16 units act as 1)'
    >>> audit(MLP([2, 16, 2]), loss).faults
    ()

    An optimizer that multiplies what is there does not move what is zero:

    >>> class Multiply(torch.optim.SGD):
    ...     def step(self, closure=None):
    ...         for p in self.param_groups[0]["params"]:
    ...             p.data *= 1 - 0.01 * p.data.sign() * p.grad.sign()
    >>> model = MLP([2, 16, 2])
    >>> last = torch.nn.init.zeros_(model.layers[1].weight)
    >>> found = audit(model, loss, optimizer=Multiply(model.parameters()))
    >>> [(f.name, f.cause) for f in found.faults if f.name == "layers.1.weight"]
    [('layers.1.weight', 'Multiply does not move what is zero')]
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper holds the model itself
    ranks = Ranks(model)
    with ranks.together():
        check_steps(steps)
        losses = as_list(loss)
        for one in losses:
            check_arguments(model, one)
        check_model(model)
        ignored = matching(model, ignore)
        if optimizer is not None:
            check(model, optimizer)
        with torch.inference_mode(False):  # so gradients are on
            note = ""
            if any(t.is_inference() for t in (*model.parameters(), *model.buffers())):
                model, optimizer = deepcopy((model, optimizer))
                note = "on a copy: what was made in inference mode cannot be changed"
            with _plainly(), in_sight(), kept(model, optimizer) as restore, ranks.prepared():
                run, remarks = agreed(model, losses, ranks, steps, restore)
                found = report(run, restore)
                faults, more = _beside(run, losses, optimizer, steps, restore)
        every = [*found, *unregistered(model, run.others, optimizer)]
        findings = tuple(judged(every, run.watched, faults, optimizer, strict, ignored))
        findings, shown = ranks.all((findings, (*remarks, *more)))[0]
    note = "; ".join(filter(None, [note, found.note]))
    return replace(found, findings=findings, note=note, remarks=shown)


def _beside(
    run: Run,
    losses: Sequence[Loss],
    optimizer: Optimizer | None,
    steps: int,
    restore: Callable[[], None],
) -> tuple[dict[str, tuple[str, ...]], list[Remark]]:
    """Return faults and remarks of modules that are equal, and of the optimizer."""
    gradients = in_turn(run.model, losses, run.ranks)

    def again(names: Sequence[str]) -> Iterator[None]:
        restore()
        try:
            filled(run.model, names)
            for step in range(1, len(losses) + 1):
                with run.ranks.together():
                    value = gradients(step)
                if value is not None:
                    yield
        except (RuntimeError, ValueError):
            pass  # these numbers do not go with the loss
        finally:
            restore()

    run.ranks.settle()
    faults, remarks = run.equals.report(run.model, again)
    remarks += shared(run.model)
    if optimizer is not None:
        trial = Trial(optimizer, run.watched, gradients, restore, run.ranks)
        trial.run(steps)
        faults |= trial.faults
        remarks += trial.remarks
    return faults, remarks


def assert_trainable(
    model: nn.Module,
    loss: Loss | Sequence[Loss],
    *,
    optimizer: Optimizer | None = None,
    steps: int = 3,
    strict: bool = False,
    ignore: Iterable[str] = (),
) -> None:
    """Raise if :func:`audit` finds a parameter that is dead, or units that are twins.

    Parameters
    ----------
    model, loss, optimizer, steps, strict, ignore
        As for :func:`audit`.

    Raises
    ------
    AssertionError
        With the causes of the faults.
    TypeError, ValueError
        As :func:`audit`.

    Examples
    --------
    >>> import torch.nn.functional as F
    >>> from zeroinit import MLP, half_plane, zeros_
    >>> data = half_plane()
    >>> assert_trainable(MLP([2, 16, 2]), lambda m: F.cross_entropy(m(data.x), data.y))

    It speaks of an all-zero network:

    >>> assert_trainable(zeros_(MLP([2, 16, 2])), lambda m: F.cross_entropy(m(data.x), data.y))
    Traceback (most recent call last):
        ...
    AssertionError: 3 of 4 parameters cannot train as they should:
    ...
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    found = audit(model, loss, optimizer=optimizer, steps=steps, strict=strict, ignore=ignore)
    if found.faults:
        from zeroinit import _tables  # here, as few imports of the package need it

        said = _tables.failure(found)
        if (first := Ranks(model).first) is not None:
            said = f"{said.partition(':')[0]}: rank {first} says which"
        raise AssertionError(said)


def _plainly() -> AbstractContextManager[object]:
    """Run what was compiled as plain PyTorch, for a few steps do not repay compiling."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    plainly: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return plainly
