"""``python -m orthoref.cli``."""

from orthoref.cli import command

if __name__ == "__main__":
    raise SystemExit(command())
