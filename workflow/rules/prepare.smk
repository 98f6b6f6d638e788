# The configuration with its defaults, the data sets, and the feature network of FID.


rule config:
    output:
        RESULTS / "config.json",
    log:
        LOGS / "config.log",
    localrule: True
    conda:
        "../envs/reproflow.yaml"
    params:
        text=configuration.dump(CONFIG),
    shell:
        "printf %s {params.text:q} > {output} 2> {log}"


rule prepare:
    input:
        config=ancient(RESULTS / "config.json"),
    output:
        ensure(RESULTS / "data" / "{dataset}.safetensors", non_empty=True),
    log:
        LOGS / "prepare" / "{dataset}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        source=lambda wildcards: fingerprint.dataset(wildcards.dataset),
    shell:
        "python -m reproflow prepare {wildcards.dataset} --config {input.config} &> {log}"


rule features:
    input:
        config=ancient(RESULTS / "config.json"),
        data=RESULTS / "data" / "{dataset}.safetensors",
    output:
        ensure(RESULTS / "features" / "{dataset}.safetensors", non_empty=True),
    log:
        LOGS / "features" / "{dataset}.log",
    conda:
        "../envs/reproflow.yaml"
    params:
        fingerprint=fingerprint.features().value,
    shell:
        "python -m reproflow features {wildcards.dataset} --config {input.config} &> {log}"
