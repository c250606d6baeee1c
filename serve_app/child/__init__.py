"""A child process and its pipe: how it is started, spoken to, bounded and reaped.

Below ``engines/`` and ``documents/`` alike, which say what runs in the child.
"""
