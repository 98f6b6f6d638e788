r"""The cascade of bounds on a trained network (001, Theorems 1 and 2; ST-1 to ST-7), over the set it was trained on.

On N points the optimal decoder q(x|z_s) is known, and with it H(q) and every term of the cascade. With s the noise
level (masked: the share m of hidden tokens; Gaussian: -lam, from data to noise) and e_theta(s) >= 0 the network's
excess over the best denoiser,

.. math:: -H(q) - E_q L^{(s)} = PKL(s) = KL_T + \int_s^{noise} e_\theta(s') ds' \ge KL(q \| p_\theta^{(s)}),

which falls with s: the improved bounds. A weighted loss is a sum of them, w(s) = nu([data, s]),

.. math:: \int w\, \ell_\theta - C_w + w(noise) KL_T = \int PKL(s)\, \nu(ds).

All of it is about the ancestral (SDE) model p_theta, not about the probability flow (ST-14), and about the training
set: a network that has not memorised it has PKL > 0. `profile` holds PKL as estimated; `masked` and `gaussian`
estimate; `chains` runs the network step by step; `table` puts the rows together.
"""
