"""rectified-flow-pytorch: data from [0, 1], velocity, times as they are or by CosMap."""

from rectified_flow_pytorch import RectifiedFlow


def fm(model, x1):
    return RectifiedFlow(model)(x1)


def cosmap(model, x1):
    return RectifiedFlow(model, noise_schedule="cosmap")(x1)
