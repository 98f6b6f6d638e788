"""PATH-1 to PATH-9: probability paths, their ends, their velocities, and what moves their densities."""
