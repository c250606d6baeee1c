"""What ``ocr-serve`` does in a terminal: run a server, check a configuration, fetch weights.

It runs in the process of who typed it. Ray is started from here, and imported no sooner.
"""
