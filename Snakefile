# The workflow lives in workflow/; this file lets `snakemake` find it from the top of a clone. The rule is needed: an
# included Snakefile's first rule does not become the target.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
