"""Everything that is particular to kohya's sd-scripts: finding it, what it accepts, its files, its console, its
failures.
"""
