# The checked configuration, its grid, and where results go. Only an experiment with `dedupe` makes this import torch.
import os
import subprocess
import sys
from pathlib import Path

# Another environment's Snakemake is told what it lacks before anything is missed by its name.
CLONE = Path(str(workflow.current_basedir)).parents[1]
try:
    import reproflow
    from reproflow.foundation import surroundings
    from reproflow.foundation.errors import ReproflowError
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"Snakemake runs in the environment {sys.prefix}, which lacks {error.name}.\n"
        f"Run `make .venv/ready` in {CLONE}, then use {CLONE}/.venv/bin/snakemake; or install {CLONE} into this environment."
    )

try:
    surroundings.check_packages(CLONE)
    surroundings.check_variables(os.environ)
    surroundings.check_folders(Path(sys.executable), Path(reproflow.__file__).resolve(), CLONE)
except ReproflowError as error:
    raise WorkflowError(str(error))

from reproflow.foundation import config as configuration
from reproflow.foundation import files, fingerprint, grid, names
from reproflow.reporting.figures import NAMES as FIGURES

try:
    CONFIG = configuration.check(config, ", ".join(map(str, workflow.configfiles)))
    if any(experiment.dedupe and not experiment.merged for experiment in CONFIG.experiments):
        from reproflow.theory.equivalence import dedupe

        CONFIG = dedupe(CONFIG)
    SHARDS = grid.shards(CONFIG)
    grid.expand(CONFIG)
except ReproflowError as error:
    raise WorkflowError(str(error))

RESULTS = Path("results") / CONFIG.name
LOGS = RESULTS / "logs"


def placed(path):
    """Where a file lies when another workflow imports this one under a prefix: Snakemake moves inputs, outputs and logs by
    itself, and not what is a parameter."""
    return Path(workflow.modifier.path_modifier.replace_prefix(str(path)))


RESOLVED = placed(RESULTS / "config.json")

# Jobs run the code that the fingerprints were read from, with the interpreter that runs this, in a shell that waits for what
# it started when it is told to stop. A workflow that imports this one keeps its own shell.
CODE = Path(reproflow.__file__).resolve().parents[1]
SEARCH = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
if workflow.modifier.is_main_snakefile():
    programs = os.path.dirname(sys.executable)
    # `:q` quotes for the shell, whatever is in a folder's name; an f-string would not, and would be read as a pattern again.
    shell.prefix("export PATH={programs:q}:$PATH PYTHONPATH={SEARCH:q}; trap : TERM USR1; ")


def begun():
    """Whether the configuration that jobs read is this one."""
    return RESOLVED.exists() and RESOLVED.read_text() == configuration.dump(CONFIG)


def begin():
    """Writes the checked configuration with its defaults, which every job reads, and tries the functions of a user's own
    files once, in a process with a time limit.

    The file is no rule's output: a change of it would rerun all jobs, and as an `ancient` input it would hide that a job's
    own parameters changed.
    """
    files.write_text(RESOLVED, configuration.dump(CONFIG))
    if CONFIG.guests:
        command = [sys.executable, "-m", "reproflow", "resolve", "--config", str(RESOLVED)]
        outcome = subprocess.run(command, env=os.environ | {"PYTHONPATH": SEARCH}, capture_output=True, text=True)
        if outcome.returncode:
            raise WorkflowError(outcome.stderr.strip())


wildcard_constraints:
    shard=r"[a-z0-9_]+-\d{3}",
    dataset="[a-z0-9_]+",


def experiment_of(wildcards):
    """The experiment of a shard."""
    return grid.experiment_of(CONFIG, SHARDS[wildcards.shard][0].experiment)


def data_file(wildcards):
    """The prepared data set of a shard."""
    return RESULTS / "data" / f"{experiment_of(wildcards).dataset}.safetensors"


def stage_fingerprint(stage):
    """A params function: one string that changes when, and only when, a cell of the shard would come out differently."""
    return lambda wildcards: fingerprint.of_cells(CONFIG, SHARDS[wildcards.shard], stage)


def is_image(dataset):
    """Whether FID applies; the planar laws have no images."""
    return any(known.images for known in names.known() if (known.kind, known.name) == ("dataset", dataset))


def is_image_shard(shard):
    """Whether the cells of a shard have images."""
    return is_image(grid.experiment_of(CONFIG, SHARDS[shard][0].experiment).dataset)


def shards_of(process=None, target=None):
    """Ids of the shards whose cells have this process and target."""
    return [
        shard
        for shard, cells in SHARDS.items()
        if process in (None, cells[0].process) and target in (None, cells[0].target)
    ]


def features_file(wildcards):
    """The feature network, for image data."""
    dataset = experiment_of(wildcards).dataset
    return [RESULTS / "features" / f"{dataset}.safetensors"] if is_image(dataset) else []
