r"""What a noisy digit says of the data: the pair it came from against the posterior over the whole data set.

One pair of noise eps and digit z gives x_t = t z + (1-t) eps and the conditional velocity z - eps. The network sees x_t
alone, and what it can learn is the average over the posterior (004 eq. 12; PATH-4),

.. math:: u_t(x) = \frac{E[x_1|x_t=x] - x}{1-t}, \qquad
          P(z_n|x) \propto \exp\Big(-\frac{|x - t z_n|^2}{2 (1-t)^2}\Big),

here exactly, by attention over the training digits in float64. exp of the posterior's entropy is the number of digits
that are still in question: the size of the data set at t = 0, and 1 where x_t gives the digit away. So a regression
target that is constant along the line (003; 004; TUT-13) is not known along the line.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from reproflow.exact.empirical import posterior_mean
from reproflow.exact.posterior import log_kernel
from reproflow.foundation import seeds
from reproflow.foundation.errors import UsageError
from reproflow.learning.data import ImageData, get_dataset, load
from reproflow.reporting.figures import Source, figure, style
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import get_path
from reproflow.theory.targets import convert, get_target

DATASET = "digits8"
PATH = "linear"
TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
TOP = 4
MANY = 192
GRID = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
BAND = (0.1, 0.5, 0.9)
SPEED = 3.0  # of the velocities' colour scale
IMAGES = ("x_t", "conditional velocity", "marginal velocity", "posterior mean")
COLUMNS = ["quantity", "t", "rank", "index", "label", "pixel", "value"]


@figure("tut_posterior", order=140, title="Tutorial: what a noisy digit says of the data")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, of the prepared digits in the results, else of the registered ones, which are the same."""
    data = digits(source.folder)
    frame = pd.concat([*_rows(data), sharpening(data)], ignore_index=True)[COLUMNS]
    figure, grid = style.panels(len(TIMES), 5 + TOP, 4.7, width_ratios=[1.0] * (4 + TOP) + [3.6])
    for t, row in zip(TIMES, grid, strict=True):
        _row(row[:-1], frame[frame["t"] == t], data)
        row[0].set_ylabel(f"t = {t:g}", fontsize=8.5)
        row[-1].remove()
    heads = ("x_t", "u(x|z)", "u(x)", "E[x1|x]", "likeliest")
    for axes, head in zip(grid[0], heads, strict=False):
        axes.set_title(head, fontsize=8)
    spec = grid[0][-1].get_subplotspec()
    assert spec is not None
    _curve(figure.add_subplot(spec.get_gridspec()[:, -1]), frame)
    return figure, frame, caption(frame, data)


def digits(results: Path) -> ImageData:
    """The prepared data set of the results where it is there and whole, else the registered one."""
    try:
        data = load(results / "data" / f"{DATASET}.safetensors")
    except UsageError:
        data = get_dataset(DATASET)
    assert isinstance(data, ImageData)
    return data


def caption(frame: pd.DataFrame, data: ImageData) -> str:
    """What is drawn, and how far the posterior sharpens."""
    middle = frame[frame["quantity"] == "effective number, quantile 0.5"].set_index("t")["value"]
    alone = middle[middle < 2].index.min()
    true = int(frame.loc[frame["quantity"] == "x_t", "index"].iloc[0])
    own = frame[(frame["quantity"] == "weight of the digit itself")].set_index("t")["value"]
    held = ", ".join(f"{value:.2g} at t = {t:g}" for t, value in own.items())
    return (
        f"One digit z of the {len(data.train)} training digits, a {int(data.train_labels[true])}, mixed with one draw "
        f"of noise ε at five times on the {PATH} path: of {MANY} such pairs the one with the median effective number "
        "of digits at t = 0.5. From the left: x_t; the conditional velocity u(x|z) = z − ε, the "
        f"same at every t; the marginal velocity u(x), its posterior average (blue −{SPEED:g} to red {SPEED:g}); the "
        "posterior mean; and the likeliest digits, each with its class and posterior weight. Greys run "
        f"from −1 to 1; all are cut at both ends. The weight of z itself is {held}. Right: exp of the posterior's "
        f"entropy, the effective number of digits, median and middle 80 % of the {MANY} pairs: its median is "
        f"{middle.iloc[0]:.0f} at t = {middle.index[0]:g}, {middle.iloc[-1]:.3g} at t = {middle.index[-1]:g}, "
        f"and below 2 from t = {alone:.2g} on."
    )


def sharpening(data: ImageData) -> pd.DataFrame:
    """Quantiles of the effective number of digits over many x_t, at every time of `GRID`; the same pairs at each."""
    points, (chosen, eps) = data.points(dtype=torch.float64), _pairs(data)
    found = torch.stack([effective(_noisy(points[chosen], eps, c), points, c) for c in map(_at, GRID.tolist())])
    quantiles = found.quantile(torch.tensor(BAND, dtype=torch.float64), dim=1)
    parts = [
        pd.DataFrame({"quantity": f"effective number, quantile {level:g}", "t": GRID.numpy(), "value": values.numpy()})
        for level, values in zip(BAND, quantiles, strict=True)
    ]
    return pd.concat(parts)


