"""``python -m orthoref``."""

from orthoref.cli import command

if __name__ == "__main__":
    raise SystemExit(command())
