"""What is checked of objectives and paths in each process: one module a process (`foundation.by_process`)."""
