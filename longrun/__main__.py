"""``python -m longrun``: the command, with the current folder among those that modules are imported from."""

from longrun.cli.main import program

if __name__ == "__main__":
    program()
