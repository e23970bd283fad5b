"""What pytest gets from the package: the fixture ``assert_trainable``.

pytest loads this module by itself. It imports no torch before a test uses the fixture.
"""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_trainable() -> Callable[..., None]:
    """Fail the test if a parameter can never move, or if units are twins.

    It is called as :func:`~zeroinit.auditing.assert_trainable`. The report shows the line of the
    test and the causes, and nothing of how they were found.

    Examples
    --------
    >>> def test_every_parameter_can_train(assert_trainable):
    ...     assert_trainable(Net(), lambda model: F.cross_entropy(model(x), y))
    """
    from zeroinit import _tables, audit

    def check(model: Any, loss: Callable[[Any], Any], **options: Any) -> None:
        __tracebackhide__ = True
        found = audit(model, loss, **options)
        if found.faults:
            pytest.fail(_tables.failure(found))

    return check
