"""Processes: how x_t is drawn, what is predicted, and the loss of one sample. A new one is one module here."""
