"""An environment with the pinned packages of requirements.txt, which sees this one's torch and numpy.

`python benchmarks/field_code/environment.py FOLDER` makes it, or brings it up to date.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def make(folder: Path) -> Path:
    """The interpreter of the environment. Raises `CalledProcessError` where pip fails."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (own / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    interpreter = folder / "bin" / "python"
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
    return interpreter


if __name__ == "__main__":
    make(Path(sys.argv[1]))
