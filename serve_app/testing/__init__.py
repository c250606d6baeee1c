"""Stand-ins behind the ports, for faults and for devices that are not there. Nothing that serves
imports them.
"""