def effective(x: Tensor, points: Tensor, c: Coefficients) -> Tensor:
    """exp(entropy) of the posterior over the points (N, D) at each x (B, D), (B,)."""
    return torch.special.entr(log_kernel(x, points, c.alpha, c.sigma).softmax(1)).sum(-1).exp()


def _rows(data: ImageData) -> list[pd.DataFrame]:
    """The images of every row, pixel by pixel, and the weights of the likeliest digits."""
    points, (chosen, eps) = data.points(dtype=torch.float64), _typical(data)
    target, index = get_target("velocity"), int(chosen)
    frames = []
    for t in TIMES:
        c = _at(t)
        x = _noisy(points[chosen], eps, c)
        weights = log_kernel(x, points, c.alpha, c.sigma).softmax(1)[0]
        mean = posterior_mean(x, points, c)
        marginal = convert(mean, x, c, get_target("x1"), target)
        images = (x, target.of(points[chosen], eps, c), marginal, mean)
        frames += [_pixels(name, t, image[0], index, data) for name, image in zip(IMAGES, images, strict=True)]
        top = weights.topk(TOP)
        for rank, (weight, i) in enumerate(zip(top.values.tolist(), top.indices.tolist(), strict=True), start=1):
            frames.append(_pixels("likeliest", t, points[i], i, data).assign(rank=rank))
            about = {"quantity": "weight", "t": t, "rank": rank, "index": i, "label": int(data.train_labels[i])}
            frames.append(pd.DataFrame([about | {"value": weight}]))
        own = {"quantity": "weight of the digit itself", "t": t, "index": index, "value": float(weights[index])}
        frames.append(pd.DataFrame([own]))
    return frames


def _pixels(quantity: str, t: float, image: Tensor, index: int, data: ImageData) -> pd.DataFrame:
    columns = {"quantity": quantity, "t": t, "index": index, "label": int(data.train_labels[index])}
    return pd.DataFrame(columns | {"pixel": range(len(image)), "value": image.numpy()})


def _pairs(data: ImageData) -> tuple[Tensor, Tensor]:
    """Training digits by index (n,), and noise for each (n, D)."""
    generator = seeds.generator("tutorial posterior")
    chosen = torch.randint(len(data.train), (MANY,), generator=generator)
    return chosen, torch.randn(MANY, data.dim, generator=generator, dtype=torch.float64)


def _typical(data: ImageData) -> tuple[Tensor, Tensor]:
    """Of those pairs, as (1,) and (1, D), the one whose effective number of digits at t = 1/2 is in the middle."""
    points, (chosen, eps), c = data.points(dtype=torch.float64), _pairs(data), _at(0.5)
    ranked = effective(_noisy(points[chosen], eps, c), points, c).argsort(stable=True)
    middle = ranked[MANY // 2 : MANY // 2 + 1]
    return chosen[middle], eps[middle]


def _at(t: float) -> Coefficients:
    return get_path(PATH).at(torch.tensor(t, dtype=torch.float64))


def _noisy(x1: Tensor, eps: Tensor, c: Coefficients) -> Tensor:
    return c.alpha * x1 + c.sigma * eps


def _row(row: list[Axes], frame: pd.DataFrame, data: ImageData) -> None:
    shown = [frame[frame["quantity"] == name] for name in IMAGES]
    shown += [frame[(frame["quantity"] == "likeliest") & (frame["rank"] == rank)] for rank in range(1, TOP + 1)]
    weights = frame[frame["quantity"] == "weight"]
    for axes, own in zip(row, shown, strict=True):
        speed = own["quantity"].iloc[0].endswith("velocity")
        image = own["value"].to_numpy().reshape(data.shape[1:])
        reach, colours = (SPEED, "RdBu_r") if speed else (1, "gray")
        axes.imshow(image, cmap=colours, vmin=-reach, vmax=reach, interpolation="none")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes, label, weight in zip(row[4:], weights["label"], weights["value"], strict=True):
        axes.set_xlabel(f"{label:.0f}:  {_short(weight)}", fontsize=7, labelpad=2)


def _short(weight: float) -> str:
    """A weight in a few characters."""
    if weight >= 0.095:
        return f"{weight:.2f}"
    return f"{weight:.1g}" if weight >= 1e-4 else "< 0.0001"


def _curve(axes: Axes, frame: pd.DataFrame) -> None:
    low, middle, high = (frame[frame["quantity"] == f"effective number, quantile {level:g}"] for level in BAND)
    axes.fill_between(low["t"], low["value"], high["value"], color="#0173b2", alpha=0.18, linewidth=0)
    axes.plot(middle["t"], middle["value"], color="#0173b2")
    axes.set(yscale="log", xlim=(0, 1), ylim=(0.9, 2000), xticks=[0, 0.5, 1], xlabel="t")
    axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.minorticks_off()
    axes.set_title("digits still in question", fontsize=8.5)
