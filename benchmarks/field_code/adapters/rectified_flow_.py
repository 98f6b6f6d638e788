"""rectified-flow: straight path, velocity."""

from rectified_flow.rectified_flow import RectifiedFlow


def fm(model, x1):
    return RectifiedFlow(data_shape=tuple(x1.shape[1:]), velocity_field=model).get_loss(None, x1)
