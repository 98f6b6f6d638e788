"""Exact examples of each process: one module a process (`foundation.by_process`)."""
