"""audio-diffusion-pytorch: v on the cosine path."""

from audio_diffusion_pytorch import VDiffusion


def v_cosine(model, x1):
    return VDiffusion(model)(x1)
