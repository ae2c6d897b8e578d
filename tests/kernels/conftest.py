import pytest


@pytest.fixture(scope="session", autouse=True)
def ready(compiled):
    """Before the first test."""
