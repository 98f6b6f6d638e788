"""How figures show each process: one module a process (`foundation.by_process`)."""
