"""ocr-serve: memory-bounded OCR and document parsing on Ray Serve.

The path of a request, by file and function:

1. ``api/paddlex.py`` or ``api/parse.py`` reads the body within its limits (``api/upload.py``).
2. ``gateway/pool_client.py``: ``inspect`` has the file's pages told by a process of its own
   (``documents/reader.py``, ``header_parser.py``); ``predict_pages`` puts the file into the object
   store once and sends its pages, a bounded window at a time, to a pool.
3. ``worker/ocr_service.py``: ``predict_page`` takes the page in, ``worker/page_run.py`` takes it
   through the worker step by step: level, slot, admission, lease, prediction, record. The lease is
   one of ``model_manager.py``, which loads, shares and unloads as ``policy/model_lifecycle.py``
   decides.
4. There another process of its own renders the page (``documents/renderer.py``) and reads a PDF's
   own text (``documents/text_layer``), and ``worker/engine_process.py``: ``predict`` sends both
   over a socket (``child/channel.py``) to the engine process (``child/host.py``), where
   ``engines/paddle.py`` predicts it; text of the file is taken where it can be believed
   (``engines/layered_ocr.py``), and ``layout/compose.py`` makes blocks of the lines.
5. The results come back in order and wait on the disk (``api/page_store.py``); with the last one
   it is known what is furniture, ``api/finish.py`` writes each page's Markdown, and
   a writer of ``formats/`` or ``api/`` the answer, which ``api/spool.py`` keeps. PDF and Word are
   put together in a child process (``formats/assembler.py``, ``formats/assembly.py``).

A job goes the same way in the background: ``jobs/service.py`` queues it, ``jobs/driver.py`` has its
pages predicted and stored, and an answer is written from what is stored.

``app.py`` wires these into a Serve application; ``settings/`` is the whole configuration.
"""

__version__ = "0.1.0"
