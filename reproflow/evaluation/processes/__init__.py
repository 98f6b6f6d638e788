"""How networks of each process are measured: one module a process (`foundation.by_process`)."""
