"""PaddleX's request and answer schemas, as its clients know them.

Source: paddlex 3.7.2, ``inference/serving/schemas/{ocr,pp_structurev3}.py`` and ``schemas/shared``.
Field names, types, defaults **and their order** are part of the protocol: they decide the list of
errors that a wrong request is answered with. Bounds are ours (``option_values.py``). Unknown keys
are ignored: real clients send options of other pipelines. The answer models only feed the OpenAPI
page; answers are written by ``paddlex_writer.py``.
"""

# ruff: noqa: N815 (camel case is what goes over the wire)

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from serve_app.option_values import (
    LayoutMergeMode,
    LayoutThreshold,
    LayoutUnclipRatio,
    LimitTypeName,
    Share,
    SideLen,
    UnclipRatio,
)

SUPPORTED_OUTPUT_FORMATS = frozenset({"docx"})

FILE_HELP = (
    "The file, base64 (with or without a `data:` header): PDF, PNG, JPEG, WebP, BMP, GIF or TIFF."
)
FILE_TYPE_HELP = "0: PDF, 1: image. Only a hint: the first bytes of the file decide."
LOG_ID_HELP = "Returned as it is if it is a token of at most 128 letters, digits, `.`, `_`, `-`."
VISUALIZE_HELP = "Also return drawn result pictures; absent: `paddlex.visualize` of the config."
# No client sends as many names; each that is wrong would be an error of its own.
Names = Annotated[list[str], Field(max_length=100)]

OPTION_HELP = "Absent or null: the default of the configured model."


class FileRequest(BaseModel):
    """What every request has."""

    file: str = Field(description=FILE_HELP)
    fileType: Literal[0, 1] | None = Field(default=None, description=FILE_TYPE_HELP)


class OcrRequest(FileRequest):
    """Body of POST /ocr."""

    useDocOrientationClassify: bool | None = Field(default=None, description=OPTION_HELP)
    useDocUnwarping: bool | None = None
    useTextlineOrientation: bool | None = None
    textDetLimitSideLen: SideLen | None = None
    textDetLimitType: LimitTypeName | None = None
    textDetThresh: Share | None = None
    textDetBoxThresh: Share | None = None
    textDetUnclipRatio: UnclipRatio | None = None
    textRecScoreThresh: Share | None = None
    returnWordBox: bool | None = None
    visualize: bool | None = Field(default=None, description=VISUALIZE_HELP)
    logId: str | None = Field(default=None, description=LOG_ID_HELP)


class OutputFormatsRequest(FileRequest):
    """``outputFormats`` stands before the options, hence a class of its own."""

    outputFormats: Names | None = Field(
        default=None, description='Extra formats of each page, e.g. ["docx"].'
    )

    @field_validator("outputFormats")
    @classmethod
    def _are_supported(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if name not in SUPPORTED_OUTPUT_FORMATS:
                raise ValueError(
                    f"Unsupported `outputFormats` entry {name!r}. "
                    f"Supported values: {sorted(SUPPORTED_OUTPUT_FORMATS)}"
                )
        return value


class LayoutParsingRequest(OutputFormatsRequest):
    """Body of POST /layout-parsing."""

    useDocOrientationClassify: bool | None = Field(default=None, description=OPTION_HELP)
    useDocUnwarping: bool | None = None
    useTextlineOrientation: bool | None = None
    useSealRecognition: bool | None = None
    useTableRecognition: bool | None = None
    useFormulaRecognition: bool | None = None
    useChartRecognition: bool | None = None
    useRegionDetection: bool | None = None
    formatBlockContent: bool | None = None
    layoutThreshold: LayoutThreshold | None = None
    layoutNms: bool | None = None
    layoutUnclipRatio: LayoutUnclipRatio | None = None
    layoutMergeBboxesMode: LayoutMergeMode | None = None
    textDetLimitSideLen: SideLen | None = None
    textDetLimitType: LimitTypeName | None = None
    textDetThresh: Share | None = None
    textDetBoxThresh: Share | None = None
    textDetUnclipRatio: UnclipRatio | None = None
    textRecScoreThresh: Share | None = None
    sealDetLimitSideLen: SideLen | None = None
    sealDetLimitType: LimitTypeName | None = None
    sealDetThresh: Share | None = None
    sealDetBoxThresh: Share | None = None
    sealDetUnclipRatio: UnclipRatio | None = None
    sealRecScoreThresh: Share | None = None
    useWiredTableCellsTransToHtml: bool = False
    useWirelessTableCellsTransToHtml: bool = False
    useTableOrientationClassify: bool = True
    useOcrResultsWithTableCells: bool = True
    useE2eWiredTableRecModel: bool = False
    useE2eWirelessTableRecModel: bool = True
    markdownIgnoreLabels: Names | None = None
    prettifyMarkdown: bool = True
    showFormulaNumber: bool = False
    returnMarkdownImages: bool = True
    visualize: bool | None = Field(default=None, description=VISUALIZE_HELP)
    logId: str | None = Field(default=None, description=LOG_ID_HELP)


class NoResultResponse(BaseModel):
    """PaddleX's answer without a result: health and errors."""

    logId: str
    errorCode: int = Field(description="0, or the HTTP status")
    errorMsg: str


class PageSize(BaseModel):
    """Size of a page in pixels, as it was predicted."""

    width: int
    height: int


class ImageDataInfo(PageSize):
    """``dataInfo`` of a picture."""

    type: Literal["image"] = "image"


class PagesDataInfo(BaseModel):
    """``dataInfo`` of a PDF or of a TIFF with several frames."""

    numPages: int
    pages: list[PageSize]
    type: Literal["pdf", "tiff"]


class OcrPage(BaseModel):
    """One page of POST /ocr; pictures are base64 JPEG."""

    prunedResult: dict[str, Any]
    ocrImage: str | None = None
    docPreprocessingImage: str | None = None
    inputImage: str | None = None


class MarkdownData(BaseModel):
    """One page as markdown; ``images`` holds base64 JPEG by the key used in ``text``."""

    text: str
    isStart: bool
    isEnd: bool
    images: dict[str, str]


class ExportContent(BaseModel):
    """One page in an extra format, base64."""

    content: str
    fileName: str


class LayoutParsingPage(BaseModel):
    """One page of POST /layout-parsing."""

    prunedResult: dict[str, Any]
    markdown: MarkdownData
    outputImages: dict[str, str] | None = None
    inputImage: str | None = None
    exports: dict[str, ExportContent] | None = None


class OcrResult(BaseModel):
    """``result`` of POST /ocr; ``notices`` says what was asked for but left out."""

    ocrResults: list[OcrPage]
    dataInfo: ImageDataInfo | PagesDataInfo
    notices: list[str] | None = None


class LayoutParsingResult(BaseModel):
    """``result`` of POST /layout-parsing; ``notices`` says what was asked for but left out."""

    layoutParsingResults: list[LayoutParsingPage]
    dataInfo: ImageDataInfo | PagesDataInfo
    notices: list[str] | None = None


class OcrResponse(BaseModel):
    """Answer of POST /ocr."""

    logId: str
    result: OcrResult
    errorCode: Literal[0] = 0
    errorMsg: Literal["Success"] = "Success"


class LayoutParsingResponse(BaseModel):
    """Answer of POST /layout-parsing."""

    logId: str
    result: LayoutParsingResult
    errorCode: Literal[0] = 0
    errorMsg: Literal["Success"] = "Success"
