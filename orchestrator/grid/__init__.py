"""Grids: epoch × weight at fixed seeds, as sheets (PNG), a viewer (HTML) and a manifest.

`cells.plan` says which pictures a grid is made of, `render.render_grid` draws it, `manifest.read` knows one on disk.
"""
