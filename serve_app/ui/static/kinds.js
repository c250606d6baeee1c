// What is on a page, by kind: the labels of the layout model in seven groups.

const GROUPS = {
  title: ["doc_title", "paragraph_title", "abstract_title", "reference_title", "content_title", "figure_title", "table_title", "chart_title"],
  table: ["table"],
  picture: ["image", "figure", "chart", "flowchart", "seal"],
  formula: ["formula", "formula_number"],
  furniture: ["header", "footer", "number", "header_image", "footer_image", "footnote", "aside_text"],
};
const GROUP_OF = Object.fromEntries(
  Object.entries(GROUPS).flatMap(([group, labels]) => labels.map((label) => [label, group]))
);

export const kindOf = (block) => GROUP_OF[block.label] || "text";
export const isPicture = (block) => kindOf(block) === "picture" || /image$/.test(block.label);
export const nameOf = (block) => block.label.replace(/_/g, " ");

const same = (a, b) => a.every((value, n) => Math.abs(value - b[n]) < 1);

/** Whether the text leaves it out. */
export const isLeftOut = (block, page) => [...page.furniture, ...(page.picture_text || [])].some((one) => same(one.box, block.box));

/** Whether the layout model missed it; where none looked there was nothing to miss. */
export const isRecovered = (block, page) => block.recovered && page.blocks.some((one) => one.score != null);

/** What a screen reader says of a block, and what a tip shows. */
export function describe(block, page) {
  const parts = [nameOf(block)];
  if (block.score != null) parts.push(`layout ${Math.round(100 * block.score)} %`);
  if (isRecovered(block, page)) parts.push("recovered: the layout model had no box here");
  if (isLeftOut(block, page)) parts.push("left out of the text");
  return parts.join(", ");
}

/** Which block each line is in; -1 for none. */
export function blockOfLines(page) {
  const owner = page.lines.map(() => -1);
  page.blocks.forEach((block, index) => block.lines.forEach((line) => { owner[line] = index; }));
  return owner;
}
