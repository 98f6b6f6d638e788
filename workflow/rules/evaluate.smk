# FID, KID and likelihood of every cell, and the tables they are gathered in.


rule evaluate:
    input:
        finished("evaluate"),
        data=data_file,
        sampled=RESULTS / "shards" / "{shard}.sample",
        features=features_file,
    output:
        ensure(RESULTS / "shards" / "{shard}.evaluate", non_empty=True),
    log:
        LOGS / "evaluate" / "{shard}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        fingerprint=stage_fingerprint("evaluate"),
    shell:
        "python -m reproflow evaluate --shard {wildcards.shard} --config {params.config:q} &> {log:q} "
        "&& echo {params.fingerprint} > {output:q}"


rule collect:
    input:
        samples_shown,
        evaluated=expand(RESULTS / "shards" / "{shard}.evaluate", shard=SHARDS),
    output:
        cells=report(
            ensure(RESULTS / "cells.csv", non_empty=True),
            caption="../report/cells.rst",
            category="Comparison",
            labels={"table": "every cell"},
        ),
        curves=ensure(RESULTS / "curves.csv", non_empty=True),
        timings=RESULTS / "timings.csv",
        samples=RESULTS / "samples" / "files.json",
    log:
        LOGS / "collect.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=fingerprint.source("reproflow.evaluation.collect"),
        declared=DECLARED,
    shell:
        "python -m reproflow collect --config {params.config:q} &> {log:q}"


# The cascade of bounds on trained networks, of the first seeds of every image experiment, where the configuration asks for it.
CASCADE = [RESULTS / "cascade.csv"] if CONFIG.cascade else []


rule cascade:
    input:
        trained=expand(RESULTS / "shards" / "{shard}.train", shard=[s for s in SHARDS if is_image_shard(s)]),
    output:
        report(
            ensure(RESULTS / "cascade.csv", non_empty=True),
            caption="../report/cascade.rst",
            category="Comparison",
            labels={"table": "bounds on trained networks"},
        ),
    log:
        LOGS / "cascade.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        settings=str(CONFIG.cascade),
        source=fingerprint.source("reproflow.evaluation.bound_cascade.table", *REGISTERED),
    shell:
        "python -m reproflow cascade --config {params.config:q} &> {log:q}"
