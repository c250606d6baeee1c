// The page on the left: its picture, and boxes over it. Without a picture the text stands there.

import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import { blockOfLines, describe, isLeftOut, isRecovered, kindOf } from "./kinds.js";

const size = ([left, top, right, bottom]) => ({ x: left, y: top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) });

function Words({ lines }) {
  return lines.map((line, index) => {
    const { x, y, width, height } = size(line.box);
    const fit = line.text.length > 1 ? { textLength: width, lengthAdjust: "spacingAndGlyphs" } : {};
    return html`<text key=${index} x=${x} y=${y + 0.8 * height} font-size=${0.85 * height} ...${fit}>${line.text}</text>`;
  });
}

export function Sheet({ page, picture, zoom, hot, setHot, tab }) {
  const pane = useRef(), owner = blockOfLines(page);
  const byLine = tab === "lines" || !page.blocks.length;
  const hotBlock = hot && (hot.block ?? -1);
  useEffect(() => {
    if (!hot || hot.from === "sheet") return;
    pane.current.querySelector(".hot")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [hot]);
  const point = (target) => ({
    onMouseEnter: () => setHot({ ...target, from: "sheet" }),
    onFocus: () => setHot({ ...target, from: "sheet" }),
    onClick: () => setHot({ ...target, from: "sheet", go: true }),
    onKeyDown: (event) => event.key === "Enter" && setHot({ ...target, from: "sheet", go: true }),
  });
  return html`<div class="pane sheet-pane" ref=${pane} tabindex="0" role="region" aria-label=${`Page ${page.page}`}>
    <div class="sheet" style=${{ width: `${100 * zoom}%`, aspectRatio: `${page.width} / ${page.height}` }}>
      ${picture && html`<img src=${picture} alt=${`Page ${page.page}`} draggable=${false} />`}
      <svg viewBox=${`0 0 ${page.width} ${page.height}`} role="group" aria-label="Boxes" class=${picture ? "" : "bare"}>
        ${!picture && html`<${Words} lines=${page.lines} />`}
        ${page.blocks.map((block, index) => html`<rect key=${`b${index}`} ...${size(block.box)} tabindex="0" role="button"
          aria-label=${describe(block, page)} data-block=${index}
          class=${["box", kindOf(block), isRecovered(block, page) && "recovered", isLeftOut(block, page) && "left-out",
            hotBlock === index && (hot.line == null) && "hot"].filter(Boolean).join(" ")}
          ...${point({ block: index })}><title>${describe(block, page)}</title></rect>`)}
        ${page.lines.map((line, index) => (byLine || hotBlock === owner[index] && hotBlock >= 0) && html`<rect key=${`l${index}`}
          ...${size(line.box)} data-line=${index}
          class=${["line", line.source, hot && hot.line === index && "hot"].filter(Boolean).join(" ")}
          ...${byLine ? point({ block: owner[index], line: index }) : { "pointer-events": "none" }}><title>${line.text}</title></rect>`)}
      </svg>
    </div>
  </div>`;
}
