"""ocr-serve: memory-bounded OCR and document parsing on Ray Serve.

The path of a request, by file and function:

1. ``api/paddlex.py`` or ``api/parse.py`` reads the body within its limits (``api/upload.py``).
2. ``deployments/pool_client.py``: ``inspect`` asks a child process (``documents/reader.py``) for
   the file's pages; ``predict_pages`` puts the file into the object store once and sends its
   pages, a bounded window at a time, to a pool.
3. ``deployments/ocr_service.py``: ``predict_page`` leases an engine from the model's
   ``model_manager.py``, which loads, shares and unloads as ``policy/model_lifecycle.py`` decides.
4. ``engines/process.py``: ``predict`` hands the page over a socket (``engines/channel.py``) to
   the engine process (``engines/host.py``), where ``engines/paddle.py`` renders and predicts it,
   and ``layout/compose.py`` makes blocks of its lines.
5. The results come back in order and wait on the disk (``api/page_store.py``); with the last one
   it is known what is furniture, ``api/finish.py`` writes each page's Markdown, a writer of
   ``formats/`` or ``api/parse_writer.py`` the answer into ``api/spool.py``. PDF and Word are put
   together in a child process (``documents/assembler.py``, ``formats/assembly.py``).

``app.py`` wires these into a Serve application; ``settings.py`` is the whole configuration.
"""

__version__ = "0.1.0"
