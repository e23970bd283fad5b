"""Drawings of the book, by kind; every function draws numbers on one ``Axes`` and returns it.

Import each from its module. Nothing is imported here: a page runs again after an edit of any module
that it imports, so it should import no kind of drawing that it does not use.
"""
