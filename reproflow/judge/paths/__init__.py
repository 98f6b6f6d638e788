"""A path under judgement: its ends, its course, its velocity, and the law that it moves."""
