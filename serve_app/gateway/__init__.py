"""The process that HTTP requests reach: a Serve replica that sends pages to the pools and answers.

The edge itself (routes, bodies, answers) is ``api/``; here is what is behind it.
"""
