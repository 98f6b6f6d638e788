"""Whether two worktrees compute the same numbers, bit for bit: what a refactoring must not change.

    python -m benchmarks.same_numbers BEFORE AFTER [--work DIR] [--only cells,demo,check,verify] [--json FILE]
        [--before-results DIR] [--after-results DIR] [--allow-new PATTERN ..] [--tolerance-list FILE.toml]

The same interpreter runs both worktrees one after the other, on one thread without a GPU. Parts:

cells   configs/ci.yaml through Snakemake: networks, samples, measures, all exact claims, tables, figures' numbers
demo    the demo made small (small.yaml), and a network trained on pairs of one of its flows (pairs.yaml)
check   `reproflow check` of every registered weighting, path, time law and divergence, of a few users' expressions, and
        of the published objectives
verify  `reproflow verify --tier exact`

Every tensor, every column of every CSV and every value of every JSON file is compared; the files of the store by stage
and cell. What is not compared is listed in `exceptions.py`, with its reason. A file, column, key or case that is
missing or new is a difference too. Exit 0: the same; 1: differences; 2: a side did not run.

`--work DIR` (build/same_numbers) receives a folder for each side. `--before-results` and `--after-results` name the
folder of a side; parts that are finished there are not run again. `--allow-new` lets AFTER have more at places that
match the pattern (`*` and `?`). `--tolerance-list` names the places where one routine replaced another and the last
digits may differ:

    [[place]]
    pattern = "check/weighting-*.json:/variance/*"
    reason = "Gauss rule of numerics/quadrature.py for a hand-written one"

There, and nowhere else, a relative difference of 1e-12 is allowed.
"""
