"""What pytest gets from the package: the fixture ``assert_trainable``.

pytest loads this module by itself. It imports no torch before a test uses the fixture.
"""

from collections.abc import Callable

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
    from zeroinit import assert_trainable

    return assert_trainable
