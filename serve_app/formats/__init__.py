"""A document's pages as files: HTML, hOCR, ALTO, chunks, Word, searchable PDF.

One format per file, each a writer that takes page after page and gives pieces of bytes
(``writer.py`` says how). What two of them need is in ``pieces.py`` (blocks as headings, lists,
tables), ``tables.py`` and ``characters.py``. Everything in a page is untrusted text: it is
escaped where it is written, and nothing here may trust its length or its shape.

No FastAPI and no Ray: a request and a job write their answers with the same code.
"""
