"""Looks at everything a night depends on before the night: the servers, their names and options, the folders, kohya.

Nothing is drawn. Every check gives findings; one that crashes says so, and the others go on.
"""
