# From results to what people read: tables, figures, the page, and the gate.

TABLES = ["cells", "comparison", "claims", "equivalence", "cascade", "ranking", "fid_by_weighting"]


rule tables:
    input:
        CASCADE,
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
    output:
        expand(RESULTS / "tables" / "{table}.{ending}", table=TABLES, ending=["md", "tex"]),
        report(
            RESULTS / "tables" / "comparison.csv",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"table": "paired over seeds"},
        ),
        report(
            RESULTS / "tables" / "equivalence.csv",
            caption="../report/equivalence.rst",
            category="Comparison",
            labels={"table": "equal objectives"},
        ),
        report(
            RESULTS / "tables" / "ranking.csv",
            caption="../report/ranking.rst",
            category="Comparison",
            labels={"table": "weightings ranked"},
        ),
        report(
            RESULTS / "tables" / "fid_by_weighting.csv",
            caption="../report/fid_by_weighting.rst",
            category="Comparison",
            labels={"table": "FID by weighting"},
        ),
        expand(RESULTS / "tables" / "{table}.csv", table=["cells", "claims", "cascade"]),
        RESULTS / "tables" / "unplaced.json",
    log:
        LOGS / "tables.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=fingerprint.source("reproflow.reporting.tables"),
        declared=DECLARED,
    shell:
        "python -m reproflow tables --config {params.config:q} &> {log:q}"


rule figures:
    input:
        CASCADE,
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
        curves=RESULTS / "curves.csv",
    output:
        report(
            expand(RESULTS / "figures" / "{figure}.svg", figure=FIGURES),
            caption="../report/figures.rst",
            category="Figures",
        ),
        expand(RESULTS / "figures" / "{figure}.{ending}", figure=FIGURES, ending=["pdf", "png", "csv"]),
    log:
        LOGS / "figures.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=fingerprint.source("reproflow.reporting.figures", *DRAWN, *REGISTERED),
        declared=DECLARED,
    shell:
        "python -m reproflow figures --config {params.config:q} &> {log:q}"


# The page computes nothing: it shows the tables and figures as they are.
rule report:
    input:
        rules.tables.output,
        rules.figures.output,
        REGRESSION,
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
    output:
        html=ensure(RESULTS / "report.html", non_empty=True),
        provenance=RESULTS / "provenance.json",
    log:
        LOGS / "report.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=fingerprint.source("reproflow.reporting.html"),
        declared=DECLARED,
    shell:
        "python -m reproflow report --config {params.config:q} &> {log:q}"


rule gate:
    input:
        resolved,
        CASCADE,
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
        regression=REGRESSION,
        # The page is written first, so that a failing gate leaves something to read.
        html=RESULTS / "report.html",
    output:
        RESULTS / "gate.txt",
    log:
        LOGS / "gate.log",
    # It reads a few tables: not worth a submission to a cluster.
    localrule: True
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
    shell:
        "python -m reproflow gate --config {params.config:q} > {output:q} 2> {log:q} || (cat {log:q} >&2; exit 1)"
