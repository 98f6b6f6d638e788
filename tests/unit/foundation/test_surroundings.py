"""What surrounds the workflow is refused with what, where and cure. Really: tests/workflow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reproflow.foundation import child_process, code_limits, surroundings
from reproflow.foundation.errors import UsageError

GOOD = Path("/opt/a b'c$d/x")


@pytest.mark.parametrize(
    ("name", "said", "cure"),
    [
        ("REPROFLOW_RUNTIME", "4h", "a whole number of minutes is needed, at least 1"),
        ("REPROFLOW_RUNTIME", "0", "a whole number of minutes is needed, at least 1"),
        ("REPROFLOW_RUNTIME", " ", "a whole number of minutes is needed, at least 1"),
        ("REPROFLOW_MAX_RUNTIME", "1-00:00:00", "a whole number of minutes is needed, at least 1"),
        ("REPROFLOW_GPUS", "a100", "a whole number of GPUs is needed, at least 0"),
        ("REPROFLOW_GPUS", "-1", "a whole number of GPUs is needed, at least 0"),
        ("REPROFLOW_GPUS", "1.5", "a whole number of GPUs is needed, at least 0"),
        ("REPROFLOW_GPUS", "²", "a whole number of GPUs is needed, at least 0"),
        ("REPROFLOW_WARNING", "2m", "a whole number of seconds is needed, at least 1 and at most 65535"),
        ("REPROFLOW_WARNING", "65536", "a whole number of seconds is needed, at least 1 and at most 65535"),
    ],
)
def test_a_wrong_number_names_variable_value_and_cure(name: str, said: str, cure: str) -> None:
    with pytest.raises(UsageError) as refused:
        surroundings.check_variables({name: said})
    message = str(refused.value)
    assert f"{name}={said!r}" in message
    assert cure in message
    assert f"unset {name}" in message
    assert len(message.splitlines()) <= 3


@pytest.mark.parametrize("name", ["REPROFLOW_RUNTIME", "REPROFLOW_MAX_RUNTIME", "REPROFLOW_GPUS", "REPROFLOW_WARNING"])
def test_empty_is_not_set(name: str) -> None:
    surroundings.check_variables({name: ""})
    surroundings.check_variables({})


def test_a_warning_that_leaves_no_time_is_refused() -> None:
    surroundings.check_variables({"REPROFLOW_WARNING": "119", "REPROFLOW_MAX_RUNTIME": "2"})
    with pytest.raises(UsageError, match=r"REPROFLOW_WARNING=120: jobs of 2 minutes .* stop as they start"):
        surroundings.check_variables({"REPROFLOW_MAX_RUNTIME": "2"})
    with pytest.raises(UsageError, match="jobs of 30 minutes"):
        surroundings.check_variables({"REPROFLOW_WARNING": "1800"})


@pytest.mark.parametrize(
    ("python", "package", "snakefile", "said"),
    [
        ("/opt/a:b/python", GOOD, GOOD, "/opt/a:b/python: PATH cannot hold it"),
        (GOOD, "/opt/a:b", GOOD, "/opt/a:b: PYTHONPATH cannot hold it"),
        (GOOD, GOOD, "/opt/{a", "/opt/{a: Snakemake reads braces as wildcards"),
    ],
)
def test_a_folder_that_no_quoting_helps(python: Path, package: Path, snakefile: Path, said: str) -> None:
    with pytest.raises(UsageError, match="Move or rename the folder") as refused:
        surroundings.check_folders(Path(python), Path(package), Path(snakefile))
    assert said in str(refused.value)
    surroundings.check_folders(GOOD, GOOD, GOOD)


@pytest.mark.parametrize(
    ("path", "letters"),
    [("/a/it's", "'"), ("/a/$HOME/`b`", "` $"), ("/a\\b", "\\"), ("/50%j", "%"), ("/a\nb", "'\\n'")],
)
def test_what_the_slurm_executor_cannot_pass_on(path: str, letters: str) -> None:
    carried = Path('/opt/a b ü "q" *[x];&')
    surroundings.check_slurm(carried)
    with pytest.raises(UsageError) as refused:
        surroundings.check_slurm(carried, Path(path))
    assert f"{path}: the Slurm executor cannot pass on {letters} in a path" in str(refused.value)
    assert "Move or rename the folder" in str(refused.value)


@pytest.mark.parametrize("said", ["1m", "nan", "-3", "0"])
def test_a_wrong_time_limit_names_its_variable(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROFLOW_TIME_LIMIT", said)
    with pytest.raises(UsageError, match=f"REPROFLOW_TIME_LIMIT='{said}': .*seconds.*unset REPROFLOW_TIME_LIMIT"):
        child_process.run(["--help"], "my.py")


def test_an_empty_time_limit_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROFLOW_TIME_LIMIT", "")
    assert code_limits.seconds() == code_limits.SECONDS


def test_missing_packages_are_named_with_the_environment_and_the_one_to_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    surroundings.check_packages(tmp_path)
    monkeypatch.setattr(surroundings, "MODULES", ("yaml", "no_such_module"))
    monkeypatch.setattr(surroundings, "VERSIONS", ("torch", "no-such-distribution"))
    with pytest.raises(UsageError) as refused:
        surroundings.check_packages(tmp_path)
    said = str(refused.value)
    assert f"the environment {sys.prefix}, which lacks no_such_module, no-such-distribution." in said
    assert f"run `make .venv/ready` in {tmp_path}" in said
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "snakemake").touch()
    with pytest.raises(UsageError, match=rf"Either use {tmp_path}/.venv/bin/snakemake, or install"):
        surroundings.check_packages(tmp_path)
