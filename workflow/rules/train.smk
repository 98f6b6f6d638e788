# Training and sampling, a shard a job. The cells themselves go to an undeclared store, where a failed or re-cut shard
# finds what is already done; the declared output is the shard's fingerprint, which counts as long as the store bears it out.


rule train:
    input:
        finished("train"),
        data=data_file,
    output:
        ensure(RESULTS / "shards" / "{shard}.train", non_empty=True),
    log:
        LOGS / "train" / "{shard}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        fingerprint=stage_fingerprint("train"),
    shell:
        "python -m reproflow train --shard {wildcards.shard} --config {params.config:q} &> {log:q} "
        "&& echo {params.fingerprint} > {output:q}"


rule sample:
    input:
        finished("sample"),
        data=data_file,
        trained=RESULTS / "shards" / "{shard}.train",
    output:
        ensure(RESULTS / "shards" / "{shard}.sample", non_empty=True),
    log:
        LOGS / "sample" / "{shard}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        fingerprint=stage_fingerprint("sample"),
    shell:
        "python -m reproflow sample --shard {wildcards.shard} --config {params.config:q} &> {log:q} "
        "&& echo {params.fingerprint} > {output:q}"
