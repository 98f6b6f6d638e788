# The checked configuration, its grid, and where results go. Only an experiment with `dedupe` makes this import torch.
import functools
import os
import shlex
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
from reproflow.foundation.errors import ConfigError
from reproflow.foundation.run import Run
from reproflow.reporting.figures import NAMES as FIGURES

try:
    # The files of a workflow that imports this one are its own; what it gives is checked.
    own = workflow.modifier.is_main_snakefile()
    if not own and not config:
        raise ConfigError("a workflow that imports this one gives `config: config` in its `module` (docs/slurm.md).")
    CONFIG = configuration.check_merged(config, workflow.configfiles if own else [])
    if any(experiment.dedupe and not experiment.merged for experiment in CONFIG.experiments):
        from reproflow.learning.deduplication import dedupe

        CONFIG = dedupe(CONFIG)
    grid.check(CONFIG)
    SHARDS = grid.shards(CONFIG)
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


def quote_interpreter():
    """Executors write the interpreter's path into a job's command without quotes: on the host, and again in Slurm's job."""
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    executors = [RemoteExecutor]
    try:
        import snakemake_executor_plugin_slurm_jobstep as jobstep

        executors.append(jobstep.Executor)
    except ModuleNotFoundError:
        pass
    for executor in executors:
        unquoted = executor.get_python_executable
        executor.get_python_executable = lambda self, unquoted=unquoted: shlex.quote(unquoted(self))


if workflow.modifier.is_main_snakefile():
    quote_interpreter()


def check_executor():
    """Which executor runs the jobs is known when they start."""
    if workflow.executor_plugin.name != "slurm":
        return
    try:
        surroundings.check_slurm(Path(sys.executable), Path(workflow.main_snakefile), Path(workflow.workdir_init))
    except ReproflowError as error:
        raise WorkflowError(str(error))


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
    if CONFIG.user_functions:
        command = [sys.executable, "-m", "reproflow", "resolve", "--config", str(RESOLVED)]
        outcome = subprocess.run(command, env=os.environ | {"PYTHONPATH": SEARCH}, capture_output=True, text=True)
        if outcome.returncode:
            raise WorkflowError(outcome.stderr.strip())


# What Snakemake does not see: the store behind the markers, and the samples behind their list.
RUN = Run(CONFIG, placed(RESULTS))


def again(output):
    """Has the job of an output done again, whatever its time says. Nothing is written, so a dry run tells the same."""
    workflow.dag.forcefiles.add(str(output))


@functools.cache
def shard_fingerprint(shard, stage):
    """The digest of a shard's stage."""
    return fingerprint.of_cells(CONFIG, SHARDS[shard], stage)


@functools.cache
def unfinished(shard):
    """The stages that cells of a shard still need."""
    return {stage for cell in SHARDS[shard] if (stage := RUN.unfinished(cell))}


def finished(stage):
    """An input function that adds no file: a marker that the store does not bear out, or that is of another fingerprint,
    counts for nothing. Only the process that plans looks; jobs look for themselves."""

    def look(wildcards):
        marker = RUN.folder / "shards" / f"{wildcards.shard}.{stage}"
        if workflow.is_main_process and marker.exists():
            told = marker.read_text().strip() == shard_fingerprint(wildcards.shard, stage)
            if not told or stage in unfinished(wildcards.shard):
                again(marker)
        return []

    return look


def samples_shown(wildcards):
    """Likewise for the samples that figures show, one file a cell, of which only the list is declared."""
    if workflow.is_main_process and RUN.shown_samples.exists() and RUN.samples_fault():
        again(RUN.folder / "cells.csv")
    return []


def resolved(wildcards):
    """Likewise for the configuration that jobs read: `onstart` writes it, and is called where there is a job."""
    gate = RUN.folder / "gate.txt"
    if workflow.is_main_process and gate.exists() and not begun():
        again(gate)
    return []


# What is looked up by name in the registry, so that no source leads to it: the gallery, figures of paths and weightings and
# the cascade show what is registered, trained or not; figures are registered themselves.
DRAWN = [known.where for known in names.known() if known.kind == "figure"]
REGISTERED = [known.where for known in names.known() if known.kind in ("path", "time", "weighting")]
# What measures and figures declare for people: columns, headings, margins, titles.
DECLARED = files.digest(
    {f"{known.kind} {known.process} {known.name}": known.facts for known in names.known() if known.facts}
)


wildcard_constraints:
    shard=r"[a-z0-9_]+-\d{3}",
    dataset="[a-z0-9_]+",


def experiment_of(wildcards):
    """The experiment of a shard."""
    return grid.experiment_of(CONFIG, SHARDS[wildcards.shard][0].experiment)


def data_file(wildcards):
    """The prepared data set of a shard."""
    return RESULTS / "data" / f"{experiment_of(wildcards).dataset_spec.name}.safetensors"


def stage_fingerprint(stage):
    """A params function: one string that changes when, and only when, a cell of the shard would come out differently."""
    return lambda wildcards: shard_fingerprint(wildcards.shard, stage)


def is_image(dataset):
    """Whether FID applies; the planar laws have no images."""
    return any(known.images for known in names.known() if (known.kind, known.name) == ("dataset", dataset))


def is_image_shard(shard):
    """Whether the cells of a shard have images."""
    return is_image(grid.experiment_of(CONFIG, SHARDS[shard][0].experiment).dataset_spec.name)


def shards_of(process=None, target=None):
    """Ids of the shards whose cells have this process and target."""
    return [
        shard
        for shard, cells in SHARDS.items()
        if process in (None, cells[0].process) and target in (None, cells[0].target)
    ]


def features_file(wildcards):
    """The feature network, for image data."""
    dataset = experiment_of(wildcards).dataset_spec.name
    return [RESULTS / "features" / f"{dataset}.safetensors"] if is_image(dataset) else []
