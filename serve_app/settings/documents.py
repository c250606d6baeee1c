"""Limits of files, and how pages are made of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import (
    Field,
)

from serve_app.settings.values import (
    AutoInt,
    AutoParserBytes,
    LayerChoice,
    PositiveFloat,
    PositiveInt,
    Strict,
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
