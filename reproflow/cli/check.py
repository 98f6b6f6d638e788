"""Verbs that judge one new thing: `reproflow check weighting`, `path`, `time` and `divergence`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reproflow.cli import check_against, check_levels, check_options
from reproflow.cli.published_objectives import field
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError

Component = Annotated[str, typer.Argument(help="A name, FILE.py:FUNCTION, or expr:EXPRESSION; name:param=value.")]
ProcessOption = Annotated[str, typer.Option(help="gaussian or masked.")]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")]

TimeRunsOption = Annotated[
    str | None,
    typer.Option(help="data-to-noise: your own functions have the data at t = 0, not the noise."),
]
DEFAULT_PATH = "linear"
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write one self-contained page with figures here.")]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Judge one new weighting, path, time law or loss: is it sound?"
)


@app.callback()
def check() -> None:
    """Judge one new thing: is it sound, what does it bound, what is it equivalent to?

    Example: reproflow check weighting expr:exp(-lam/2) --target canonical
    """


@app.command()
def weighting(
    spec: Component,
    process: ProcessOption = "gaussian",
    path: Annotated[str | None, typer.Option(help="A path; linear unless given.")] = None,
    time: Annotated[str, typer.Option(help="A time law.")] = "uniform",
    target: Annotated[
        str | None, typer.Option(help="What the weighting multiplies, in place of what it says itself.")
    ] = None,
    t_range: Annotated[str | None, typer.Option("--range", help="A,B: the range of t, from noise to data.")] = None,
    lam: Annotated[str | None, typer.Option(help="L1,L2,..: where the canonical weight is told.")] = None,
    tokens: Annotated[int | None, typer.Option(help="How many tokens a --time-agnostic network has.")] = None,
    time_agnostic: Annotated[
        bool, typer.Option("--time-agnostic", help="Masked: the network is not told t; its own test decides.")
    ] = False,
    train: Annotated[
        bool, typer.Option("--train", help="Train it beside registered neighbours on the demo problem: a minute.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(min=1, help="--train: seeds of each; under 8, no interval.")] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="--train: steps of each.")] = None,
    folder: Annotated[Path | None, typer.Option(help="--train: keep networks and numbers here.")] = None,
    schedule: Annotated[str | None, typer.Option(help="A table with the levels of a chain.")] = None,
    schedule_of: Annotated[
        str | None, typer.Option(help="What it holds: betas, alphas_cumprod, sigmas, flow_sigmas, log_snr.")
    ] = None,
    table_of: Annotated[
        str | None, typer.Option(help="What the table that is judged holds: weights, or a schedule of weight 1.")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="A chain of so many levels of the path.")] = None,
    against: Annotated[str | None, typer.Option(help="Another weighting: are the two objectives the same?")] = None,
    against_path: Annotated[str | None, typer.Option(help="--against: its path; the same unless given.")] = None,
    against_time: Annotated[str | None, typer.Option(help="--against: its time law; the same unless given.")] = None,
    against_target: Annotated[str | None, typer.Option(help="--against: what it multiplies.")] = None,
    time_runs: TimeRunsOption = None,
    sigma_data: Annotated[
        float | None, typer.Option(help="The standard deviation of the data; 1 unless given.")
    ] = None,
    json_file: JsonOption = None,
    html_file: HtmlOption = None,
) -> None:
    """Judge a weighting: admissible, identified, a bound, and what it is equivalent to.

    Exit 0: supported, supported, certified; 3: a verdict against it; 5: one that cannot be decided; 2: bad usage.

    Example: reproflow check weighting "expr:min(snr,5)" --target x1 --json -
    """
    if not train and (seeds, steps, folder) != (None, None, None):
        raise UsageError("--seeds, --steps and --folder say how --train trains; give --train too.")
    options: dict[str, Any] = {"process": process, "path": path, "time": time, "target": target, "range": t_range}
    options |= {"lam": lam, "tokens": tokens, "time-agnostic": time_agnostic, "json": json_file, "html": html_file}
    options |= {"train": train, "seeds": seeds, "steps": steps, "folder": folder, "time-runs": time_runs}
    options |= {"against": against, "against-path": against_path, "against-time": against_time}
    options |= {"against-target": against_target, "sigma-data": sigma_data}
    chain = check_levels.Chain(schedule, schedule_of, table_of, levels)
    if check_levels.wanted(chain, spec, time):
        check_levels.answer(chain, spec, options)
    files = check_options.user_files({"weighting": spec, "path": path or DEFAULT_PATH, "time": time}, process, target)
    files += check_against.user_files(options)
    ends, lams = check_options.numbers("--range", t_range, 2), check_options.numbers("--lam", lam)
    check_options.in_child("weighting", spec, files, options)

    def judged() -> Any:
        from reproflow import judge

        wanted: dict[str, Any] = {"lam": lams} if lams else {}
        span = (ends[0], ends[1]) if ends else None
        wanted |= {"tokens": tokens, "time_agnostic": time_agnostic}
        wanted |= {"train": judge.Plan(seeds or judge.SEEDS, steps, folder, child_process.alive)} if train else {}
        wanted |= {"time_runs": time_runs, "sigma_data": sigma_data, "against": check_against.asked(options)}
        return judge.weighting(spec, process, path, time, target, span, **wanted)

    check_options.answer(judged, json_file, html_file)


@app.command()
def path(
    spec: Component,
    process: ProcessOption = "gaussian",
    time_runs: TimeRunsOption = None,
    snr: Annotated[
        str | None, typer.Option(help="A formula for the SNR, expr: or FILE.py:F: is it the path's?")
    ] = None,
    json_file: JsonOption = None,
    html_file: HtmlOption = None,
) -> None:
    """Judge a path: its ends, its signs, its SNR, its velocity, the law that it moves, and whether its loss is finite.

    Exit 0: everything is supported; 3: something is refuted; 5: something cannot be decided; 2: bad usage.

    Example: reproflow check path "expr:sin(pi*t/2), cos(pi*t/2)" --json -
    """
    files = check_options.user_files({"path": spec} | ({"snr": snr} if snr else {}), process)
    options = {"process": process, "json": json_file, "html": html_file, "time-runs": time_runs, "snr": snr}
    check_options.in_child("path", spec, files, options)

    def judged() -> Any:
        from reproflow import judge

        return judge.path(spec, process, time_runs, snr)

    check_options.answer(judged, json_file, html_file)


@app.command()
def time(
    spec: Component,
    time_runs: TimeRunsOption = None,
    json_file: JsonOption = None,
    html_file: HtmlOption = None,
) -> None:
    """Judge a time law: is its quantile map one, which times does it never draw, and what is its density?

    Exit 0: valid, and no gap; 3: refuted; 5: single precision, whose steps are gaps; 2: bad usage.

    Example: reproflow check time "expr:max(u, 0.2)" --json -
    """
    files = check_options.user_files({"time": spec})
    options = {"json": json_file, "html": html_file, "time-runs": time_runs}
    check_options.in_child("time", spec, files, options)

    def judged() -> Any:
        from reproflow import judge

        return judge.time(spec, time_runs)

    check_options.answer(judged, json_file, html_file)


@app.command()
def divergence(spec: Component, json_file: JsonOption = None, html_file: HtmlOption = None) -> None:
    """Judge a loss l(a, b) of target and prediction: is it a Bregman divergence, and if not, what does it target?

    Exit 0: equal gradients, and the truth the only minimum; 3: one of them is refuted; 2: bad usage.

    Example: reproflow check divergence "expr:(log(a) - log(b))**2" --json -
    """
    files = check_options.user_files({"divergence": spec})
    check_options.in_child("divergence", spec, files, {"json": json_file, "html": html_file})

    def judged() -> Any:
        from reproflow import judge

        return judge.divergence(spec)

    check_options.answer(judged, json_file, html_file)


app.command()(field)
