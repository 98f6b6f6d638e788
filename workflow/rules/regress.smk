# The run against its baseline, where one is kept in results/baselines/. Like the claims it always exits 0 and leaves its
# evidence; the gate fails for a regression.

BASELINE = Path("results/baselines") / f"{CONFIG.regression.baseline or CONFIG.name}.csv"
REGRESSION = [RESULTS / "regression.json", RESULTS / "regression.md"] if placed(BASELINE).exists() else []


rule regress:
    input:
        cells=RESULTS / "cells.csv",
        baseline=BASELINE,
    output:
        json=RESULTS / "regression.json",
        markdown=RESULTS / "regression.md",
    log:
        LOGS / "regress.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        name=BASELINE.stem,
        settings=str(CONFIG.regression),
        source=fingerprint.source("reproflow.reporting.regression_summary"),
        declared=DECLARED,
    shell:
        'python -m reproflow baseline compare {params.name:q} --results "$(dirname {input.cells:q})" '
        "--json {output.json:q} --markdown {output.markdown:q} --evidence &> {log:q}"
