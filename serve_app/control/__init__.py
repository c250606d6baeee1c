"""The one actor that knows every worker: states of models, levels of memory, orders, autoscaling.

What is decided is in ``policy/``; here it is carried out.
"""
