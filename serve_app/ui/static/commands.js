// The same request from a terminal and from Python.

import { config, key, url } from "./api.js";

const shell = (text) => `'${text.replace(/'/g, "'\\''")}'`;
// Python's string literals understand JSON's escapes.
const python = (text) => JSON.stringify(text);

const asked = (options, format) => {
  const given = Object.entries({ ...options, format }).filter(([, value]) => value !== "" && value != null);
  return new URLSearchParams(given);
};

const needsKey = () => config.keys || key.get();

export function curl(name, options, format) {
  const target = shell(`${url("v1/parse")}?${asked(options, format)}`);
  const file = name.replace(/[\\"]/g, "\\$&");
  const header = needsKey() ? ` -H "Authorization: Bearer $OCR_SERVE_KEY"` : "";
  return `curl -OJ${header} -F ${shell(`file=@"${file}"`)} ${target}`;
}

export function pythonCode(name, options, format) {
  const parameters = [...asked(options, format)].map(([k, value]) => `${python(k)}: ${python(value)}`);
  const headers = needsKey() ? `\n    headers={"Authorization": "Bearer " + os.environ["OCR_SERVE_KEY"]},` : "";
  return `${needsKey() ? "import os\n" : ""}from pathlib import Path

import httpx

path = Path(${python(name)})
answer = httpx.post(
    ${python(url("v1/parse"))},
    params={${parameters.join(", ")}},
    files={"file": (path.name, path.read_bytes())},${headers}
    timeout=600,
)
answer.raise_for_status()
path.with_suffix(${python(`.${EXTENSIONS[format]}`)}).write_bytes(answer.content)
`;
}

export const FORMATS = {
  markdown: "Markdown", json: "JSON", text: "Plain text", html: "HTML", pdf: "Searchable PDF",
  docx: "Word", hocr: "hOCR", alto: "ALTO XML", chunks: "Chunks (JSON)",
};
export const EXTENSIONS = {
  markdown: "md", json: "json", text: "txt", html: "html", pdf: "searchable.pdf",
  docx: "docx", hocr: "hocr.html", alto: "alto.xml", chunks: "chunks.json",
};
