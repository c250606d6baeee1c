"""ocr-serve: memory-bounded OCR and document parsing on Ray Serve.

A request, process by process:

1. The gateway is what HTTP reaches. A route of ``api/`` reads the body within its limits
   (``api/upload.py``), has the headers of the file read (``documents/reader.py``) and makes a
   ``DocumentRequest`` (``document.py``): what the caller wants, once and for all.
2. ``gateway/pool_client.py``: ``predict_pages`` puts the file into the object store once, chooses a
   pool and sends it the pages, a bounded window at a time.
3. A worker is a replica of a pool. It takes a page in, decides when it may have memory, renders it
   in one child process (``documents/renderer.py``) and has it predicted in another one, an engine.
4. The results come back in order and wait on the disk (``api/page_store.py``). With the last one
   it is known what is furniture: ``api/finish.py`` finishes each page, a writer of ``formats/`` or
   ``api/`` writes the answer, and ``api/spool.py`` keeps it until it is sent. PDF and Word are put
   together in a child process (``formats/assembler.py``, ``formats/assembly.py``).

A job goes the same way in the background: ``jobs/service.py`` queues it, ``jobs/driver.py`` has its
pages predicted and stored, and any form of answer is written from what is stored.

The path of a page in a worker, from its arrival to the models. Each step calls the next, and a
socket is between 9 and 10:

 1. ``worker/ocr_service.py``: ``predict_page`` bounds the queue, and shields the page from a caller
    that leaves.
 2. ``worker/page_run.py``: ``run`` opens its account, and writes its record at the end.
 3. ``worker/page_run.py``: ``_wait_for_level`` lets the level of memory say whether it is time.
 4. ``worker/page_run.py``: ``_hold_slot`` queues it among the pages of its model.
 5. ``worker/page_run.py``: ``_admit`` reserves what it is estimated to need.
 6. ``worker/page_run.py``: ``_lease_engine`` gets it an engine (``model_manager.py``, which loads,
    shares and unloads as ``policy/model_lifecycle.py`` decides).
 7. ``worker/page_run.py``: ``_predict`` has it rendered, and knows how long it may run.
 8. ``worker/engine_process.py``: ``predict`` measures, and gives what goes wrong a type.
 9. ``child/process.py``: ``run`` sends it over a socket, and ends an engine that does not answer.
10. ``child/host.py``: ``_answer_job`` is in the engine's process, and sends the answer.
11. ``engines/paddle.py``: ``handle`` decodes the frame.
12. ``engines/paddle.py``: ``predict`` runs the pipeline; text that the file has itself is taken
    where it can be believed (``layered_ocr.py``), and ``layout/compose.py`` makes blocks of lines.

The rooms, which import downwards only (``pyproject.toml``, ``tool.importlinter``):

- ``command/``: what a terminal starts. ``app.py`` wires a Serve application of the rooms below.
- ``gateway/``, ``worker/``, ``control/``: Ray's processes: for HTTP, for engines, and the one that
  knows every worker.
- ``testing/``: stand-ins that ship with the package.
- ``api/``: the HTTP edge. ``jobs/``: what nobody waits for. ``ui/``: a site for people.
- ``engines/``: inside an engine process. ``weights/``: the models' files.
- ``formats/``, ``documents/``: answers as files, files as pages. ``layout/``: lines as blocks.
- ``child/``: child processes and their pipes. ``sandbox/``: what they may do.
- ``devices/``: reads memory. ``telemetry/``: logs, metrics, traces. ``client/``: for programs.
- ``policy/``: all decisions, as pure functions of facts and the time.
- ``settings/``: the whole configuration. ``errors/``: everything that is raised on purpose.

``DESIGN.md`` has the why.
"""

__version__ = "0.1.0"
