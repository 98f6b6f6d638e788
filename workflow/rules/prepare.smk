# The configuration with its defaults, the data sets, and the feature network of FID.


rule config:
    output:
        RESULTS / "config.json",
    params:
        text=configuration.dump(CONFIG),
    log:
        LOGS / "config.log",
    localrule: True
    shell:
        "printf %s {params.text:q} > {output} 2> {log}"


rule prepare:
    input:
        config=ancient(RESULTS / "config.json"),
    output:
        ensure(RESULTS / "data" / "{dataset}.safetensors", non_empty=True),
    params:
        source=lambda wildcards: fingerprint.dataset(wildcards.dataset),
    log:
        LOGS / "prepare" / "{dataset}.log",
    shell:
        "python -m reproflow prepare {wildcards.dataset} {RUN} &> {log}"


rule features:
    input:
        config=ancient(RESULTS / "config.json"),
        data=RESULTS / "data" / "{dataset}.safetensors",
    output:
        ensure(RESULTS / "features" / "{dataset}.safetensors", non_empty=True),
    params:
        fingerprint=fingerprint.features().value,
    log:
        LOGS / "features" / "{dataset}.log",
    shell:
        "python -m reproflow features {wildcards.dataset} {RUN} &> {log}"
