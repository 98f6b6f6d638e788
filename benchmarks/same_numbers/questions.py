"""What the command line of both worktrees is asked: every registered name, a few users' expressions, all claims."""

from __future__ import annotations

import json
from pathlib import Path

KINDS = {"weighting": True, "path": True, "time": False, "divergence": False}
"""What `reproflow check` judges, and whether a process is asked for."""

USER_CODE = '''"""A user's weighting, for benchmarks.same_numbers."""


def capped(t, lam):
    return lam.exp() / (1 + lam.exp())
'''

# Beyond the registered names with their defaults: other paths, laws, targets and ranges, users' own, and the options.
MORE = {
    "weighting-own-canonical": "weighting expr:exp(-lam/2) --target canonical",
    "weighting-own-x1": "weighting expr:min(snr,5) --target x1 --path cosine --time logit_normal",
    "weighting-own-file": "weighting user_code.py:capped --target eps --lam=-3,-1,0",
    "weighting-own-masked": "weighting expr:1/t --process masked --path linear --target ce --range 0.01,0.99",
    "weighting-agnostic": "weighting simple --process masked --time-agnostic --tokens 4",
    "weighting-trained-gaussian": "weighting edm --train --seeds 2 --steps 20",
    "weighting-trained-masked": "weighting iddpm --process masked --train --seeds 2 --steps 20",
    "path-own": "path expr:sin(pi*t/2),cos(pi*t/2)",
    "path-own-broken": "path expr:where(t<0.5,t/2,t),1-t",
    "path-own-masked": "path expr:t**3 --process masked",
    "path-polynomial": "path polynomial:n=3",
    "time-own-gap": "time expr:max(u,0.2)",
    "time-own-atom": "time expr:where(u<0.5,0.25,u)",
    "time-beta-3-2": "time beta:a=3,b=2",
    "divergence-own": "divergence expr:(log(a)-log(b))**2",
    "divergence-own-bregman": "divergence expr:exp(a)-exp(b)-exp(b)*(a-b)",
}
# Every registered weighting also here: (process, path, time law).
ELSEWHERE = (("gaussian", "vp", "logit_normal"), ("masked", "cosine", "beta"))


def of_check(worktree: Path) -> dict[str, list[str]]:
    """Name -> argument list of every question about single things, and of the published objectives."""
    known = json.loads((worktree / "reproflow/foundation/names.json").read_text(encoding="utf-8"))
    asked: dict[str, list[str]] = {}
    for entry in known:
        kind, process, name = entry["kind"], entry["process"], entry["name"]
        if kind in KINDS:
            options = ["--process", process] if KINDS[kind] else []
            asked[f"{kind}-{process}-{name}" if options else f"{kind}-{name}"] = [kind, name, *options]
        for where, path, time in ELSEWHERE if kind == "weighting" else ():
            if where == process:
                arguments = [kind, name, "--process", process, "--path", path, "--time", time]
                asked[f"{kind}-{process}-{name}-{path}-{time}"] = arguments
    asked |= {name: line.split() for name, line in MORE.items()}
    asked["published"] = ["field"]
    return {name: ["check", *line, "--json", f"{{out}}/{name}.json"] for name, line in asked.items()}


def of_verify() -> dict[str, list[str]]:
    """The exact claims, all at once."""
    return {"exact": ["verify", "--tier", "exact", "--json", "{out}/exact.json"]}
