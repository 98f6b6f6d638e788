"""From a results folder to tables, figures and one self-contained page.

`results.load_results` reads the folder; `tables.write_tables`, `figures.write_figures` and `html.write_report` take
`results/<name>`, read what other verbs left there and compute no result of their own.
"""
