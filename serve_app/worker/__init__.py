"""The process that owns engines: a Serve replica of a pool, from a page's arrival to its record.

Engines are processes of their own (``child/``, ``engines/``); here it is decided who uses them.
"""
