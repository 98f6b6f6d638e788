# From results to what people read: tables, figures, the page, and the gate.

TABLES = ["cells", "comparison", "claims"]


rule tables:
    input:
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
        config=ancient(RESULTS / "config.json"),
    output:
        expand(RESULTS / "tables" / "{table}.{ending}", table=TABLES, ending=["md", "tex"]),
        report(
            expand(RESULTS / "tables" / "{table}.csv", table=["comparison"]),
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"table": "weightings, paired over seeds"},
        ),
        expand(RESULTS / "tables" / "{table}.csv", table=["cells", "claims"]),
    params:
        source=fingerprint.source("reproflow.reporting.tables"),
    log:
        LOGS / "tables.log",
    shell:
        "python -m reproflow tables {RUN} &> {log}"


rule figures:
    input:
        cells=RESULTS / "cells.csv",
        curves=RESULTS / "curves.csv",
        config=ancient(RESULTS / "config.json"),
    output:
        report(
            expand(RESULTS / "figures" / "{figure}.svg", figure=FIGURES),
            caption="../report/figures.rst",
            category="Figures",
        ),
        expand(RESULTS / "figures" / "{figure}.{ending}", figure=FIGURES, ending=["png", "csv"]),
    params:
        source=fingerprint.source("reproflow.reporting.figures"),
    log:
        LOGS / "figures.log",
    shell:
        "python -m reproflow figures {RUN} &> {log}"


rule report:
    input:
        rules.tables.output,
        rules.figures.output,
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
        config=ancient(RESULTS / "config.json"),
    output:
        html=ensure(RESULTS / "report.html", non_empty=True),
        provenance=RESULTS / "provenance.json",
    params:
        source=fingerprint.source("reproflow.reporting.html"),
    log:
        LOGS / "report.log",
    shell:
        "python -m reproflow report {RUN} &> {log}"


rule gate:
    input:
        cells=RESULTS / "cells.csv",
        claims=RESULTS / "claims.csv",
        # The page is written first, so that a failing gate leaves something to read.
        html=RESULTS / "report.html",
    output:
        RESULTS / "gate.txt",
    log:
        LOGS / "gate.log",
    shell:
        "python -m reproflow gate {RUN} > {output} 2> {log} || (cat {log} >&2; exit 1)"
