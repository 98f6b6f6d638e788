"""Ends with a sentence where the Python that runs this is not one that pyproject.toml asks for.

It runs before anything is installed, and on Pythons that are too old: nothing but `re` and `sys`.
"""

import re
import sys

FORMS = {">=": lambda version, bound: version >= bound, "<": lambda version, bound: version < bound}


def refusal(pyproject: str, version: tuple) -> str:
    """Why this version (major, minor, micro) cannot be used, or nothing."""
    [wanted] = re.findall(r'^requires-python = "(.*)"$', pyproject, re.M)
    for each in wanted.split(","):
        form, bound = re.fullmatch(r"\s*(>=|<)\s*([\d.]+)\s*", each).groups()
        if not FORMS[form](version, tuple(int(part) for part in bound.split("."))):
            return f"Python {wanted} is needed, this is {'.'.join(map(str, version))}: make PYTHON=python3.11"
    return ""


if __name__ == "__main__":
    with open("pyproject.toml", encoding="utf-8") as stream:
        sys.exit(refusal(stream.read(), sys.version_info[:3]) or None)
