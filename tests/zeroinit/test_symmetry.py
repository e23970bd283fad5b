import pytest


@pytest.mark.theorem("collapse")
def test_x():
    pass


@pytest.mark.theorem("twins-stay-twins")
def test_x():
    pass


@pytest.mark.theorem("permutation-symmetry")
def test_x():
    pass
