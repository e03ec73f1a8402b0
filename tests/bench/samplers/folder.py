"""Where the real data lie: `--data` names a folder that has them, or one whose `hpo` has."""

import pathlib


def inside(data, name):
    """The path of a file or a folder; none where `data` does not have it."""
    paths = [pathlib.Path(data) / sub / name for sub in (".", "hpo")] if data else []
    return next((path for path in paths if path.exists()), None)
