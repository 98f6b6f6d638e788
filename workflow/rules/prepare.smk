# The data sets, and the feature network of FID.


rule prepare:
    output:
        ensure(RESULTS / "data" / "{dataset}.safetensors", non_empty=True),
    log:
        LOGS / "prepare" / "{dataset}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=lambda wildcards: fingerprint.data_file(CONFIG, wildcards.dataset),
    shell:
        "python -m reproflow prepare {wildcards.dataset} --config {params.config:q} &> {log:q}"


rule features:
    input:
        data=RESULTS / "data" / "{dataset}.safetensors",
    output:
        ensure(RESULTS / "features" / "{dataset}.safetensors", non_empty=True),
    log:
        LOGS / "features" / "{dataset}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        fingerprint=fingerprint.features().value,
    shell:
        "python -m reproflow features {wildcards.dataset} --config {params.config:q} &> {log:q}"
