"""From lines and boxes to what a reader sees: blocks in reading order, and Markdown of them.

Pure: no Ray, no Paddle, no files, no clock. ``compose`` puts every line of a page into exactly one
block, whatever the input; the rest of the package writes and chooses among these blocks.

- ``frame``: coordinates in which text runs to the right and lines go down, whatever the script.
- ``order``: columns before rows, by recursive cuts.
- ``rows``, ``paragraphs``, ``joining``: from lines to running text.
- ``pictures``, ``tables``, ``headings``: what the layout model said, checked against the lines.
- ``compose``: all of that for one page.
- ``markdown``, ``escaping``: a page as Markdown.
- ``furniture``: running headers and page numbers, decided over the pages of a document.
"""
