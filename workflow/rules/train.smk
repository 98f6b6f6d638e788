# Training and sampling, a shard a job. The cells themselves go to an undeclared store, where a failed or re-cut shard
# finds what is already done; the declared output is the shard's fingerprint.


rule train:
    input:
        config=ancient(RESULTS / "config.json"),
        data=data_file,
    output:
        ensure(RESULTS / "shards" / "{shard}.train", non_empty=True),
    params:
        fingerprint=stage_fingerprint("train"),
    log:
        LOGS / "train" / "{shard}.log",
    retries: 2
    shell:
        "python -m reproflow train --shard {wildcards.shard} {RUN} &> {log} "
        "&& echo {params.fingerprint} > {output}"


rule sample:
    input:
        config=ancient(RESULTS / "config.json"),
        data=data_file,
        trained=RESULTS / "shards" / "{shard}.train",
    output:
        ensure(RESULTS / "shards" / "{shard}.sample", non_empty=True),
    params:
        fingerprint=stage_fingerprint("sample"),
    log:
        LOGS / "sample" / "{shard}.log",
    shell:
        "python -m reproflow sample --shard {wildcards.shard} {RUN} &> {log} "
        "&& echo {params.fingerprint} > {output}"
