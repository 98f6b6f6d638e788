"""How each process is trained and sampled: one module a process (`foundation.by_process`)."""
