# The ledger. The job writes its verdicts and exits 0 whatever they are: only the gate fails, so evidence is never lost.


rule claims:
    input:
        # Monte-Carlo claims are tried on a trained Gaussian x1 network.
        trained=expand(RESULTS / "shards" / "{shard}.train", shard=shards_of("gaussian", "x1")),
    output:
        report(
            ensure(RESULTS / "claims.csv", non_empty=True),
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "verdicts and controls"},
        ),
    log:
        LOGS / "claims.log",
    # Nothing waits for it but the report: started late, it would be waited for.
    priority: 10
    conda:
        "../envs/reproflow.yaml"
    params:
        config=str(RESOLVED),
        source=fingerprint.claims(),
        chosen=str(CONFIG.claims),
    shell:
        "python -m reproflow claims --config {params.config:q} &> {log:q}"
