"""The text that a PDF page has itself: found, put into lines, and checked before it is believed.

- ``characters.py``: what PDFium says of each character; ``geometry.py``: page units to pixels.
- ``repeats.py``, ``overprint.py``: text that is drawn more than once.
- ``lines.py``: characters to lines (``placed.py``, ``line_text.py``); ``cells.py``: lines that are
  several cells; ``right_to_left.py``: the logical order of Arabic and Hebrew.
- ``suspicion.py``: characters and fonts that are no text; ``visible.py``: what is not to be seen;
  ``pieces.py``: lines without these.
- ``residue.py``, ``rest.py``: whether there is anything to read beside the layer, and where.
- ``page_layer.py``: these in order, for one page.

Runs where pages are rendered, in one thread. Not covered: comparing the layer with what a
recogniser reads (``engines/layer_check.py``), and putting both together
(``engines/layered_ocr.py``).
"""
