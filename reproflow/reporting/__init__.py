"""From a results folder to tables, figures and one self-contained page.

`tables.write_tables`, `figures.write_figures` and `html.write_report` each take the folder `results/<name>`; they read
what other verbs left there and compute no result of their own.
"""
